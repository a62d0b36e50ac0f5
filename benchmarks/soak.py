"""Does it stay as it is? Ten minutes of creates, adds and removals: memory, descriptors and processes must not grow."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import anyio.to_thread

from benchmarks import peers, processes, templates
from benchmarks.connected import CallFailed, Connected, over_stdio
from benchmarks.measuring import Amount, Claim, Result
from benchmarks.processes import Held
from dynamo_mcp.disk import remove

SECONDS = 600.0
SECONDS_QUICK = 3.0
WARM = 0.1
"""The part of the time after which nothing may grow any more: the first of ten minutes."""
MOST_GROWTH = 0.05
CALLERS = 8
READINGS = 60
TEMPLATES = 4


async def measure(folder: Path, *, quick: bool, seconds: float | None = None) -> Result:
    """Measure it; Linux alone tells.

    Args:
        folder: An empty folder.
        quick: Seconds instead of minutes, which say that it runs and nothing of growth.
        seconds: How long, where that was asked for.
    """
    peers.linux()
    seconds = seconds or (SECONDS_QUICK if quick else SECONDS)
    names = [f"t{number}" for number in range(TEMPLATES)]
    for name in names:
        templates.write(folder / name, hook="Python" if name == names[0] else None)
    async with over_stdio(folder / "home", folder) as connected:
        for name in names:
            await connected.call("add_template", url=str(folder / name), name=name)
        loaded = _Loaded(folder, time.monotonic() + seconds)
        async with anyio.create_task_group() as tasks:
            for caller in range(CALLERS):
                tasks.start_soon(loaded.create, connected, names, caller)
            tasks.start_soon(loaded.register, connected)
            readings = await loaded.read(connected.process, seconds / READINGS)
    return _result(readings, loaded, seconds)


class _Loaded:
    """Callers that never stop asking, and what came of it."""

    def __init__(self, folder: Path, until: float) -> None:
        self._folder = folder
        self._until = until
        self.done = 0
        self.failed: list[str] = []

    async def create(self, connected: Connected, names: list[str], caller: int) -> None:
        number = 0
        while time.monotonic() < self._until:
            path = self._folder / "made" / f"{caller}-{number}"
            number += 1
            await self._call(
                connected, "create_project", template_name=names[number % len(names)], output_dir=str(path)
            )
            await anyio.to_thread.run_sync(remove, path)

    async def register(self, connected: Connected) -> None:
        """Add a template that nobody has seen, and remove it."""
        number = 0
        while time.monotonic() < self._until:
            number += 1
            template = templates.write(self._folder / f"added-{number}")
            (template / "number").write_text(str(number))
            await self._call(connected, "add_template", url=str(template), name="added")
            await self._call(connected, "remove_template", template_name="added")
            await anyio.to_thread.run_sync(remove, template)

    async def read(self, server: int, every: float) -> list[Held]:
        readings = [await anyio.to_thread.run_sync(processes.held, server)]
        while time.monotonic() < self._until:
            await anyio.sleep(every)
            readings.append(await anyio.to_thread.run_sync(processes.held, server))
        return readings

    async def _call(self, connected: Connected, tool: str, **arguments: str) -> None:
        try:
            await connected.call(tool, **arguments)
            self.done += 1
        except CallFailed as error:
            self.failed.append(f"{tool}: {error}")


def _result(readings: list[Held], loaded: _Loaded, seconds: float) -> Result:
    warm = readings[int(len(readings) * WARM) :]
    kinds = {
        "memory": ([reading.megabytes for reading in warm], "MB"),
        "descriptors": ([float(reading.descriptors) for reading in warm], ""),
        "processes": ([float(reading.processes) for reading in warm], ""),
    }
    claims = [growth(name, values) for name, (values, _) in kinds.items()]
    said = f": {loaded.failed[0]}" if loaded.failed else ""
    claims.append(Claim("no call fails", f"{len(loaded.failed)} of {loaded.done}{said}", not loaded.failed))
    amounts = [Amount(f"{name}, server and renderers", tuple(values), unit) for name, (values, unit) in kinds.items()]
    amounts.append(Amount(f"calls in {seconds:g} seconds of {CALLERS + 1} callers", (float(loaded.done),), ""))
    return Result("soak", (), claims=tuple(claims), amounts=tuple(amounts))


def growth(name: str, values: list[float]) -> Claim:
    """Claim that something does not grow: the median of the last third by that of the first, which jobs make jump."""
    third = max(1, len(values) // 3)
    first, last = sorted(values[:third])[third // 2], sorted(values[-third:])[third // 2]
    found = last / first - 1
    words = f"{name} grow at most {MOST_GROWTH:.0%} after the first tenth of the time"
    return Claim(words, f"{found:+.1%}", found <= MOST_GROWTH)
