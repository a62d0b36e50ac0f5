"""What does the kernel hold a whole renderer to? Its control group (cgroup v2), where one may be made here.

A renderer gets a group of its own, below that of the server or beside it, with what is there of three things: a limit
of memory, one of processes, and `cgroup.kill`, which ends all that is in it at once. A machine without, or a container
that mounts them read-only, goes without: each job is limited and watched anyway (`_in_environment/memory.py`).

The name of a group says which server of which home made it, so that the next one removes what a dead one has left.
Kernel: Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path

import anyio
import msgspec

from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Primitive

OWN_BYTES = 128 << 20
"""Memory that the worker needs itself, and bubblewrap."""
OWN_PROCESSES = 8
SECONDS_TO_EMPTY = 5.0
_PREFIX = "dynamo-mcp"
_LIMITERS = ("memory", "pids")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_POLL_SECONDS = 0.005


class Place(msgspec.Struct, frozen=True):
    """Where groups may be made.

    Attributes:
        folder: The group that they are made in.
        limiters: What can be limited in there: of `memory` and `pids`, those that are.
    """

    folder: Path
    limiters: tuple[str, ...]


def place(mounts: Path = Path("/proc/self/mountinfo"), own: Path = Path("/proc/self/cgroup")) -> Place | None:
    """Find out where groups may be made: of this process's own and the one around it, where more can be limited.

    A group that holds processes can't hand memory on to others within, so that is mostly the one around.
    """
    found = []
    for folder in _candidates(mounts, own):
        with suppress(OSError):
            # Whoever moves a process needs to write to what is common to where it was and where it goes.
            if os.access(folder, os.W_OK | os.X_OK) and os.access(folder / "cgroup.procs", os.W_OK):
                on = (folder / "cgroup.subtree_control").read_text().split()
                found.append(Place(folder, tuple(name for name in _LIMITERS if name in on)))
    return max(found, key=lambda each: len(each.limiters), default=None)


def primitive() -> Primitive:
    """Say what groups do for renderers here; a group is made to find out."""
    where = place()
    if where is None:
        return Primitive(
            "cgroup", present=False, why="no cgroup v2 may be written here; jobs are limited and watched without"
        )
    # Containers may see each other's groups, and have the same process numbers.
    group = where.folder / f"{_PREFIX}-probe-{uuid.uuid4().hex}"
    try:
        group.mkdir()
        kills = (group / "cgroup.kill").exists()
        group.rmdir()
    except OSError as error:
        return Primitive("cgroup", present=False, why=f"`{where.folder}`: {error.strerror}")
    does = [f"limits {name}" for name in where.limiters] + (["ends all of a renderer at once"] if kills else [])
    return Primitive("cgroup", present=bool(does), why=", ".join(does) or f"`{where.folder}` limits nothing")


class Group:
    """The group of one renderer, or of none where none can be made."""

    def __init__(self, folder: Path | None) -> None:
        """Take one that is there."""
        self._folder = folder

    def join(self, *processes: int) -> None:
        """Put processes into it; what they start from now on is in it, too. One that is gone is passed over."""
        if self._folder is not None:
            for process in processes:
                with suppress(OSError):
                    (self._folder / "cgroup.procs").write_text(str(process))

    async def end(self) -> bool:
        """End all that is in it, and remove it; return whether it is gone."""
        if self._folder is None:
            return True
        with anyio.CancelScope(shield=True), anyio.move_on_after(SECONDS_TO_EMPTY):
            while self._folder.exists():
                _kill(self._folder)
                try:
                    self._folder.rmdir()
                except OSError:  # what was killed needs a moment to end
                    await anyio.sleep(_POLL_SECONDS)
        return not self._folder.exists()


@asynccontextmanager
async def group(room: Path, settings: Settings, where: Place | None) -> AsyncIterator[Group]:
    """Make the group of a renderer, and end whatever is still in it on the way out.

    Args:
        room: The renderer's own folder in its server's scratch folder.
        settings: How much a job may use.
        where: What `place` has found.
    """
    folder = where.folder / f"{_mark(room.parents[2])}-{room.parent.name}-{room.name}" if where else None
    try:
        if folder is not None:
            folder.mkdir()
    except OSError:
        folder = None
    # What is written to a tmpfs is memory of whoever wrote it.
    kept = settings.output_bytes + 2 * settings.temporary_bytes
    limits = {
        "memory": {"memory.max": settings.memory_bytes + kept + OWN_BYTES, "memory.swap.max": 0},
        "pids": {"pids.max": settings.processes + OWN_PROCESSES},
    }
    made = Group(folder)
    try:
        if where is not None and folder is not None:
            for file, number in chain.from_iterable(limits[limiter].items() for limiter in where.limiters):
                with suppress(OSError):  # without swap there is no limit of it
                    (folder / file).write_text(str(number))
        yield made
    finally:
        await made.end()


async def sweep(home: Path, where: Place | None) -> list[str]:
    """End and remove the groups that servers of a home have left that are dead; their scratch folders are gone.

    Returns:
        The names of the groups that were removed.
    """
    swept: list[str] = []
    if where is None:
        return swept
    mark = _mark(home)
    for folder in sorted(where.folder.glob(f"{mark}-*")):
        server = folder.name.removeprefix(f"{mark}-").partition("-")[0]
        if (home / "scratch" / server).exists():
            continue
        if await Group(folder).end():
            swept.append(folder.name)
    return swept


def _kill(folder: Path) -> None:
    try:
        (folder / "cgroup.kill").write_text("1")
    except OSError:  # a kernel before 5.14
        with suppress(OSError):
            for process in (folder / "cgroup.procs").read_text().split():
                os.kill(int(process), signal.SIGKILL)


def _mark(home: Path) -> str:
    """Return how the names of a home's groups begin; containers may see each other's groups, and not their homes."""
    status = home.stat()
    return f"{_PREFIX}-{status.st_dev:x}-{status.st_ino:x}"


def _candidates(mounts: Path, own: Path) -> list[Path]:
    """Return the folders of this process's own group and of the one around it, as far as they are mounted."""
    try:
        path = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except (OSError, StopIteration):
        return []
    found = []
    for line in lines:
        # proc_pid_mountinfo(5): the optional fields end with a dash, the kind of file system follows.
        if "-" in line and line[line.index("-") + 1] == "cgroup2":
            root, mounted = (_ESCAPE.sub(lambda code: chr(int(code[1], 8)), field) for field in line[3:5])
            if Path(path).is_relative_to(root):
                inside = Path(path).relative_to(root)
                found += [Path(mounted, inside), *([Path(mounted, inside.parent)] if inside.parts else [])]
    return found
