"""How many creates can be had at once? Fifty of them, eight at a time, against the `cookiecutter` command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio

from benchmarks.measuring import Result, Subject, compare, interleave
from benchmarks.served import COMMAND, KINDS, serve

CREATES = 50
CREATES_QUICK = 20
AT_ONCE = 8


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: One round, with fewer creates.
    """
    comparisons = []
    creates = CREATES_QUICK if quick else CREATES
    async with serve(folder) as served:
        for kind in KINDS:
            (folder / kind).mkdir()
            ours, command = (
                partial(_many, creates, partial(served.ours, kind)),
                partial(_many, creates, partial(served.command, kind)),
            )
            # A burst starts the renderers that a busy server has.
            await ours(folder / kind / "first")
            subjects = [Subject("Dynamo", ours), Subject(COMMAND, command)]
            samples = await interleave(subjects, rounds=1 if quick else 5, folder=folder / kind)
            title = f"{creates} creates, {AT_ONCE} at a time, {kind}"
            comparisons.append(compare(title, samples, baseline=COMMAND))
        return Result("throughput", tuple(comparisons), await served.confinement())


async def _many(creates: int, create: Callable[[Path], Awaitable[object]], path: Path) -> None:
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(number: int) -> None:
        async with limiter:
            await create(path / str(number))

    async with anyio.create_task_group() as tasks:
        for number in range(creates):
            tasks.start_soon(one, number)
