"""How soon can a new template be used? Added from git, with its first project, and five hundred of them in a row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks import peers, templates
from benchmarks.connected import Connected, over_stdio
from benchmarks.measuring import Claim, Comparison, Result, Subject, compare, faster, interleave, of_each

DYNAMO = "Dynamo, MCP over stdio"
PIP = "git clone + venv + pip"
UV = "git clone + uv"
PIP_CREATE = f"{PIP} + cookiecutter"
UV_CREATE = f"{UV} + cookiecutter"
ADDED_LEAST = 100.0
CREATED_LEAST = {PIP_CREATE: 60.0, UV_CREATE: 12.0}
SUSTAINED_LEAST = 8.0
FILES = 60
SUSTAINED = (10, 50)
"""Rounds of the sustained part, and templates that are added in each."""
NAIVE_EACH = 2
"""Templates that the naive way gets in each round: it is slow, and steady."""


class _Repositories:
    """Repositories that nobody has fetched, made before anything is measured."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready: list[str] = []

    async def prepare(self, count: int, *, files: int = 8) -> None:
        for _ in range(count):
            number = len(list(self._folder.iterdir()))
            written = templates.write(self._folder / f"template-{number}", files=files)
            (written / "number").write_text(str(number))  # so that no two are the same tree
            self._ready.append(await peers.git_repository(written))

    def take(self) -> str:
        return self._ready.pop()


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds, and pip in one part only.
    """
    for each in ("added", "created", "sustained", "repositories", "command-home"):
        (folder / each).mkdir()
    caches = folder.parent / "plain-cache", folder.parent / "peers-cache"
    # What they fetch is in their caches then.
    await peers.plain(folder.parent)
    await peers.uv_venv_and_install(folder / "first-uv", cache=caches[1])
    repositories = _Repositories(folder / "repositories")
    await repositories.prepare(1)
    async with over_stdio(folder / "home", folder) as connected:
        await connected.call("add_template", url=repositories.take(), name="first")
        measuring = _Measuring(folder, connected, repositories, *caches)
        added = await measuring.added(rounds=1 if quick else 7)
        created = await measuring.created(rounds=1 if quick else 5, pip=not quick)
        rounds, many = (1, 4) if quick else SUSTAINED
        sustained = await measuring.sustained(rounds=rounds, each=many)
    return Result("add", (added, created, sustained), claims=_claims(added, created, sustained))


def _claims(added: Comparison, created: Comparison, sustained: Comparison) -> tuple[Claim, ...]:
    return (
        faster("adding a template from git, warm, the whole call", added, DYNAMO, ADDED_LEAST),
        *(
            faster(f"adding a template of {FILES} files and its first create", created, DYNAMO, least, than=than)
            for than, least in CREATED_LEAST.items()
            if than in {sample.name for sample in created.samples}
        ),
        faster("adding and creating, sustained,", sustained, DYNAMO, SUSTAINED_LEAST),
    )


class _Measuring:
    def __init__(self, folder: Path, connected: Connected, repositories: _Repositories, pip: Path, uv: Path) -> None:
        self._folder = folder
        self._connected = connected
        self._repositories = repositories
        self._pip = pip
        self._uv = uv

    async def added(self, *, rounds: int) -> Comparison:
        await self._repositories.prepare(2 * rounds)

        async def pip(path: Path) -> None:
            await peers.git_clone(self._repositories.take(), path.with_name(f"{path.name}-clone"))
            await peers.venv_and_pip(path, cache=self._pip)

        subjects = [Subject(DYNAMO, self._add), Subject(PIP, pip)]
        samples = await interleave(subjects, rounds=rounds, folder=self._folder / "added")
        return compare("a template added from git, warm", samples, baseline=PIP)

    async def created(self, *, rounds: int, pip: bool) -> Comparison:
        subjects = [Subject(DYNAMO, self._add_and_create), Subject(UV_CREATE, self._naive)]
        subjects += [Subject(PIP_CREATE, self._with_pip)] if pip else []
        await self._repositories.prepare(len(subjects) * rounds, files=FILES)
        samples = await interleave(subjects, rounds=rounds, folder=self._folder / "created")
        title = f"a template of {FILES} files added from git, and its first create"
        return compare(title, samples, baseline=samples[-1].name)

    async def sustained(self, *, rounds: int, each: int) -> Comparison:
        """Add and create again and again, whatever that has refilled or tidied up in between."""
        await self._repositories.prepare(rounds * (each + NAIVE_EACH))

        async def several(one: Callable[[Path], Awaitable[None]], count: int, path: Path) -> None:
            path.mkdir()
            for number in range(count):
                await one(path / f"{path.name}-{number}")

        ours, naive = partial(several, self._add_and_create, each), partial(several, self._naive, NAIVE_EACH)
        subjects = [Subject(DYNAMO, ours), Subject(UV_CREATE, naive)]
        taken = await interleave(subjects, rounds=rounds, folder=self._folder / "sustained")
        samples = [of_each(taken[0], each), of_each(taken[1], NAIVE_EACH)]
        title = f"{rounds * each} templates added from git one after the other, a create of each: seconds of one"
        return compare(title, samples, baseline=UV_CREATE)

    async def _add(self, path: Path) -> None:
        await self._connected.call("add_template", url=self._repositories.take(), name=_name(path))

    async def _add_and_create(self, path: Path) -> None:
        await self._add(path)
        answers = dict(templates.ANSWERS)
        await self._connected.call("create_project", template_name=_name(path), output_dir=str(path), variables=answers)

    async def _with_pip(self, path: Path) -> None:
        clone, environment = path.with_name(f"{path.name}-clone"), path.with_name(f"{path.name}-venv")
        await peers.git_clone(self._repositories.take(), clone)
        await peers.venv_and_pip(environment, cache=self._pip)
        await peers.cookiecutter(environment, clone, path, home=self._folder / "command-home")

    async def _naive(self, path: Path) -> None:
        clone, environment = path.with_name(f"{path.name}-clone"), path.with_name(f"{path.name}-venv")
        await peers.git_clone(self._repositories.take(), clone)
        await peers.uv_venv_and_install(environment, cache=self._uv)
        await peers.cookiecutter(environment, clone, path, home=self._folder / "command-home")


def _name(path: Path) -> str:
    """Return a template's name that no other run has."""
    return f"{path.parent.name}-{path.name}"
