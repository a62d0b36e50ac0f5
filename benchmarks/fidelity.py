"""Does a template make here what it makes with bare cookiecutter? `python -m benchmarks.fidelity [location…]`.

Each template is added and created from over MCP, with its defaults, and by the `cookiecutter` command twice: in the
environment that was made for it here, and in one that holds cookiecutter alone. What differs between two runs of the
command itself (times, random words) tells nothing, and is left out.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import anyio
import msgspec
import platformdirs

from benchmarks import asked, bare, comparing, corpus, machine, peers
from benchmarks.asked import Added, Asked
from benchmarks.bare import Made
from dynamo_mcp.disk import remove
from dynamo_mcp.text import plain

COMMAND = "uv run python -m benchmarks.fidelity"
AT_ONCE = 2
DEEP = 8
REASON = 160
SHOWN = 5

_FARTHER = "second-" + "farther-" * 12

_NETWORK = re.compile(
    r"network is unreachable|name resolution|could not resolve|failed to resolve|name or service not known|"
    r"getaddrinfo|EAI_AGAIN|ENOTFOUND|dns error|connection refused|max retries exceeded",
    re.IGNORECASE,
)
_EXECUTABLE = re.compile(r"No such file or directory: '([\w.+-]+)'|([\w.+-]+): (?:command )?not found")
_NOISE = re.compile(r"\s*(?:hint: .*|[\^~ |-]+|If you .*)?")


class Subject(msgspec.Struct, frozen=True):
    """A template that is tried.

    Attributes:
        title: What the table calls it.
        location: What `add_template` and the `cookiecutter` command take: a folder, or an address.
        directory: Which of the templates there; None for the one that the command takes by itself.
    """

    title: str
    location: str
    directory: str | None = None


class Row(msgspec.Struct, frozen=True):
    """What became of one template.

    Attributes:
        here: Why it does not work here, bounded; None where it does. `bare` and `alone` say the same of bare
            cookiecutter in the environment made here, and in one that holds cookiecutter alone.
        differing: Paths that are not as the command makes them.
        varies: Paths that the command itself makes differently each time; not looked for where nothing differs.
        grant: What would repair it: `network`, an executable, or `full` trust; None where nothing has to.
        granted: What is still wrong when everything is granted; None where nothing is, or nothing has to be granted.
        seconds_here: Seconds of the create here.
        seconds_bare: Seconds of the command.
    """

    title: str
    here: str | None
    bare: str | None
    alone: str | None
    differing: tuple[str, ...]
    varies: int
    grant: str | None
    granted: str | None
    seconds_here: float
    seconds_bare: float

    @property
    def outcome(self) -> corpus.Outcome:
        """Whether it works here, fails, or differs."""
        if self.here is not None:
            return "fails"
        return "differs" if self.differing else "works"

    @property
    def works_bare(self) -> bool:
        """Whether bare cookiecutter can do it, in either environment."""
        return self.bare is None or self.alone is None

    @property
    def is_unexplained(self) -> bool:
        """Whether it should work here and does not, and no grant repairs it."""
        return self.outcome != "works" and self.works_bare and self.grant is None


class Document(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    command: str
    machine: machine.Machine
    rows: tuple[Row, ...]


def main() -> int:
    """Try what is asked for; return the exit code: 1 when something works bare, not here, and no grant repairs it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "locations",
        nargs="*",
        metavar="location",
        help="folders, in which templates are looked for, or addresses; the corpus when none is given",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found there too")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dynamo-mcp-fidelity-"))
    try:
        rows = anyio.run(partial(_try, given.locations, folder))
    finally:
        remove(folder)
    print("\n".join(words(rows)))
    if given.json is not None:
        document = Document(" ".join([COMMAND, *given.locations]), machine.describe(), rows)
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    return 1 if any(row.is_unexplained for row in rows) else 0


async def _try(locations: Sequence[str], folder: Path) -> tuple[Row, ...]:
    subjects = found(locations) if locations else await carried(Path(platformdirs.user_cache_dir("dynamo-mcp-corpus")))

    def tell(row: Row) -> None:
        print(f"{row.title}: {row.outcome}", file=sys.stderr, flush=True)

    return await compare(subjects, folder, tell=tell)


