"""Which clones of a base are ready? As many as were asked for, each claimed once, none of a base that is gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from child import python
from conftest import Listener
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.environments import Environments
from dynamo_mcp.recorded import packages_of
from dynamo_mcp.settings import Settings
from dynamo_mcp.soundness import health
from dynamo_mcp.spares import MARKER, QUIET_SECONDS
from dynamo_mcp.store import open_store
from homes import Home, base_environments, give, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(shared_settings: Settings, shared_home: Path, tmp_path: Path) -> Settings:
    """A home of the test's own that has the plain base, and is to have two spares of it."""
    home = tmp_path / "home"
    home.mkdir()
    give(shared_home / "bases", home / "bases")
    give(shared_home / "wheels", home / "wheels")
    return msgspec.structs.replace(shared_settings, home=home, spare_environments=2)


@asynccontextmanager
async def _open(settings: Settings, *, keeping: bool = False) -> AsyncIterator[Environments]:
    async with open_store(settings.home, lock_seconds=settings.lock_seconds) as store:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                environments = Environments(settings, store, tasks)
                if keeping:
                    tasks.start_soon(environments.keep_spares)
                yield environments
                tasks.cancel_scope.cancel()
        assert list(store.scratch.iterdir()) == []


def _spares(settings: Settings) -> list[Path]:
    return list((settings.home / "spares").glob("*/*"))


async def _fill(settings: Settings) -> list[Path]:
    async with _open(settings, keeping=True):
        await until(lambda: len(_spares(settings)) == settings.spare_environments)
    return _spares(settings)


@pytest.fixture
def linked(audited: list[Listener]) -> list[str]:
    """Which files were linked since the test began."""
    files: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.link":
            files.append(os.fsdecode(arguments[1]))

    audited.append(note)
    return files


async def test_as_many_as_were_asked_for_are_kept_and_each_is_whole(settings: Settings) -> None:
    spares = await _fill(settings)
    assert [health(spare) for spare in spares] == [None, None]
    assert await _fill(settings) == spares


async def test_a_spare_becomes_a_template_s_environment_without_a_file_being_linked(
    settings: Settings, linked: list[str]
) -> None:
    spares = {spare.stat().st_ino for spare in await _fill(settings)}
    linked.clear()
    async with _open(settings) as environments:
        made = [(await environments.ensure(name, ())).path for name in ("one", "two")]
        assert linked == []
        assert {path.stat().st_ino for path in made} == spares
        assert _spares(settings) == []
        made.append((await environments.ensure("three", ())).path)
        assert linked != []
    assert [health(path) for path in made] == [None, None, None]


async def test_what_was_claimed_is_replaced_by_another(settings: Settings) -> None:
    async with _open(settings, keeping=True) as environments:
        await until(lambda: len(_spares(settings)) == 2)
        before = set(_spares(settings))
        await environments.ensure("one", ())
        assert len(_spares(settings)) == 1
        await until(lambda: len(_spares(settings)) == 2)
        assert len(before & set(_spares(settings))) == 1


async def test_no_spare_is_made_while_somebody_waits_for_an_environment(settings: Settings) -> None:
    async with _open(settings, keeping=True) as environments:
        with environments._spares.awaited():  # noqa: SLF001 - a caller that takes as long as the test likes
            await anyio.sleep(3 * QUIET_SECONDS)
            assert _spares(settings) == []
        await until(lambda: len(_spares(settings)) == 2)


async def test_the_first_base_is_made_for_a_caller_and_its_spares_afterwards(settings: Settings) -> None:
    shutil.rmtree(settings.home / "bases")
    async with _open(settings, keeping=True) as environments:
        await anyio.sleep(2 * QUIET_SECONDS)
        assert list((settings.home / "bases").iterdir()) == _spares(settings) == []
        await environments.ensure("one", ())
        await until(lambda: len(_spares(settings)) == 2)


async def test_requirements_of_one_s_own_never_get_a_spare(settings: Settings) -> None:
    spares = await _fill(settings)
    async with _open(settings) as environments:
        made = await environments.ensure("one", ("jinja2-time",))
        assert (packages_of(made.path) / "jinja2_time").is_dir()
    assert _spares(settings) == spares


