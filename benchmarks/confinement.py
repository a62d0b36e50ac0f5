"""What does confinement cost? Warm creates, contained and not, and the `cookiecutter` command, in turns.

What is compared with is the same recipe in the same server, as short as it could be: the template runs unconfined in a
warm renderer, and what it made is renamed into its place instead of being looked at and copied.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks import templates
from benchmarks.measuring import Claim, Comparison, Result, Sample, Subject, added, compare, interleave, times
from benchmarks.served import COMMAND, Kind, Served, name, serve
from benchmarks.templates import ANSWERS
from dynamo_mcp.jobs import Request
from dynamo_mcp.progress import STEPS_OF_CREATE, Progress, ignore
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.turns import Wanted
from dynamo_mcp.types import Trust

CONTAINED = "contained"
IN_PLACE = "unconfined, in place"
SMALL, LARGE, HOOKED = "of 8 files", "of 60 files", "of 8 files with a Python hook"
KINDS = {SMALL: Kind(), LARGE: Kind(files=60), HOOKED: Kind(hook="Python")}

ADDED_TO_SMALL = 0.006
"""Seconds that confinement and copy-out may add to a create of a small template."""
TIMES_OF_LARGE = 1.25
"""How many times as long a create of 60 files may take with them."""
TIMES_OF_COMMAND = 1 / 3
"""How many times as long as the bare command a contained create may take."""


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds.
    """
    comparisons: dict[str, Comparison] = {}
    async with serve(folder, KINDS) as served:
        for kind in KINDS:
            (folder / kind).mkdir()
            subjects = [
                Subject(CONTAINED, partial(_contained, served, kind)),
                Subject(IN_PLACE, partial(_in_place, served, kind)),
                Subject(COMMAND, partial(served.command, kind)),
            ]
            await _check(subjects, folder / kind)
            samples = await interleave(subjects, rounds=2 if quick else 40, folder=folder / kind)
            comparisons[kind] = compare(f"a create {kind}, warm", samples, baseline=COMMAND)
        start = compare("a renderer's start", await _starts(served, 1 if quick else 15), baseline=IN_PLACE)
        found = (*comparisons.values(), start)
        return Result("confinement", found, await served.confinement(), claims=claims(comparisons))


def claims(comparisons: dict[str, Comparison]) -> tuple[Claim, ...]:
    """Say what must hold of creates, by the kind of template, and whether it does."""
    small = added(*(_sample(comparisons[SMALL], subject) for subject in (IN_PLACE, CONTAINED)))
    large = times(*(_sample(comparisons[LARGE], subject) for subject in (IN_PLACE, CONTAINED)))
    found = [
        Claim(
            f"confinement and copy-out add at most {ADDED_TO_SMALL * 1000:g} ms to a create {SMALL}",
            f"{small * 1000:.1f} ms",
            small <= ADDED_TO_SMALL,
        ),
        Claim(
            f"confinement and copy-out add at most {TIMES_OF_LARGE - 1:.0%} to a create {LARGE}",
            f"{large - 1:.1%}",
            large <= TIMES_OF_LARGE,
        ),
    ]
    for kind, comparison in comparisons.items():
        part = times(*(_sample(comparison, subject) for subject in (COMMAND, CONTAINED)))
        words = f"a contained create {kind} takes less than a third of the bare command"
        found.append(Claim(words, f"{part:.0%}", part < TIMES_OF_COMMAND))
    return tuple(found)


def _sample(comparison: Comparison, subject: str) -> Sample:
    return next(sample for sample in comparison.samples if sample.name == subject)


async def _contained(served: Served, kind: str, path: Path) -> None:
    """Create a project as everybody does.

    Raises:
        RuntimeError: It was not confined as well as can be, and its time would say nothing.
    """
    project = await served.ours(kind, path)
    if (project.trust, project.tier) != ("contained", "strong"):
        raise RuntimeError(f"the project was made with trust {project.trust} at tier {project.tier}")


async def _in_place(served: Served, kind: str, path: Path) -> None:
    """Create the same project unconfined, and rename what the renderer made into its place."""
    store = served.parts.store

    async def work(request: Request, progress: Progress) -> None:
        request.folder.mkdir()

        async def decide(_directory: str, _answers: dict[str, Any]) -> None:
            await progress.begin("render")

        async with served.parts.renderers.render(request.job(), decide, progress) as (rendered, _):
            await progress.begin("publish")
            store.write(store.home / "projects" / f"{path.name}.json", msgspec.json.encode(rendered.answers))
            store.publish(rendered.root / rendered.directory, request.folder / rendered.directory)

    await _turn(served, kind, path, "full", work)


async def _turn(
    served: Served, kind: str, path: Path, trust: Trust, work: Callable[[Request, Progress], Awaitable[None]]
) -> None:
    """Do something with a renderer when all that comes before it in a create is done."""
    template = served.parts.registry.get(name(kind))
    wanted = Wanted(template, dict(ANSWERS), trust, str(path))
    await served.parts.turns.take(wanted, Progress(STEPS_OF_CREATE, ignore), work, "Measuring")


async def _check(subjects: list[Subject], folder: Path) -> None:
    """Warm everything up, and see that everybody makes the same.

    Raises:
        RuntimeError: They don't.
    """
    made = []
    for place, subject in enumerate(subjects):
        await subject.run(folder / f"first-{place}")
        made.append(templates.contents(folder / f"first-{place}"))
    if any(one != made[0] for one in made):
        raise RuntimeError(f"what is compared makes different projects, in {folder}")


async def _starts(served: Served, rounds: int) -> tuple[Sample, ...]:
    """Measure how much longer the first job of a new pool takes than its second."""
    taken: dict[Trust, list[float]] = {"contained": [], "full": []}

    async def work(request: Request, progress: Progress) -> None:
        parts = served.parts
        async with anyio.create_task_group() as tasks:
            fresh = Renderers(parts.settings, parts.store, parts.confining, tasks, recorded=parts.registry.find)
            seconds = []
            for _ in range(2):
                began = time.perf_counter()
                await fresh.resolve(request.job(), progress)
                seconds.append(time.perf_counter() - began)
            tasks.cancel_scope.cancel()
        taken[request.permission.trust].append(seconds[0] - seconds[1])

    for _ in range(rounds):
        for trust in taken:
            await _turn(served, SMALL, served.parts.settings.home / "outputs", trust, work)
    return Sample(CONTAINED, tuple(taken["contained"])), Sample(IN_PLACE, tuple(taken["full"]))
