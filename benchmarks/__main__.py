"""What can I type? `python -m benchmarks [name…] [--json FILE] [--quick]`.

Each benchmark runs in a fresh process, in a fresh folder, and is interrupted when it takes too long. What programs
print goes to a log in that folder, which stays when something fails: it may name hosts and is not shown.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import msgspec

from benchmarks import machine, peers, report
from benchmarks.measuring import Result
from dynamo_mcp.disk import remove

COMMAND = "uv run python -m benchmarks"
NAMES = (
    *("environment", "packages", "add", "create", "throughput", "tools", "load", "startup", "memory", "soak"),
    "confinement",
)
MISSED = 3
"""The exit code when everything was measured, and something that is claimed does not hold; few rounds prove nothing."""
SECONDS = 3600.0
"""Seconds that a benchmark may take, besides those that were asked for."""
SECONDS_TO_LEAVE = 30.0


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
    parser.add_argument("--quick", action="store_true", help="few rounds: two minutes instead of an hour and a half")
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
    names = asked.names or list(NAMES)
    folder = Path(tempfile.mkdtemp(prefix="dynamo-mcp-benchmarks-"))
    failed = False
    try:
        options = ["--quick"] if asked.quick else []
        options += [f"--seconds={asked.seconds:g}"] if asked.seconds is not None else []
        document = _run(folder, names, options, " ".join([COMMAND, *asked.names, *options]), asked.seconds or 0)
        failed = document is None
        if document is not None and asked.json is not None:
            asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    finally:
        if not failed:
            # The thorough way, which is for trees of others, takes a minute for what is left here.
            shutil.rmtree(folder, ignore_errors=True)
            remove(folder)
    if document is None:
        return 1
    return code(document.results, quick=asked.quick)


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


def _run(folder: Path, names: list[str], options: list[str], command: str, more: float) -> Document | None:
    """Run benchmarks and print what they find; return None when one fails."""
    looked = machine.describe()
    print(f"machine: {looked}\ncommand: {command}", flush=True)
    results = []
    for name in names:
        result = _fresh(folder, name, options, SECONDS + more)
        if result is None:
            print(f"`{name}` failed; what was said is in `{folder / name}.log`", file=sys.stderr)
            return None
        print(report.words(result), flush=True)
        results.append(result)
    return Document(command, looked, tuple(results))


def _fresh(folder: Path, name: str, options: list[str], seconds: float) -> Result | None:
    """Run one benchmark in a fresh process; return None when it fails."""
    command: list[str | Path] = [sys.executable, "-m", "benchmarks", "--inside", folder, name, *options]
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    # The bytecode of this checkout is kept out of it, and what cookiecutter forgets is not left behind.
    environment = peers.environment(PYTHONPYCACHEPREFIX=str(folder / "bytecode"), TMPDIR=str(temporary))
    root = Path(__file__).parents[1]
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code = child.wait(seconds)
        except BaseException as error:
            # An interrupt lets it end what it has started.
            child.send_signal(signal.SIGINT)
            try:
                child.wait(SECONDS_TO_LEAVE)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return None
    return msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=Result) if code == 0 else None


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