async def test_spares_of_a_base_that_was_made_anew_are_never_claimed_and_are_replaced(settings: Settings) -> None:
    old = await _fill(settings)
    async with _open(settings) as environments:
        rebuilt = await environments.rebuild("one", ())
        made = await environments.ensure("two", ())
        (marker,) = {(path / MARKER).stat().st_ino for path in (rebuilt.path, made.path, made.base)}
        assert _spares(settings) == []
    async with _open(settings, keeping=True):
        await until(lambda: len(_spares(settings)) == 2 and not set(_spares(settings)) & set(old))
        assert {(spare / MARKER).stat().st_ino for spare in _spares(settings)} == {marker}


async def test_spares_whose_base_is_gone_are_removed(settings: Settings) -> None:
    gone = settings.home / "spares" / "0123456789abcdef"
    (gone / "one" / "lib").mkdir(parents=True)
    await _fill(settings)
    assert not gone.exists()


async def test_a_spare_that_is_not_whole_is_passed_over_and_replaced(settings: Settings) -> None:
    spares = await _fill(settings)
    broken, sound = spares
    shutil.rmtree(packages_of(broken) / "cookiecutter")
    inode = sound.stat().st_ino
    async with _open(settings) as environments:
        made = await environments.ensure("one", ())
        assert made.path.stat().st_ino == inode
        assert health((await environments.ensure("two", ())).path) is None
        assert _spares(settings) == [broken]
    assert broken not in await _fill(settings)


async def test_what_another_process_claims_at_that_moment_is_passed_over(
    settings: Settings, audited: list[Listener]
) -> None:
    await _fill(settings)
    taken: list[str] = []

    def take(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and "/spares/" in str(arguments[0]) and not taken:
            taken.append(str(arguments[0]))
            shutil.move(taken[0], settings.home / "taken")

    audited.append(take)
    async with _open(settings) as environments:
        made = await environments.ensure("one", ())
    assert health(made.path) is None
    assert len(taken) == 1
    assert _spares(settings) == []


async def test_processes_that_claim_at_once_get_an_environment_each(settings: Settings) -> None:
    settings = msgspec.structs.replace(settings, spare_environments=4)
    spares = {spare.stat().st_ino for spare in await _fill(settings)}
    script = """
        import pathlib, sys, anyio
        from dynamo_mcp.environments import Environments
        from dynamo_mcp.settings import load
        from dynamo_mcp.store import open_store

        async def main():
            settings = load(home=pathlib.Path(sys.argv[1]))
            async with open_store(settings.home, lock_seconds=60) as store, anyio.create_task_group() as tasks:
                environments = Environments(settings, store, tasks)
                print("ready", flush=True)
                sys.stdin.readline()
                for number in range(2):
                    made = await environments.ensure(f"{sys.argv[2]}-{number}", ())
                    print(made.path.stat().st_ino, flush=True)

        anyio.run(main)
    """
    claimed: set[int] = set()
    async with python(script, settings.home, "one") as one, python(script, settings.home, "other") as other:
        for process in (one, other):
            assert (await process.line()).strip() == "ready"
        for process in (one, other):
            await process.tell("go")
        for process in (one, other):
            claimed |= {int(await process.line()), int(await process.line())}
            assert await process.end() == 0
    assert claimed == spares


@pytest.mark.parametrize("milliseconds", [0, 5, 10, 20, 40])
async def test_a_server_that_ends_while_it_makes_one_leaves_nothing_half_made(
    settings: Settings, milliseconds: int
) -> None:
    async with _open(settings, keeping=True):
        await anyio.sleep(milliseconds / 1000)
    assert [health(spare) for spare in _spares(settings)] == [None] * len(_spares(settings))


async def test_a_server_has_spares_and_a_command_makes_none(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(tmp_path, base_environments(tmp_path_factory))
    spares = home.path / "spares"
    async with home.open():
        await anyio.sleep(2 * QUIET_SECONDS)
    assert list(spares.glob("*/*")) == []
    async with open_dynamo(home.settings(spare_environments=1, serves=True)):
        await until(lambda: list(spares.glob("*/*")))
