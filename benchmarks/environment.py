"""How long does an environment take? Cold, warm, and made before, against `venv` and pip."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from benchmarks import peers, templates
from benchmarks.measuring import Claim, Comparison, Result, Subject, compare, interleave
from dynamo_mcp import settings
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.environments import Environments, health
from dynamo_mcp.requirements import COOKIECUTTER
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import open_store

DYNAMO = "Dynamo"
UV = "uv venv + uv pip install"
UNCOMPILED = "the same without bytecode"
PIP = "venv + pip"
CLONE = "git clone + venv + pip"
FILL_SECONDS = 120.0
"""Seconds that the spares may take to be made."""


class _Known(msgspec.Struct, frozen=True):
    """What the first cold runs leave to the warm ones: Dynamo's home, and the caches of uv and pip."""

    home: Path
    uv: Path
    pip: Path


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds.
    """
    for name in ("cold", "warm", "spare", "added"):
        (folder / name).mkdir()
    cold = await _cold(folder / "cold", rounds=1 if quick else 3)
    runs = [folder / "cold" / f"run-0-{place}" for place in range(len(cold.samples))]
    known = _Known(runs[0], _cache(runs[1]), _cache(runs[2]))
    warm = await _warm(folder / "warm", known, rounds=2 if quick else 9)
    spare = await _spare(folder / "spare", known, rounds=2 if quick else 9)
    added = await _added(folder / "added", known, rounds=1 if quick else 5)
    return Result("environment", (cold, warm, spare, added), claims=_claims(spare))


async def _cold(folder: Path, *, rounds: int) -> Comparison:
    async def ours(path: Path) -> None:
        async with _environments(path) as environments:
            _check((await environments.ensure("first", ())).path)

    async def uv(path: Path) -> None:
        await peers.uv_venv_and_install(path, cache=_cache(path))

    async def pip(path: Path) -> None:
        await peers.venv_and_pip(path, cache=_cache(path))

    subjects = [Subject(DYNAMO, ours), Subject(UV, uv), Subject(PIP, pip)]
    samples = await interleave(subjects, rounds=rounds, folder=folder)
    return compare("an environment, cold", samples, baseline=PIP)


async def _warm(folder: Path, known: _Known, *, rounds: int) -> Comparison:
    async with _environments(known.home) as environments:

        async def ours(path: Path) -> None:
            await environments.ensure(path.name, ())

        async def uv(path: Path) -> None:
            await peers.uv_venv_and_install(path, cache=known.uv)

        async def pip(path: Path) -> None:
            await peers.venv_and_pip(path, cache=known.pip)

        subjects = [Subject(DYNAMO, ours), Subject(UV, uv), Subject(PIP, pip)]
        samples = await interleave(subjects, rounds=rounds, folder=folder)
        for path in (known.home / "venvs").iterdir():
            _check(path)
    return compare("an environment, warm", samples, baseline=PIP)


async def _spare(folder: Path, known: _Known, *, rounds: int) -> Comparison:
    """Measure the claim alone: the spares were made before, while nobody waited."""
    async with _environments(known.home, spares=rounds) as environments:
        with anyio.fail_after(FILL_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(environments.keep_spares)
                while len(list((known.home / "spares").glob("*/*"))) < rounds:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.1)
                tasks.cancel_scope.cancel()

        async def ours(path: Path) -> None:
            await environments.ensure(f"spare-{path.name}", ())

        async def uv(path: Path) -> None:
            await peers.uv_venv_and_install(path, cache=known.uv)

        async def uncompiled(path: Path) -> None:
            await _uncompiled(path, cache=known.uv)

        async def pip(path: Path) -> None:
            await peers.venv_and_pip(path, cache=known.pip)

        subjects = [Subject(DYNAMO, ours), Subject(UV, uv), Subject(UNCOMPILED, uncompiled), Subject(PIP, pip)]
        samples = await interleave(subjects, rounds=rounds, folder=folder)
        for path in (known.home / "venvs").glob("spare-*"):
            _check(path)
    return compare("a spare environment claimed", samples, baseline=PIP)


async def _uncompiled(path: Path, *, cache: Path) -> None:
    """Make an environment with two plain commands of uv, whose first run then compiles."""
    more = {"UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1", "UV_OFFLINE": "1"}
    await peers.do([peers.UV, "venv", "--quiet", "--python", peers.PYTHON, path], **more)
    await peers.do([peers.UV, "pip", "install", "--quiet", "--python", path, COOKIECUTTER], **more)


def _claims(spare: Comparison) -> tuple[Claim, ...]:
    medians = {sample.name: sample.median for sample in spare.samples}
    claims = []
    for than, least in ((PIP, 10_000), (UNCOMPILED, 500)):
        found = medians[than] / medians[DYNAMO]
        peer = UV + " without bytecode" if than == UNCOMPILED else than
        words = f"a spare environment is claimed at least {least:,} times faster than {peer} makes one"
        claims.append(Claim(words, f"{found:,.0f} times", found >= least))
    return tuple(claims)


async def _added(folder: Path, known: _Known, *, rounds: int) -> Comparison:
    """Measure all of `add_template`, of which the environment is a part, with repositories that it has not seen."""
    urls = [
        await peers.git_repository(templates.write(folder / f"template-{number}", hook=True))
        for number in range(2 * rounds)
    ]
    async with open_dynamo(_settings(known.home)) as dynamo:

        async def ours(path: Path) -> None:
            await dynamo.add_template(urls.pop(), name=f"added-{path.name}")

        async def pip(path: Path) -> None:
            await peers.git_clone(urls.pop(), path.with_name(f"{path.name}-clone"))
            await peers.venv_and_pip(path, cache=known.pip)

        samples = await interleave([Subject(DYNAMO, ours), Subject(CLONE, pip)], rounds=rounds, folder=folder)
    return compare("a template added from git, warm", samples, baseline=CLONE)


@asynccontextmanager
async def _environments(home: Path, *, spares: int = 1) -> AsyncIterator[Environments]:
    chosen = msgspec.structs.replace(_settings(home), spare_environments=spares)
    async with open_store(home, lock_seconds=chosen.lock_seconds) as store, anyio.create_task_group() as tasks:
        yield Environments(chosen, store, tasks)


def _cache(path: Path) -> Path:
    """Return where a cold run keeps what it fetches."""
    return path.with_name(f"{path.name}-cache")


def _settings(home: Path) -> Settings:
    return settings.load({**os.environ, "DYNAMO_MCP_HOME": str(home)}, person=True, python=peers.PYTHON)


def _check(environment: Path) -> None:
    """Refuse to report the time of something that did not work.

    Raises:
        RuntimeError: The environment is not healthy.
    """
    problem = health(environment)
    if problem is not None:
        raise RuntimeError(f"{environment}: {problem}")
