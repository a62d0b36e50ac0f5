"""What does the kernel hold a whole renderer to? Real groups, wherever this machine lets one be made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dynamo_mcp.sandbox import cgroup
from dynamo_mcp.sandbox.cgroup import Place, place, primitive
from homes import SECONDS, Home, base_environments, until

pytestmark = pytest.mark.anyio

needed = pytest.mark.skipif(place() is None, reason="no cgroup v2 may be written here")

TREE = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        os.fork()
        break
os.write(1, b'ready\\n')
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be told to start others, in sessions of their own."""
    code = f"import sys\nsys.stdin.readline()\n{TREE}"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        with suppress(ProcessLookupError):
            process.kill()


def there() -> Place:
    found = place()
    assert found is not None
    return found


def groups(home: Home) -> list[Path]:
    """Return the groups of a home's renderers."""
    status = home.path.stat()
    return sorted(there().folder.glob(f"dynamo-mcp-{status.st_dev:x}-{status.st_ino:x}-*"))


def processes(group: Path) -> list[int]:
    return [int(line) for line in (group / "cgroup.procs").read_text().split()]


def begin(tree: subprocess.Popen[bytes]) -> None:
    """Let a process that waits start the others."""
    assert tree.stdin is not None
    assert tree.stdout is not None
    tree.stdin.write(b"\n")
    tree.stdin.flush()
    for _ in range(7):
        assert tree.stdout.readline() == b"ready\n"


def room_of(home: Home) -> Path:
    room = home.path / "scratch" / "server" / "renderer-1"
    room.mkdir(parents=True)
    return room


@needed
async def test_all_that_a_renderer_starts_ends_with_its_group(home: Home, tree: subprocess.Popen[bytes]) -> None:
    async with cgroup.group(room_of(home), home.settings(), place()) as group:
        group.join(tree.pid, 1 << 22)  # of which the second is gone
        begin(tree)
        (folder,) = groups(home)
        assert len(processes(folder)) == 7
    assert groups(home) == []
    assert tree.wait(SECONDS) == -9


@needed
async def test_a_renderer_is_in_a_group_that_is_gone_with_it(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        project = await dynamo.create_project("one", str(home.outputs))
        assert project.tier == "strong"
        (group,) = groups(home)
        await until(lambda: len(processes(group)) == 4)  # bubblewrap, the worker, and those of the next job
        commands = [Path(f"/proc/{process}/cmdline").read_bytes() for process in processes(group)]
        assert all(b"worker.py" in command for command in commands)
    assert groups(home) == []


@needed
async def test_what_a_dead_server_left_is_ended_and_removed_and_what_a_living_one_has_is_not(
    home: Home, tree: subprocess.Popen[bytes]
) -> None:
    async with cgroup.group(room_of(home), home.settings(), place()) as group:
        group.join(tree.pid)
        begin(tree)
        (name,) = [folder.name for folder in groups(home)]
        assert await cgroup.sweep(home.path, place()) == []
        assert tree.poll() is None
        (home.path / "scratch" / "server" / "renderer-1").rmdir()
        (home.path / "scratch" / "server").rmdir()
        assert await cgroup.sweep(home.path, place()) == [name]
        assert tree.wait(SECONDS) == -9
        assert groups(home) == []


@needed
async def test_the_next_server_sweeps_what_one_that_was_killed_has_left(home: Home) -> None:
    (home.path / "scratch" / "dead").mkdir(parents=True)
    status = home.path.stat()
    left = there().folder / f"dynamo-mcp-{status.st_dev:x}-{status.st_ino:x}-dead-renderer-1"
    left.mkdir()
    try:
        async with home.open():
            assert groups(home) == []
    finally:
        if left.exists():
            left.rmdir()


@needed
def test_what_groups_do_here_is_told_and_was_tried() -> None:
    found = primitive()
    assert found.present
    assert "ends all of a renderer at once" in found.why
    assert list(there().folder.glob("dynamo-mcp-probe-*")) == []


@needed
def test_what_groups_do_is_found_out_beside_a_container_that_does_the_same_under_the_same_number() -> None:
    another = there().folder / f"dynamo-mcp-probe-{os.getpid()}"
    another.mkdir()
    try:
        assert primitive().present
    finally:
        another.rmdir()


def test_a_group_that_can_not_be_written_is_passed_over(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("9:pids:/\n0::/user/server\n")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"41 31 0:38 / {tmp_path / 'nowhere'} ro,relatime - cgroup2 cgroup2 ro\n")
    assert place(mounts, own) is None
    own.write_text("9:pids:/\n")
    assert place(mounts, own) is None
    assert place(tmp_path / "gone", own) is None


def test_the_group_around_is_taken_where_it_limits_more(tmp_path: Path) -> None:
    """Such as a user's `app.slice`, which hands memory and pids on to what is in it (systemd.resource-control(5))."""
    around = tmp_path / "cgroup two" / "app.slice"
    server = around / "server.scope"
    server.mkdir(parents=True)
    for folder, on in ((around, "cpu memory pids\n"), (server, "\n")):
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.subtree_control").write_text(on)
    (tmp_path / "own").write_text("0::/user/app.slice/server.scope\n")
    mount = str(around.parent).replace(" ", "\\040")
    (tmp_path / "mounts").write_text(f"41 31 0:38 /user {mount} rw shared:4 - cgroup2 cgroup2 rw\n")
    found = place(tmp_path / "mounts", tmp_path / "own")
    assert found == Place(around, ("memory", "pids"))
    (around / "cgroup.subtree_control").write_text("cpu\n")
    assert place(tmp_path / "mounts", tmp_path / "own") == Place(server, ())


async def test_a_renderer_gets_the_limits_that_can_be_set_and_starts_without_those_that_can_not(home: Home) -> None:
    """In a folder that is no group: this shows what is written, not that a kernel holds to it."""
    folder = home.root / "group"
    folder.mkdir()
    settings = home.settings(memory_bytes=1 << 30, output_bytes=1 << 20, temporary_bytes=1 << 20, processes=10)
    async with cgroup.group(room_of(home), settings, Place(folder, ("memory", "pids"))):
        (made,) = folder.iterdir()
        said = {file.name: file.read_text() for file in made.iterdir()}
        shutil.rmtree(made)  # as one is gone that the kernel has let go of
    assert said["memory.max"] == str((1 << 30) + (3 << 20) + cgroup.OWN_BYTES)
    assert said["memory.swap.max"] == "0"
    assert said["pids.max"] == str(10 + cgroup.OWN_PROCESSES)


async def test_where_no_group_can_be_made_a_renderer_starts_without(home: Home) -> None:
    gone = Place(home.root / "gone", ("memory",))
    async with cgroup.group(room_of(home), home.settings(), gone) as group:
        group.join(os.getpid())
    async with cgroup.group(home.path, home.settings(), None) as group:
        group.join(os.getpid())
    assert await cgroup.sweep(home.path, None) == []
