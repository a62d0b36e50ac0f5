"""How does a benchmark run apart from the others? In a fresh process and a folder of its own, for so long at most."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import msgspec

from benchmarks import peers
from benchmarks.measuring import Result

SECONDS = 3600.0
"""Seconds that a benchmark may take, besides those that were asked for."""
SECONDS_TO_LEAVE = 30.0


class BenchmarkFailed(Exception):
    """A benchmark broke; what was said is in its log."""

    def __init__(self, name: str, log: Path) -> None:
        """Name it.

        Args:
            name: The benchmark.
            log: Where what was said is.
        """
        super().__init__(f"`{name}` failed; what was said is in `{log}`")


async def run(
    folder: Path,
    names: Sequence[str],
    options: Sequence[str],
    *,
    at_once: int,
    more: float,
    tell: Callable[[Result], None],
) -> tuple[Result, ...]:
    """Run benchmarks; when one breaks, the others that run are ended.

    Args:
        folder: An empty folder: what they share, and one folder and one log for each.
        names: Which.
        options: What else their commands get.
        at_once: How many may run at a time: with more than one, none can say how fast anything is.
        more: Seconds that each may take besides those that all may.
        tell: Is given what each found, in the order of the names.

    Returns:
        The same.

    Raises:
        BenchmarkFailed: One broke.
    """
    found: dict[str, Result] = {}
    told: list[Result] = []
    failed: list[BenchmarkFailed] = []
    limiter = anyio.CapacityLimiter(at_once)
    async with anyio.create_task_group() as tasks:

        async def one(name: str) -> None:
            async with limiter:
                try:
                    found[name] = await _apart(folder, name, options, SECONDS + more)
                except BenchmarkFailed as error:
                    failed.append(error)
                    tasks.cancel_scope.cancel()
                    return
            while len(told) < len(names) and names[len(told)] in found:
                told.append(found[names[len(told)]])
                tell(told[-1])
            if at_once > 1:
                # Where times are to be compared nothing is deleted before the end; here it has a processor meanwhile.
                await anyio.to_thread.run_sync(partial(shutil.rmtree, folder / name, ignore_errors=True))

        for name in names:
            tasks.start_soon(one, name)
    if failed:
        raise failed[0]
    return tuple(told)


async def _apart(folder: Path, name: str, options: Sequence[str], seconds: float) -> Result:
    """Run one benchmark in a fresh process.

    Raises:
        BenchmarkFailed: It broke, or took too long.
    """
    command: list[str | Path] = [sys.executable, "-m", "benchmarks", "--inside", folder, name, *options]
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    # The bytecode of this checkout is kept out of it, and what cookiecutter forgets is not left behind.
    environment = peers.environment(PYTHONPYCACHEPREFIX=str(folder / "bytecode"), TMPDIR=str(temporary))
    root = Path(__file__).parents[1]
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        child = await anyio.open_process(
            command, cwd=root, env=environment, stdin=None, stdout=log, stderr=log, start_new_session=True
        )
        try:
            with anyio.move_on_after(seconds):
                await child.wait()
        finally:
            await _end(child)
    if child.returncode != 0:
        raise BenchmarkFailed(name, path)
    return msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=Result)


async def _end(child: anyio.abc.Process) -> None:
    """End a benchmark that still runs: an interrupt lets it end what it has started."""
    with anyio.CancelScope(shield=True):
        if child.returncode is None:
            child.send_signal(signal.SIGINT)
            with anyio.move_on_after(SECONDS_TO_LEAVE):
                await child.wait()
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
