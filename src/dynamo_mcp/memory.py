"""How much memory does a process take of its own, and how much is free? As far as the kernel tells (proc(5))."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_KIBIBYTE = 1024
_GROUP = Path("/sys/fs/cgroup")


def taken_bytes(process: int) -> int | None:
    """Return what a process has in memory that is of no file, whether or not forks of it share that; None if untold."""
    return _field(Path(f"/proc/{process}/status"), "RssAnon")


def free_bytes() -> int:
    """Return what can still be had without swapping: of the machine, and of the group that this process is limited by.

    Where that is not told, nobody is kept from anything.
    """
    free = _field(Path("/proc/meminfo"), "MemAvailable")
    free = sys.maxsize if free is None else free
    # In a container the root of the groups is its own (cgroups(7)).
    with suppress(OSError, ValueError):
        limit = int((_GROUP / "memory.max").read_text("ascii"))
        free = min(free, max(0, limit - int((_GROUP / "memory.current").read_text("ascii"))))
    return free


def _field(path: Path, wanted: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text("ascii", "replace").splitlines():
            name, _, value = line.partition(":")
            if name == wanted:
                return int(value.split()[0]) * _KIBIBYTE
    return None
