"""Which versions exactly do requirements mean? What was found out once, with hashes, until the index has it no more."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from conftest import Listener
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import EnvironmentFailed
from dynamo_mcp.recorded import packages_of
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import open_store
from homes import give
from wheels import publish

pytestmark = pytest.mark.anyio


NEEDS = ("jinja2-time!=0.0.1",)
"""What no other test asks for, so that no home has its base."""


@pytest.fixture
def settings(shared_settings: Settings, shared_home: Path, tmp_path: Path) -> Settings:
    """A home of the test's own that has the plain base, and an index with a package of the test's own."""
    home = tmp_path / "home"
    home.mkdir()
    give(shared_home / "bases", home / "bases")
    give(shared_home / "wheels", home / "wheels")
    address = publish(tmp_path / "index", "strange_thing", {"strange_thing.py": ""})
    return msgspec.structs.replace(shared_settings, home=home, passed={**shared_settings.passed, "UV_INDEX": address})


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Environments]:
    async with open_store(settings.home, lock_seconds=settings.lock_seconds) as store:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                yield Environments(settings, store, tasks)
                tasks.cancel_scope.cancel()
        assert list(store.scratch.iterdir()) == []


@pytest.fixture
def uv_runs(audited: list[Listener]) -> list[str]:
    """What uv was asked for since the test began: `venv`, `compile` or `install`."""
    runs: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and Path(os.fsdecode(arguments[0])).name == "uv":
            runs.append(arguments[1][2] if arguments[1][1] == "pip" else arguments[1][1])

    audited.append(note)
    return runs


def _pins(settings: Settings) -> Path:
    (path,) = (settings.home / "requirements").glob("*.txt")
    return path


async def test_every_package_is_pinned_with_its_hashes_in_a_file_that_others_can_install_from(
    settings: Settings,
) -> None:
    async with _open(settings) as environments:
        made = await environments.ensure("one", NEEDS)
        text = _pins(settings).read_text()
    lines = [line.split()[0] for line in text.splitlines() if not line.startswith(" ")]
    assert sorted(line.replace("-", "_").lower() for line in lines) == sorted(
        package.replace("-", "_").lower() for package in made.packages
    )
    assert text.count("--hash=sha256:") > len(lines)


async def test_a_base_that_is_made_again_is_not_resolved_again(settings: Settings, uv_runs: list[str]) -> None:
    async with _open(settings) as environments:
        first = await environments.ensure("one", NEEDS)
        assert "compile" in uv_runs
        pinned = _pins(settings).read_bytes()
        shutil.rmtree(first.base)
        uv_runs.clear()
        assert (await environments.rebuild("one", NEEDS)).packages == first.packages
    assert uv_runs == ["venv", "install"]
    assert _pins(settings).read_bytes() == pinned


async def test_asking_whether_something_can_be_installed_resolves_it_for_the_installation(
    settings: Settings, uv_runs: list[str]
) -> None:
    async with _open(settings) as environments:
        assert await environments.lacks(NEEDS) is None
        uv_runs.clear()
        assert await environments.lacks(NEEDS) is None
        assert uv_runs == []
        await environments.ensure("one", NEEDS)
    assert "compile" not in uv_runs


async def test_what_can_t_be_installed_is_asked_for_again(settings: Settings) -> None:
    async with _open(settings) as environments:
        reason = await environments.lacks(("no-package-of-this-name-dynamo-mcp",))
        assert "no-package-of-this-name-dynamo-mcp" in str(reason)
        assert list((settings.home / "requirements").glob("*.txt")) == []


async def test_an_index_without_hashes_serves_as_well(settings: Settings) -> None:
    async with _open(settings) as environments:
        made = await environments.ensure("one", ("strange-thing",))
    assert (packages_of(made.path) / "strange_thing.py").exists()


async def test_a_version_that_the_index_no_longer_has_is_found_out_anew(settings: Settings, uv_runs: list[str]) -> None:
    async with _open(settings) as environments:
        assert await environments.lacks(("strange-thing",)) is None
        pins = _pins(settings)
        pins.write_text(pins.read_text().replace("strange-thing==1.0", "strange-thing==0.9"))
        uv_runs.clear()
        made = await environments.ensure("one", ("strange-thing",))
    assert "strange_thing==1.0" in made.packages
    assert uv_runs.count("compile") == 1
    assert "strange-thing==1.0" in pins.read_text()


async def test_what_is_pinned_stays_where_the_index_is_away(settings: Settings) -> None:
    async with _open(settings) as environments:
        assert await environments.lacks(("strange-thing",)) is None
        pinned = _pins(settings).read_bytes()
        index = Path(settings.passed["UV_INDEX"].removeprefix("file://"))
        index.rename(index.with_name("away"))
        with pytest.raises(EnvironmentFailed):
            await environments.ensure("one", ("strange-thing",))
        assert _pins(settings).read_bytes() == pinned
        index.with_name("away").rename(index)
        assert "strange_thing==1.0" in (await environments.ensure("one", ("strange-thing",))).packages
    assert _pins(settings).read_bytes() == pinned


async def test_a_file_that_is_another_one_than_was_pinned_is_not_installed(settings: Settings) -> None:
    async with _open(settings) as environments:
        assert await environments.lacks(("strange-thing",)) is None
        pins = _pins(settings)
        text, number = re.subn(
            r"(strange-thing==1\.0) .*\n.*[0-9a-f]{64}", rf"\1 --hash=sha256:{'0' * 64}", pins.read_text()
        )
        assert number == 1, text
        pins.write_text(text)
        with pytest.raises(EnvironmentFailed, match=r"(?i)hash mismatch"):
            await environments.ensure("one", ("strange-thing",))


@pytest.mark.parametrize("line", ["--index-url=https://example.com/", "-e .", "x\n-r other.txt", "", "x\\"])
async def test_no_requirement_is_an_option_of_uv(settings: Settings, line: str, uv_runs: list[str]) -> None:
    async with _open(settings) as environments:
        with pytest.raises(EnvironmentFailed, match="is no requirement"):
            await environments.lacks((line,))
    assert uv_runs == []
