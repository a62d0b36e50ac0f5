"""What can I type? `python -m benchmarks [name…] [--json FILE] [--quick]`.

What they print goes to logs in a fresh folder, which stays when something fails: it may name hosts and is not shown.
"""

from __future__ import annotations

import argparse
import importlib
import math
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import msgspec

from benchmarks import machine, report
from benchmarks.measuring import Result
from benchmarks.running import BenchmarkFailed, run
from dynamo_mcp.disk import remove

COMMAND = "uv run python -m benchmarks"
NAMES = (
    *("environment", "packages", "add", "create", "throughput", "tools", "load", "startup", "memory", "soak"),
    "confinement",
)
MISSED = 3
"""The exit code when everything was measured, and something that is claimed does not hold; few rounds prove nothing."""
AT_ONCE_QUICK = 2
"""Benchmarks that run at a time where nothing is proven: most keep one processor busy."""


class Document(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    command: str
    machine: machine.Machine
    results: tuple[Result, ...]


def main() -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure dynamo-mcp against its peers.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(NAMES)}; all when none is given")
    parser.add_argument("--json", type=_file, metavar="FILE", help="write everything that was measured there too")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few rounds, two at a time: they run, in under two minutes instead of an hour and a half",
    )
    parser.add_argument(
        "--seconds", type=_seconds, metavar="N", help="how long `soak` loads a server; ten minutes if not given"
    )
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside is not None:
        return _inside(asked.inside, asked.names[0], quick=asked.quick, seconds=asked.seconds)
    for name in asked.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark `{name}`; there are {', '.join(NAMES)}")
    names = list(dict.fromkeys(asked.names)) or list(NAMES)
    options = ["--quick"] if asked.quick else []
    options += [f"--seconds={asked.seconds:g}"] if asked.seconds is not None else []
    command = " ".join([COMMAND, *asked.names, *options])
    folder = Path(tempfile.mkdtemp(prefix="dynamo-mcp-benchmarks-"))
    try:
        document = _run(folder, names, options, command, quick=asked.quick, more=asked.seconds or 0)
    except BenchmarkFailed as error:
        # Its log is in the folder.
        print(error, file=sys.stderr)
        return 1
    except BaseException:
        _clear(folder)
        raise
    _clear(folder)
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    return code(document.results, quick=asked.quick)


def _clear(folder: Path) -> None:
    # The thorough way, which is for trees of others, takes a minute for what is left here.
    shutil.rmtree(folder, ignore_errors=True)
    remove(folder)


def _file(given: str) -> Path:
    """Look at once whether a file can be there: what was measured for an hour would be lost."""
    path = Path(given)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"`{path}` is a folder; name a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"`{path.parent}` is no folder; make it, or name a file in one that is there")
    return path


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"`{given}` is not a number above zero")
    return seconds


def code(results: Sequence[Result], *, quick: bool) -> int:
    """Return the exit code of benchmarks that ran: few rounds prove nothing of what is claimed."""
    held = all(claim.holds for result in results for claim in result.claims)
    return 0 if held or quick else MISSED


def _run(folder: Path, names: list[str], options: list[str], command: str, *, quick: bool, more: float) -> Document:
    """Run benchmarks and print what they find.

    Raises:
        BenchmarkFailed: One broke.
    """
    looked = machine.describe()
    print(f"machine: {looked}\ncommand: {command}", flush=True)
    at_once = min(AT_ONCE_QUICK if quick else 1, len(names))
    if at_once > 1:
        print(f"{at_once} at a time, and few rounds: this shows that they run, not how fast anything is", flush=True)

    def tell(result: Result) -> None:
        print(report.words(result), flush=True)

    return Document(
        command, looked, anyio.run(partial(run, folder, names, options, at_once=at_once, more=more, tell=tell))
    )


def _inside(folder: Path, name: str, *, quick: bool, seconds: float | None) -> int:
    try:
        result = anyio.run(partial(_measure, folder, name, quick=quick, seconds=seconds))
    except Exception:  # noqa: BLE001 - whatever it was, it goes to the log
        traceback.print_exc()
        return 1
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(result))
    return 0


async def _measure(folder: Path, name: str, *, quick: bool, seconds: float | None) -> Result:
    benchmark = importlib.import_module(f"benchmarks.{name}")
    (folder / name).mkdir()
    more = {"seconds": seconds} if name == "soak" else {}
    result: Result = await benchmark.measure(folder / name, quick=quick, **more)
    return result


if __name__ == "__main__":
    sys.exit(main())
