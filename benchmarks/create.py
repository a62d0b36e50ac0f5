"""How long does one create take? Warm, against the `cookiecutter` command."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.measuring import Result, Subject, compare, interleave, median_of_each
from benchmarks.served import COMMAND, KINDS, serve

MILLISECONDS = 1000.0


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds.
    """
    comparisons, breakdown = [], {}
    async with serve(folder) as served:
        for kind in KINDS:
            steps: list[dict[str, float]] = []

            async def ours(path: Path, *, kind: str, steps: list[dict[str, float]]) -> None:
                project = await served.ours(kind, path)
                hooks = {f"render: render: {run.hook}": run.seconds for run in project.hooks}
                steps.append(project.seconds | hooks)

            (folder / kind).mkdir()
            subjects = [
                Subject("Dynamo", partial(ours, kind=kind, steps=steps)),
                Subject(COMMAND, partial(served.command, kind)),
            ]
            samples = await interleave(subjects, rounds=5 if quick else 25, folder=folder / kind)
            comparisons.append(compare(f"a create, {kind}, warm", samples, baseline=COMMAND))
            medians = median_of_each(steps)
            breakdown[kind] = {step: round(seconds * MILLISECONDS, 2) for step, seconds in medians.items()}
        return Result("create", tuple(comparisons), await served.confinement(), breakdown)
