"""How much do all processes of a job use together? Looked at now and then while the worker waits (`watching.py`).

Each process has limits of its own (`confine.py`), but there may be many processes, shared memory is nobody's alone, and
the kernel does not hold root to a number of processes. A look is cheap as long as little is used: what the processes
have in memory by themselves is added up first, and only where that is too much it is asked how much of it they share.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import family
    from dynamo_mcp._in_environment.watching import TooMuch
else:
    import family
    from watching import TooMuch

_KIBIBYTE = 1024


def die_first() -> None:
    """Have the kernel end this process, and what it starts, before others when there is no memory left.

    proc_pid_oom_score_adj(5)
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")


class _Used(NamedTuple):
    bytes: int
    threads: int


def look(limits: dict[str, Any], *, alone: bool) -> None:
    """Look at what the jobs of this worker use now.

    Raises:
        TooMuch: It is more than they may.
    """
    processes = _others() if alone else family.descendants(os.getpid())
    used = [_used(process) for process in processes]
    threads = sum(each.threads for each in used)
    if threads > limits["processes"]:
        told = f"the job had more than {limits['processes']} processes and threads at a time"
        raise TooMuch("processes", told, "processes")
    unmapped = _in_files(processes)
    if sum(each.bytes for each in used) + unmapped <= limits["memory_bytes"]:
        return
    inherited = _used(os.getpid()).bytes
    if sum(map(_share, processes, used, [inherited] * len(used))) + unmapped > limits["memory_bytes"]:
        told = f"the job used more memory than the {limits['memory_bytes']} bytes that it may"
        raise TooMuch("memory", told, "memory_bytes")


def _others() -> list[int]:
    """Return what there is in a PID namespace besides the worker and its supervisor, which is this process."""
    own = {1, os.getpid()}
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) not in own]


def _used(process: int) -> _Used:
    """Return what a process has in memory by itself or in common with others, but for files (proc_pid_status(5))."""
    found = dict(_fields(f"/proc/{process}/status", ("RssAnon", "RssShmem", "Threads")))
    return _Used((found.get("RssAnon", 0) + found.get("RssShmem", 0)) * _KIBIBYTE, found.get("Threads", 0))


def _share(process: int, used: _Used, inherited: int) -> int:
    """Return the same with what is in common divided by those who have it (proc_pid_smaps_rollup(5)).

    Of a process that does not let itself be looked at, what it was forked with is taken for shared.
    """
    shares = dict(_fields(f"/proc/{process}/smaps_rollup", ("Pss", "Pss_Anon", "Pss_Shmem")))
    if "Pss_Anon" in shares:
        return (shares["Pss_Anon"] + shares.get("Pss_Shmem", 0)) * _KIBIBYTE
    return shares["Pss"] * _KIBIBYTE if shares else max(0, used.bytes - inherited)


def _in_files(processes: list[int]) -> int:
    """Return what is in files that have no name anywhere (memfd_create(2)), whether it is mapped or not."""
    found = {}
    for process in processes:
        with contextlib.suppress(OSError):
            for entry in os.listdir(f"/proc/{process}/fd"):
                path = f"/proc/{process}/fd/{entry}"
                with contextlib.suppress(OSError):
                    if os.readlink(path).startswith("/memfd:"):
                        status = os.stat(path)
                        found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _fields(path: str, wanted: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the fields of a file of /proc; none if the process is gone, or does not let itself be looked at."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in wanted:
                yield name, int(value.split()[0])
