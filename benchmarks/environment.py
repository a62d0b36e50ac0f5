"""How long does an environment take? Cold, warm, and made before, against `venv` and pip."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from benchmarks import peers
from benchmarks.measuring import Comparison, Result, Subject, compare, faster, interleave
from dynamo_mcp import settings
from dynamo_mcp.environments import AT_ONCE, Environments
from dynamo_mcp.settings import Settings
from dynamo_mcp.soundness import health
from dynamo_mcp.store import open_store

DYNAMO = "Dynamo"
UV = "uv venv + uv pip install"
COMPILED = "the same, bytecode compiled"
PIP = "venv + pip"
LEAST_TIMES_OF_PIP, LEAST_TIMES_OF_UV = 120.0, 2.5
SPARE_TIMES_OF_PIP, SPARE_TIMES_OF_UV = 10_000.0, 500.0
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
    for name in ("cold", "warm", "spare"):
        (folder / name).mkdir()
    cold = await _cold(folder / "cold", rounds=1 if quick else 3)
    runs = [folder / "cold" / f"run-0-{place}" for place in range(len(cold.samples))]
    known = _Known(runs[0], _cache(runs[1]), _cache(runs[2]))
    warm = await _warm(folder / "warm", known, rounds=1 if quick else 9)
    spare = await _spare(folder / "spare", known, rounds=1 if quick else 9, pip=not quick)
    claims = (
        faster("a new environment, warm,", warm, DYNAMO, LEAST_TIMES_OF_PIP),
        faster("a new environment, warm,", warm, DYNAMO, LEAST_TIMES_OF_UV, than=UV),
        *([] if quick else [faster("a spare environment, claimed,", spare, DYNAMO, SPARE_TIMES_OF_PIP)]),
        faster("a spare environment, claimed,", spare, DYNAMO, SPARE_TIMES_OF_UV, than=UV),
    )
    return Result("environment", (cold, warm, spare), claims=claims)


async def _cold(folder: Path, *, rounds: int) -> Comparison:
    async def ours(path: Path) -> None:
        async with environments(path) as ours_of_home:
            _check((await ours_of_home.ensure("first", ())).path)

    async def uv(path: Path) -> None:
        await peers.uv_venv_and_install(path, cache=_cache(path))

    async def pip(path: Path) -> None:
        await peers.venv_and_pip(path, cache=_cache(path))

    subjects = [Subject(DYNAMO, ours), Subject(UV, uv), Subject(PIP, pip)]
    samples = await interleave(subjects, rounds=rounds, folder=folder)
    return compare("an environment, cold", samples, baseline=PIP)


async def _warm(folder: Path, known: _Known, *, rounds: int) -> Comparison:
    async with environments(known.home) as ours_of_home:

        async def ours(path: Path) -> None:
            await ours_of_home.ensure(path.name, ())

        async def uv(path: Path) -> None:
            await peers.uv_venv_and_install(path, cache=known.uv)

        async def compiled(path: Path) -> None:
            await peers.uv_venv_and_install(path, cache=known.uv, compiled=True)

        async def pip(path: Path) -> None:
            await peers.venv_and_pip(path, cache=known.pip)

        subjects = [Subject(DYNAMO, ours), Subject(UV, uv), Subject(COMPILED, compiled), Subject(PIP, pip)]
        samples = await interleave(subjects, rounds=rounds, folder=folder)
        for path in (known.home / "venvs").iterdir():
            _check(path)
    return compare("an environment, warm", samples, baseline=PIP)


async def _spare(folder: Path, known: _Known, *, rounds: int, pip: bool) -> Comparison:
    """Measure the claim alone: the spares were made before, while nobody waited."""
    async with environments(known.home, DYNAMO_MCP_SPARE_ENVIRONMENTS=str(rounds)) as ours_of_home:
        with anyio.fail_after(FILL_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ours_of_home.keep_spares)
                while len(list((known.home / "spares").glob("*/*"))) < rounds:  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.1)
                tasks.cancel_scope.cancel()

        async def ours(path: Path) -> None:
            await ours_of_home.ensure(f"spare-{path.name}", ())

        async def uv(path: Path) -> None:
            await peers.uv_venv_and_install(path, cache=known.uv)

        async def with_pip(path: Path) -> None:
            await peers.venv_and_pip(path, cache=known.pip)

        subjects = [Subject(DYNAMO, ours), Subject(UV, uv), *([Subject(PIP, with_pip)] if pip else [])]
        samples = await interleave(subjects, rounds=rounds, folder=folder)
        for path in (known.home / "venvs").glob("spare-*"):
            _check(path)
    return compare("a spare environment claimed", samples, baseline=samples[-1].name)


@asynccontextmanager
async def environments(home: Path, at_once: int = AT_ONCE, **more: str) -> AsyncIterator[Environments]:
    """Open a home's environments, with more environment variables if need be; so many bases are made at a time."""
    chosen = _settings(home, **more)
    async with open_store(home, lock_seconds=chosen.lock_seconds) as store, anyio.create_task_group() as tasks:
        yield Environments(chosen, store, tasks, at_once)


def _cache(path: Path) -> Path:
    """Return where a cold run keeps what it fetches."""
    return path.with_name(f"{path.name}-cache")


def _settings(home: Path, **more: str) -> Settings:
    return settings.load({**os.environ, "DYNAMO_MCP_HOME": str(home), **more}, person=True, python=peers.PYTHON)


def _check(environment: Path) -> None:
    """Refuse to report the time of something that did not work.

    Raises:
        RuntimeError: The environment is not healthy.
    """
    problem = health(environment)
    if problem is not None:
        raise RuntimeError(f"{environment}: {problem}")
