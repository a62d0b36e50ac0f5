"""How much do all processes of a job use together? Looked at now and then by its supervisor (`watching.py`).

Each process has limits of its own (`confine.py`), but there may be many processes, shared memory is nobody's alone, and
the kernel does not hold root to a number of processes. A look is cheap as long as little is used: what the processes
have in memory by themselves is added up first, and only where that is too much it is asked how much of it they share.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import family, identity
    from dynamo_mcp._in_environment.watching import TooMuch
else:
    import family
    import identity
    from watching import TooMuch

_KIBIBYTE = 1024
_BUFFERS = {"socket": 212_992, "pipe": 65_536}
"""Bytes that one may hold as it is made (socket(7), pipe(7)); jobs can't have them hold more (`seccomp.py`)."""


def die_first() -> None:
    """Have the kernel end this process, and what it starts, before others when there is no memory left.

    proc_pid_oom_score_adj(5)
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")


class _Used(NamedTuple):
    teller: int
    bytes: int
    threads: int


def look(limits: dict[str, Any], *, alone: bool, user: int | None = None) -> None:
    """Look at what the job of this supervisor uses now.

    Args:
        limits: How much that may be ("memory_bytes", "processes").
        alone: The worker has a PID namespace of its own, in which this process may look at everything.
        user: As whom the job runs.

    Raises:
        TooMuch: It is more than they may.
    """
    used = [_used(process) for process in (_others() if alone else family.descendants(os.getpid()))]
    threads = sum(each.threads for each in used)
    if threads > limits["processes"]:
        told = f"the job had more than {limits['processes']} processes and threads at a time"
        raise TooMuch("processes", told, "processes")
    together = functools.partial(_together, used, limits["memory_bytes"])
    if (together() if alone or user is None else identity.asked_as(user, together)) > limits["memory_bytes"]:
        told = f"the job used more memory than the {limits['memory_bytes']} bytes that it may"
        raise TooMuch("memory", told, "memory_bytes")


def _together(used: list[_Used], limit: int) -> int:
    """Return what processes use, where what they share counts once if they would be above a limit otherwise."""
    unmapped = _in_files(used)
    if sum(each.bytes for each in used) + unmapped <= limit:
        return 0
    return sum(map(_share, used)) + unmapped


def _others() -> list[int]:
    """Return what there is in a PID namespace besides the worker and its supervisor, which is this process."""
    own = {1, os.getpid()}
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) not in own]


def _used(process: int) -> _Used:
    """Return what a process has in memory by itself or in common with others, but for files (proc_pid_status(5)).

    Where its first thread has ended, and others have not, one of those tells it.
    """
    wanted = ("RssAnon", "RssShmem", "Threads")
    teller, found = process, dict(_fields(f"/proc/{process}/status", wanted))
    if "RssAnon" not in found and found.get("Threads", 0) > 1:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{process}/task"):
                told = dict(_fields(f"/proc/{process}/task/{thread}/status", wanted))
                if "RssAnon" in told:
                    teller, found = int(thread), told
                    break
    used = found.get("RssAnon", 0) + found.get("RssShmem", 0)
    return _Used(teller, used * _KIBIBYTE, found.get("Threads", 0))


def _share(used: _Used) -> int:
    """Return the same with what is in common divided by those who have it (proc_pid_smaps_rollup(5)).

    Of a process that does not let itself be looked at, nothing is taken for shared.
    """
    shares = dict(_fields(f"/proc/{used.teller}/smaps_rollup", ("Pss", "Pss_Anon", "Pss_Shmem")))
    if "Pss_Anon" in shares:
        return (shares["Pss_Anon"] + shares.get("Pss_Shmem", 0)) * _KIBIBYTE
    return shares["Pss"] * _KIBIBYTE if shares else used.bytes


def _in_files(used: list[_Used]) -> int:
    """Return what is in memory, or may be, that is open and not mapped: files without a name, sockets and pipes."""
    found: dict[str, int] = {}
    for each in used:
        with contextlib.suppress(OSError):
            for entry in os.listdir(f"/proc/{each.teller}/fd"):
                path = f"/proc/{each.teller}/fd/{entry}"
                with contextlib.suppress(OSError):
                    target = os.readlink(path)
                    kind = target.partition(":")[0]
                    if kind == "/memfd":
                        status = os.stat(path)
                        found[f"{status.st_dev} {status.st_ino}"] = status.st_blocks * 512
                    elif kind in _BUFFERS:
                        found[target] = _BUFFERS[kind]
    return sum(found.values())


def _fields(path: str, wanted: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the fields of a file of /proc; none if the process is gone, or does not let itself be looked at."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in wanted:
                yield name, int(value.split()[0])
