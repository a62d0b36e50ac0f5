"""How many creates can be had at once? Over MCP, against as many `cookiecutter` commands, and how long each waits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from benchmarks import peers
from benchmarks.connected import Connected, over_stdio
from benchmarks.measuring import Amount, Claim, Comparison, Result, Subject, compare, faster, interleave, percentile
from benchmarks.served import Kind, Served, name, serve

DYNAMO = "Dynamo, MCP over stdio"
XARGS = "xargs -P 8 cookiecutter"
AT_ONCE = 8
LEAST_TIMES = 20.0
CONCURRENCIES = (1, 8, 64, 256)
CONCURRENCIES_QUICK = (1, 16)
JUDGED = 64
MOST_OF_MEAN = 3.0
"""How many times the mean wait that the throughput implies the wait of one in a hundred may be."""
TEMPLATES = 20
KINDS = {"without a hook": Kind(), "with a Python hook": Kind(hook="Python")}
MILLISECONDS = 1000.0


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: One round, with fewer creates.
    """
    creates = AT_ONCE if quick else 64
    kinds = KINDS | {f"template {number}": Kind() for number in range(2 if quick else TEMPLATES)}
    comparisons: list[Comparison] = []
    async with serve(folder, kinds) as served, over_stdio(folder / "home", folder) as connected:
        for kind in KINDS:
            (folder / kind).mkdir()
            ours, command = partial(_many, connected, creates, kind), partial(_commands, served, creates, kind)
            # A burst starts the renderers that a busy server has.
            await ours(folder / kind / "first")
            subjects = [Subject(DYNAMO, ours), Subject(XARGS, command)]
            samples = await interleave(subjects, rounds=1 if quick else 5, folder=folder / kind)
            comparisons.append(compare(f"{creates} creates, {AT_ONCE} at a time, {kind}", samples, baseline=XARGS))
        amounts: list[Amount] = []
        (plain, *_), many = KINDS, [kind for kind in kinds if kind not in KINDS]
        judged = None
        for told, several in (("1 template", [plain]), (f"{len(many)} templates", many)):
            for concurrency in CONCURRENCIES_QUICK if quick else CONCURRENCIES:
                waits, seconds = await _waits(
                    connected, several, concurrency, folder / f"{told} {concurrency}", rounds=1 if quick else 4
                )
                amounts += _told(f"{told}, {concurrency} at a time", waits, seconds)
                if concurrency == JUDGED and judged is None:
                    judged = _fair(waits, seconds)
        confinement = await served.confinement()
    claims = [faster(f"{creates} creates, {AT_ONCE} at a time,", comparisons[0], DYNAMO, LEAST_TIMES)]
    claims += [judged] if judged else []
    return Result("throughput", tuple(comparisons), confinement, claims=tuple(claims), amounts=tuple(amounts))


def _told(what: str, waits: Sequence[float], seconds: float) -> list[Amount]:
    p50, p99 = (percentile(waits, percent) * MILLISECONDS for percent in (50, 99))
    return [
        Amount(f"{what}: creates per second", (len(waits) / seconds,), "/s"),
        Amount(f"{what}: p50", (p50,), "ms"),
        Amount(f"{what}: p99", (p99,), "ms"),
    ]


def _fair(waits: Sequence[float], seconds: float) -> Claim:
    """Claim that nobody waits much longer than all do, by the mean wait that the throughput implies (Little's law)."""
    mean = JUDGED * seconds / len(waits)
    found = percentile(waits, 99) / mean
    words = f"p99 at {JUDGED} at a time is at most {MOST_OF_MEAN:g} times the mean wait that the throughput implies"
    return Claim(words, f"{found:.2f} times", found <= MOST_OF_MEAN)


async def _many(connected: Connected, creates: int, kind: str, path: Path) -> None:
    await _asked(connected, [kind], creates, AT_ONCE, path)


async def _waits(
    connected: Connected, kinds: Sequence[str], concurrency: int, path: Path, *, rounds: int
) -> tuple[list[float], float]:
    """Keep so many creates asked for; return the seconds that each took, and all together."""
    began = time.perf_counter()
    waits = await _asked(connected, kinds, max(AT_ONCE, concurrency) * rounds, concurrency, path)
    return waits, time.perf_counter() - began


async def _asked(connected: Connected, kinds: Sequence[str], creates: int, concurrency: int, path: Path) -> list[float]:
    limiter = anyio.CapacityLimiter(concurrency)
    waits: list[float] = []

    async def one(number: int, kind: str) -> None:
        async with limiter:
            began = time.perf_counter()
            await Served.asked(connected, kind, path / str(number))
            waits.append(time.perf_counter() - began)

    async with anyio.create_task_group() as tasks:
        for number, kind in zip(range(creates), itertools.cycle(kinds), strict=False):
            tasks.start_soon(one, number, kind)
    return waits


async def _commands(served: Served, creates: int, kind: str, path: Path) -> None:
    await peers.cookiecutters(
        served.plain,
        served.folder / name(kind),
        path,
        home=served.folder / "command-home",
        creates=creates,
        at_once=AT_ONCE,
    )
