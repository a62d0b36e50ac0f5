"""How is a folder on this machine taken in? Copied and linted at once, or used in place."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from dynamo_mcp.errors import FetchFailed, InvalidLocation, InvalidTemplate
from dynamo_mcp.progress import Step
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import SECONDS, Fetch, Repository

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "{{cookiecutter.slug}}" / "größe").mkdir(parents=True)
    (folder / "cookiecutter.json").write_text("{}")
    (folder / "{{cookiecutter.slug}}" / "größe" / "{{ cookiecutter.x|lower }} 'q'.py").write_text("x")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o750)
    (folder / "link").symlink_to("{{cookiecutter.slug}}/größe")
    return folder


def at(folder: Path, *, live: bool = False, directory: str | None = None) -> Location:
    return Location("local", str(folder), directory=directory, live=live)


async def test_a_folder_is_copied_to_the_place_that_its_digest_names(
    fetch: Fetch, folder: Path, store: Store, steps: list[Step]
) -> None:
    checkout = await fetch(at(folder))
    assert checkout.path == store.home / "checkouts" / checkout.digest[:32]
    assert checkout.revision is None
    name = "{{cookiecutter.slug}}/größe/{{ cookiecutter.x|lower }} 'q'.py"
    assert (checkout.path / name).read_text() == "x"
    assert (checkout.path / "link").readlink() == Path("{{cookiecutter.slug}}/größe")
    assert stat.S_IMODE((checkout.path / "run").stat().st_mode) == 0o750
    assert [step.message for step in steps] == [f"copying `{folder}`"]


async def test_history_environments_and_bytecode_are_left_out(fetch: Fetch, folder: Path) -> None:
    before = await fetch(at(folder))
    for name in (".git", ".hg", ".venv", "run.d/__pycache__"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x").write_text("x")
    (folder / "run.d" / ".git").write_text("gitdir: /elsewhere")
    checkout = await fetch(at(folder))
    assert checkout.digest != before.digest
    assert sorted(path.name for path in checkout.path.iterdir()) == [
        "cookiecutter.json",
        "link",
        "run",
        "run.d",
        "{{cookiecutter.slug}}",
    ]
    assert list((checkout.path / "run.d").iterdir()) == []


async def test_in_what_a_project_is_made_of_only_a_repositorys_own_folder_is_left_out_and_told(
    fetch: Fetch, folder: Path
) -> None:
    inside = folder / "{{cookiecutter.slug}}"
    for name in (".hg", ".venv", "__pycache__", ".git", "größe/.git"):
        (inside / name).mkdir()
        (inside / name / "x").write_text("x")
    checkout = await fetch(at(folder))
    assert sorted(path.name for path in (checkout.path / inside.name).iterdir()) == [
        ".hg",
        ".venv",
        "__pycache__",
        "größe",
    ]
    assert (checkout.path / inside.name / ".hg" / "x").read_text() == "x"
    said = "a repository's own `.git` is no part of a template"
    assert checkout.left_out == (f"{inside.name}/.git: {said}", f"{inside.name}/größe/.git: {said}")
    with pytest.raises(InvalidTemplate, match=r"slug\}\}/.git` is a repository's own, which only a copy"):
        await fetch(at(folder, live=True))


async def test_bytecode_that_a_run_writes_changes_no_digest(fetch: Fetch, folder: Path) -> None:
    for name in ("hooks", "local_extensions"):
        (folder / name).mkdir()
    before = await fetch(at(folder, live=True))
    for name in ("hooks", "local_extensions", "."):
        (folder / name / "__pycache__").mkdir()
        (folder / name / "__pycache__" / "x.pyc").write_text("x")
    assert (await fetch(at(folder, live=True))).digest == before.digest
    (folder / "{{cookiecutter.slug}}" / "__pycache__").mkdir()
    assert (await fetch(at(folder, live=True))).digest != before.digest


async def test_set_uid_bits_are_dropped_and_those_of_a_projects_files_told(fetch: Fetch, folder: Path) -> None:
    inside = folder / "{{cookiecutter.slug}}" / "run"
    inside.write_text("x")
    for file, mode in ((folder / "run", 0o6755), (inside, 0o4755)):
        file.chmod(mode)
    checkout = await fetch(at(folder))
    assert stat.S_IMODE((checkout.path / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((checkout.path / inside.relative_to(folder)).stat().st_mode) == 0o755
    assert checkout.left_out == ("{{cookiecutter.slug}}/run: no file gets a set-uid, set-gid or sticky bit",)


async def test_what_was_left_out_is_told_up_to_what_a_person_reads(fetch: Fetch, folder: Path) -> None:
    for number in range(30):
        (folder / "{{cookiecutter.slug}}" / str(number) / ".git").mkdir(parents=True)
    told = (await fetch(at(folder))).left_out
    assert (len(told), told[-1]) == (21, "and more")


@pytest.mark.parametrize("live", [False, True])
async def test_a_link_out_of_the_folder_is_refused_by_name(fetch: Fetch, folder: Path, *, live: bool) -> None:
    (folder / "{{cookiecutter.slug}}" / "leak").symlink_to("../../secret")
    with pytest.raises(InvalidTemplate, match=r"the link `\{\{cookiecutter\.slug\}\}/leak`"):
        await fetch(at(folder, live=live))


async def test_a_live_link_through_what_is_left_out_is_refused(fetch: Fetch, folder: Path, tmp_path: Path) -> None:
    (folder / ".venv").symlink_to(tmp_path)
    (folder / "leak").symlink_to(".venv/secret")
    with pytest.raises(InvalidTemplate, match="the link `leak` leaves the folder"):
        await fetch(at(folder, live=True))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_a_special_file_is_refused_by_name_and_never_opened(
    fetch: Fetch, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, *, live: bool
) -> None:
    if kind == "pipe":
        os.mkfifo(folder / "special")
    else:
        monkeypatch.chdir(folder)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("special")
    with anyio.fail_after(SECONDS), pytest.raises(InvalidTemplate, match="`special` is a device, a pipe or a socket"):
        await fetch(at(folder, live=live))


@pytest.mark.parametrize("live", [False, True])
async def test_too_many_files_or_bytes_are_refused(fetch: Fetch, folder: Path, store: Store, *, live: bool) -> None:
    with pytest.raises(InvalidTemplate, match="has more than 3 files and folders"):
        await fetch(at(folder, live=live), template_files=3)
    with pytest.raises(InvalidTemplate, match="has more than 5 bytes"):
        await fetch(at(folder, live=live), template_bytes=5)
    assert list((store.home / "checkouts").iterdir()) == []


async def test_a_live_folder_is_used_in_place_and_its_digest_follows_every_edit(
    fetch: Fetch, folder: Path, store: Store
) -> None:
    (folder / ".git").mkdir()
    before = await fetch(at(folder, live=True))
    assert before.path == folder
    assert before.digest == (await fetch(at(folder))).digest
    (folder / "run").chmod(0o640)
    after = await fetch(at(folder, live=True))
    assert after.digest != before.digest
    assert [path.name for path in (store.home / "checkouts").iterdir()] == [before.digest[:32]]


async def test_a_directory_that_is_not_there_is_refused(fetch: Fetch, folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "cookiecutter.json").write_text("{}")
    await fetch(at(folder, directory="inner"))
    for live in (False, True):
        with pytest.raises(InvalidLocation, match="no folder `outer`") as caught:
            await fetch(at(folder, directory="outer", live=live))
        assert "`inner`" in caught.value.hint


async def test_a_folder_that_went_away_or_became_a_link_is_refused(fetch: Fetch, folder: Path) -> None:
    moved = folder.with_name("moved")
    folder.rename(moved)
    with pytest.raises(InvalidLocation, match="no folder"):
        await fetch(at(folder))
    folder.symlink_to(moved)
    with pytest.raises(InvalidLocation, match="leads through a link"):
        await fetch(at(folder))


async def test_what_cannot_be_read_is_told_with_its_name(fetch: Fetch, folder: Path) -> None:
    # Deeper than a path may be, which not even root can read from its root.
    deep, kept = "x" * 200, os.open(folder, os.O_RDONLY)
    for _ in range(25):
        os.mkdir(deep, dir_fd=kept)
        inner = os.open(deep, os.O_RDONLY, dir_fd=kept)
        os.close(kept)
        kept = inner
    os.close(kept)
    with pytest.raises(FetchFailed, match="File name too long"):
        await fetch(at(folder))


async def test_the_same_tree_has_one_digest_and_one_checkout_by_git_and_by_copy(
    fetch: Fetch, repository: Repository, store: Store
) -> None:
    by_copy = await fetch(at(repository.path))
    by_git = await fetch(Location("git", repository.url))
    assert (by_git.digest, by_git.path) == (by_copy.digest, by_copy.path)
    assert len(list((store.home / "checkouts").iterdir())) == 1
    (repository.path / "hooks" / "post_gen_project.sh").chmod(0o644)
    assert (await fetch(at(repository.path))).digest != by_git.digest


async def test_a_copy_cancelled_in_the_middle_leaves_nothing(fetch: Fetch, folder: Path, store: Store) -> None:
    for number in range(5000):
        (folder / f"file{number}").write_text("x")
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, at(folder))
            while not any(store.scratch.glob("*/file*")):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert list(store.scratch.iterdir()) == []
    assert list((store.home / "checkouts").iterdir()) == []
