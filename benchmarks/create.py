"""How long does one create take? Warm, against the `cookiecutter` command, its peers, and copying the files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks import peers, templates
from benchmarks.connected import Connected, over_stdio
from benchmarks.measuring import Claim, Comparison, Result, Subject, compare, faster, interleave, median_of_each
from benchmarks.served import COMMAND, Kind, Served, name, serve

OVER_MCP = "Dynamo, MCP over stdio"
IN_PROCESS = "Dynamo, in one process"
COPYING = "copying the files"
SMALL, PYTHON, SHELL = "8 files", "8 files and a Python hook", "8 files and a shell hook"
MIDDLE, LARGE = "60 files", "2,000 files"
KINDS = {
    SMALL: Kind(),
    PYTHON: Kind(hook="Python"),
    SHELL: Kind(hook="shell"),
    MIDDLE: Kind(files=60),
    LARGE: Kind(files=2000, slow=True),
    "8 files, trust inert": Kind(trust="inert"),
    "8 files, trust full": Kind(trust="full"),
}
LEAST = {SMALL: 20.0, PYTHON: 12.0, MIDDLE: 10.0}
"""How many times faster than the command a create over MCP is, at least."""
MILLISECONDS = 1000.0


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds.
    """
    comparisons: dict[str, Comparison] = {}
    breakdown = {}
    kinds = {kind: like for kind, like in KINDS.items() if not (quick and like.slow)}
    async with serve(folder, kinds) as served, over_stdio(folder / "home", folder) as connected:
        for kind, like in kinds.items():
            steps: list[dict[str, float]] = []
            (folder / kind).mkdir()
            subjects = _subjects(served, connected, kind, steps)
            if kind == SMALL:
                subjects += await _peers(folder)
            await _check(subjects, folder / kind)
            rounds = 1 if quick else 7 if like.slow else 25
            samples = await interleave(subjects, rounds=rounds, folder=folder / kind)
            comparisons[kind] = compare(f"a create of {kind}, warm", samples, baseline=COMMAND)
            medians = median_of_each(steps)
            breakdown[kind] = {step: round(seconds * MILLISECONDS, 2) for step, seconds in medians.items()}
        confinement = await served.confinement()
    return Result("create", tuple(comparisons.values()), confinement, breakdown, claims(comparisons))


async def _check(subjects: list[Subject], folder: Path) -> None:
    """Run everybody once, and see that all make the same; cruft adds a record of its own.

    Raises:
        RuntimeError: They don't.
    """
    made: list[dict[str, bytes]] = []
    for place, subject in enumerate(subjects):
        path = folder / f"first-{place}"
        await subject.run(path)
        found = templates.contents(path)
        made.append({name: content for name, content in found.items() if not name.endswith(".cruft.json")})
        if made[-1] != made[0]:
            raise RuntimeError(f"{subject.name} makes another project than {subjects[0].name}, in {folder}")


def claims(comparisons: dict[str, Comparison]) -> tuple[Claim, ...]:
    """Say what must hold of creates, by the kind of template, and whether it does."""
    found = [
        faster(f"a contained create of {kind} over MCP", comparisons[kind], OVER_MCP, least)
        for kind, least in LEAST.items()
    ]
    if LARGE in comparisons:
        middle, large = (_seconds_of_a_file(comparisons[kind], kind) for kind in (MIDDLE, LARGE))
        words = f"a file of {LARGE} takes no longer than one of {MIDDLE}"
        found.append(Claim(words, f"{large / middle:.2f} times as long", large <= middle))
    return tuple(found)


def _seconds_of_a_file(comparison: Comparison, kind: str) -> float:
    (median,) = (sample.median for sample in comparison.samples if sample.name == OVER_MCP)
    return median / KINDS[kind].files


def _subjects(served: Served, connected: Connected, kind: str, steps: list[dict[str, float]]) -> list[Subject]:
    async def ours(path: Path) -> None:
        project = await served.ours(kind, path)
        hooks = {f"render: render: {run.hook}": run.seconds for run in project.hooks}
        steps.append(project.seconds | hooks)

    return [
        Subject(OVER_MCP, partial(served.asked, connected, kind)),
        Subject(IN_PROCESS, ours),
        Subject(COMMAND, partial(served.command, kind)),
        Subject(COPYING, partial(served.copied, kind)),
    ]


async def _peers(folder: Path) -> list[Subject]:
    """Return what others use for the same: each in an environment of its own, none of which is ours."""
    home, cache = folder / "command-home", folder.parent / "peers-cache"
    copier = await peers.tool(folder.parent / "copier", peers.COPIER)
    cruft = await peers.tool(folder.parent / "cruft", peers.CRUFT)
    for_copier = templates.write_for_copier(folder / "for-copier")
    repository = await peers.git_repository(templates.write(folder / "for-cruft"))
    template = folder / name(SMALL)

    async def uvx(path: Path) -> None:
        await peers.cookiecutter_by_uvx(template, path, cache=cache, home=home)

    async def by_copier(path: Path) -> None:
        await peers.copier(copier, for_copier, path, home=home)

    async def by_cruft(path: Path) -> None:
        await peers.cruft(cruft, repository, path, home=home)

    return [Subject("uvx cookiecutter", uvx), Subject("copier", by_copier), Subject("cruft", by_cruft)]