def found(locations: Sequence[str]) -> list[Subject]:
    """Return the templates that are meant: all that a folder holds, or what an address leads to."""
    subjects = []
    for location in locations:
        root = Path(location).expanduser()
        if not root.is_dir():
            subjects.append(Subject(location, location))
            continue
        root = root.resolve()
        holders = (
            [root / "cookiecutter.json"] if (root / "cookiecutter.json").exists() else root.rglob("cookiecutter.json")
        )
        for holder in sorted(holders):
            inside = holder.parent.relative_to(root)
            if len(inside.parts) <= DEEP and "{{" not in str(inside):
                subjects.append(Subject(str(Path(root.name) / inside), str(holder.parent)))
    return subjects


async def carried(cache: Path, *, tested: bool = False) -> list[Subject]:
    """Fetch the corpus.

    Args:
        cache: Where it is kept.
        tested: Only those that the tests create.
    """
    cache.mkdir(parents=True, exist_ok=True)
    jobs: list[Callable[[], Awaitable[None]]] = []
    subjects: dict[tuple[str, str], Subject] = {}
    for package in corpus.load():
        chosen = [entry for entry in package.templates if entry.tested or not tested]
        if chosen:
            jobs.append(partial(_fetch, package, chosen, cache, subjects))
    await _together(jobs)
    return [subjects[key] for key in sorted(subjects)]


async def _fetch(
    package: corpus.Package,
    chosen: Sequence[corpus.Carried],
    cache: Path,
    subjects: dict[tuple[str, str], Subject],
) -> None:
    folder = await corpus.fetch(package, cache)
    for entry in chosen:
        subjects[package.package, entry.directory] = Subject(package.title(entry), str(folder / entry.directory))


async def compare(
    subjects: Sequence[Subject], folder: Path, *, tell: Callable[[Row], None] = lambda _: None
) -> tuple[Row, ...]:
    """Try templates, a few at a time.

    Args:
        subjects: Which.
        folder: An existing, empty folder.
        tell: Called with each row as soon as it is there.

    Returns:
        A row for each, in the same order; for an address of several templates, one for each of those.
    """
    alone = folder / "alone"
    await peers.uv_venv_and_install(alone, cache=folder / "uv")
    outputs = folder / "made"
    outputs.mkdir()
    rows: dict[int, list[Row]] = {}
    sources = [Path(subject.location) for subject in subjects if Path(subject.location).is_dir()]
    async with asked.serve(folder / "home", sources=sources, outputs=outputs) as server:

        async def one(number: int, subject: Subject) -> None:
            rows[number] = await _rows(server, subject, alone, outputs / str(number))
            for row in rows[number]:
                tell(row)

        await _together([partial(one, number, subject) for number, subject in enumerate(subjects)])
    return tuple(row for number in range(len(subjects)) for row in rows[number])


async def _rows(server: Asked, subject: Subject, alone: Path, folder: Path) -> list[Row]:
    added = await server.add(subject.location, f"subject-{folder.name}")
    # Of several, the command takes the first by itself. Those of a folder are subjects of their own.
    rows = [await _row(server, subject, alone, folder, added[0])]
    for number, other in enumerate(added[1:] if not Path(subject.location).is_dir() else (), 1):
        one = Subject(f"{subject.title}: {other.directory}", subject.location, other.directory)
        rows.append(await _row(server, one, alone, folder / str(number), other))
    return rows


