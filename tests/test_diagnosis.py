"""The doctor tries each thing, says what it found in words, and gives what brings the rest."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from dynamo_mcp.diagnosis import diagnose, mended
from dynamo_mcp.settings import load
from dynamo_mcp.types import Primitive
from dynamo_mcp.views import Diagnosis

pytestmark = pytest.mark.anyio

PATH = "/usr/bin:/bin"


async def diagnosed(home: Path, path: str = PATH, **chosen: object) -> Diagnosis:
    return await diagnose(load({"PATH": path}, home=home, **chosen))


def part(found: Diagnosis, name: str) -> Primitive:
    (wanted,) = [part for part in (*found.confinement, *found.running) if part.name == name]
    return wanted


async def test_where_all_is_well_everything_is_there_and_nothing_is_made(tmp_path: Path) -> None:
    found = await diagnosed(tmp_path / "home", output_roots=(tmp_path,))
    assert found.tier == "strong"
    assert found.trusts == ("inert", "contained", "full")
    assert found.ready
    assert [part.name for part in found.running if not part.present] == []
    version = (await anyio.run_process(["bwrap", "--version"])).stdout.decode().split()[1]
    assert part(found, "bubblewrap").why.startswith(f"{version}: `/")
    assert part(found, f"output root {tmp_path}").present
    assert list(tmp_path.iterdir()) == []


async def test_what_is_missing_comes_with_its_command_and_none_comes_twice(tmp_path: Path) -> None:
    found = await diagnosed(tmp_path, path=str(tmp_path))
    assert found.tier != "strong"
    assert "contained" not in found.trusts
    assert not part(found, "bubblewrap").present
    assert not part(found, "git").present
    assert [command.split()[-1].rstrip("'") for command in found.commands] == ["bubblewrap", "git"]
    # Templates from folders, and projects, do without Git.
    assert found.ready


async def test_uv_is_asked_as_long_as_a_person_waits_whatever_an_environment_may_take(tmp_path: Path) -> None:
    assert part(await diagnosed(tmp_path, environment_seconds=0.001), "uv").present


async def test_a_python_that_is_none_keeps_everything_from_running(tmp_path: Path) -> None:
    found = await diagnosed(tmp_path, python=tmp_path / "python")
    assert not found.ready
    assert not part(found, "Python").present
    assert str(tmp_path / "python") in part(found, "Python").why


async def test_a_home_that_can_not_be_written_keeps_everything_from_running(small_disk: Path) -> None:
    await anyio.run_process(["mount", "-o", "remount,ro", str(small_disk)])
    found = await diagnosed(small_disk / "home")
    assert not found.ready
    assert part(found, "home").why == f"`{small_disk}` can't be written: Read-only file system"


async def test_a_home_that_nothing_can_run_in_is_told(small_disk: Path) -> None:
    await anyio.run_process(["mount", "-o", "remount,noexec", str(small_disk)])
    found = await diagnosed(small_disk)
    assert not found.ready
    assert "`noexec`" in part(found, "home").why


@pytest.mark.parametrize(
    ("said", "warned"),
    [
        ("git version 2.39.5", False),
        ("git version 2.50.1 (Apple Git-155)", False),
        ("git version 2.43.0", True),
        ("git version 3.0.0", False),
    ],
)
async def test_an_old_git_is_told_and_still_counts(tmp_path: Path, said: str, *, warned: bool) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tmp_path / "git").chmod(0o755)
    git = part(await diagnosed(tmp_path, path=f"{tmp_path}{os.pathsep}{PATH}"), "git")
    assert git.present
    assert ("CVE-2025-48384" in git.why) == warned


@pytest.mark.parametrize(
    ("minor", "patch", "safe"),
    [(50, 1, True), (50, 0, False), (51, 0, True), (49, 1, True), (45, 3, False), (39, 5, True), (39, 4, False)],
)
def test_the_fixes_of_git_are_known_by_their_releases(minor: int, patch: int, *, safe: bool) -> None:
    assert mended(minor, patch) == safe
