"""What do processes hold? Memory, descriptors and children, as the kernel tells it (proc_pid_smaps(5), Linux alone)."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

KIB_PER_MB = 1_000_000 / 1024


class Held(msgspec.Struct, frozen=True):
    """What a process and all below it hold.

    Attributes:
        megabytes: Memory, of which what is shared counts by its share (PSS).
        descriptors: Open files.
        processes: How many they are.
    """

    megabytes: float
    descriptors: int
    processes: int


def descendants(root: int) -> list[int]:
    """Return a process and all that it and its children started, itself first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold anything (proc_pid_stat(5)).
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, pending = [], [root]
    while pending:
        found.append(pending.pop())
        pending += children.get(found[-1], [])
    return found


def held(root: int) -> Held:
    """Return what a process and all below it hold now; what ends meanwhile counts for nothing."""
    megabytes, descriptors, processes = 0.0, 0, 0
    for process in descendants(root):
        try:
            megabytes += proportional(process)
            descriptors += len(os.listdir(f"/proc/{process}/fd"))
        except OSError:
            continue
        processes += 1
    return Held(megabytes, descriptors, processes)


def proportional(process: int) -> float:
    """Return a process's memory in MB, of which what is shared counts by its share.

    Raises:
        OSError: It is gone.
    """
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / KIB_PER_MB
    raise ProcessLookupError(process)


def command(process: int) -> list[str]:
    """Return a process's command line; empty when it is gone."""
    try:
        return [os.fsdecode(word) for word in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0") if word]
    except OSError:
        return []