async def _row(server: Asked, subject: Subject, alone: Path, folder: Path, added: Added) -> Row:
    create = partial(bare.create, location=subject.location, directory=subject.directory)
    environment = added.environment
    # Where something differs, the command runs before and after, in folders of unlike length: what varies with the time
    # or the place (as the first line of a script does) has varied between these two as well.
    plain_run = await create(alone, folder=folder / "alone")
    # An environment without requirements holds cookiecutter alone.
    first = plain_run
    if environment is not None and added.more:
        first = await create(environment, folder=folder / "first")
    here = (
        added.made
        if added.made.problem is not None
        else await server.create(added.name, subject.location, folder / "here")
    )
    second = first
    if first.problem is None and (here.problem is not None or _differing(here, first, set())):
        second = await create(environment or alone, folder=folder / _FARTHER)
    varying = set(comparing.differing(first.tree, second.tree))
    differing = _differing(here, first, varying)
    grant = granted = None
    if (here.problem is not None or differing) and first.problem is None and environment is not None:
        trusted = await server.create_trusted(added.name, subject.location, folder / "trusted")
        still = _differing(trusted, first, varying)
        granted = reason(trusted.problem) or (_differ(still) if still else None)
        grant = _grant(here.problem or here.said) if granted is None else None
    row = Row(
        subject.title,
        reason(here.problem),
        reason(first.problem),
        reason(plain_run.problem),
        differing,
        len(varying),
        grant,
        granted,
        here.seconds,
        first.seconds,
    )
    if not differing and granted is None:
        await anyio.to_thread.run_sync(remove, folder)
    return row


def _differing(made: Made, bare: Made, varying: set[str]) -> tuple[str, ...]:
    if made.problem is not None or bare.problem is not None:
        return ()
    return tuple(path for path in comparing.differing(made.tree, bare.tree) if path not in varying)


def _differ(paths: tuple[str, ...]) -> str:
    return f"{len(paths)} differ: {', '.join(plain(path, REASON) for path in paths[:SHOWN])}"


def reason(problem: str | None) -> str | None:
    """Return one bounded line of all that was said: its first line, and its last one where that says more."""
    if problem is None:
        return None
    lines = [line.strip() for line in problem.splitlines() if not _NOISE.fullmatch(line)]
    chosen = list(dict.fromkeys([*lines[:1], *lines[-1:]])) or ["it says nothing"]
    return " … ".join(plain(line, REASON) for line in chosen)


def _grant(said: str) -> str:
    """Name what was missing, by what was said when it was: trust `full` gives all of that at once."""
    missing = []
    if found := _EXECUTABLE.search(said):
        missing.append(f"the executable `{plain(found[1] or found[2], REASON)}`")
    if _NETWORK.search(said):
        missing.append("the network")
    return " and ".join(missing) or "full trust"


def words(rows: Sequence[Row]) -> list[str]:
    """Return the table, the totals, and whatever does not work here though it works bare, as lines."""
    width = max((len(row.title) for row in rows), default=0)
    lines = [f"{'':<{width}}  {'here':<8}{'bare':<7}{'alone':<7}{'s here':>8}{'s bare':>8}  why"]
    for row in rows:
        told = [_differ(row.differing)] if row.differing else []
        told += [row.here] if row.here is not None else []
        told += [f"needs {row.grant}"] if row.grant is not None else []
        told += [f"with full trust: {row.granted}"] if row.granted is not None else []
        told += [f"bare: {row.bare}"] if row.bare is not None and row.bare != row.here else []
        told += [f"{row.varies} vary"] if row.varies else []
        lines.append(
            f"{row.title:<{width}}  {row.outcome:<8}{_word(row.bare):<7}{_word(row.alone):<7}"
            f"{row.seconds_here:>8.2f}{row.seconds_bare:>8.2f}  {'; '.join(told)}"
        )
    here, alone, beside = (
        sum(row.outcome == "works" for row in rows),
        sum(row.alone is None for row in rows),
        sum(row.bare is None for row in rows),
    )
    return [
        *lines,
        "",
        f"{len(rows)} templates; {here} work here, {alone} bare and alone, {beside} bare in the environment made here",
        *(f"works bare, not here, repaired by {row.grant}: {row.title}" for row in rows if row.grant is not None),
        *(f"works bare, not here: {row.title}" for row in rows if row.is_unexplained),
    ]


def _word(problem: str | None) -> str:
    return "works" if problem is None else "fails"


async def _together(jobs: Sequence[Callable[[], Awaitable[None]]]) -> None:
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(job: Callable[[], Awaitable[None]]) -> None:
        async with limiter:
            await job()

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(one, job)


if __name__ == "__main__":
    sys.exit(main())
