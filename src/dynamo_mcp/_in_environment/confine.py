"""What does a job give up, in order, before it runs a stranger's template?

First the way to new privileges, then memory, time and numbers (rlimits), then files (Landlock), then system calls
(seccomp); none of it can be taken back, and all that the job starts inherits it. Landlock and seccomp hold for the
calling thread, so the caller is a process of one thread, such as a fork.

Run as a script, it prints as JSON what this machine offers: `{"landlock_abi", "seccomp", "machine",
"no_new_privs"}`.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if sys.platform != "win32":
    import resource

if __name__ == "__main__":
    # An isolated interpreter leaves a script's own folder out of the path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))

# The interpreter finds the modules of this folder by its entry in `sys.path`, type checkers by the package.
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dynamo_mcp._in_environment import landlock, seccomp
    from dynamo_mcp._in_environment.system_calls import process_control
else:
    import landlock
    import seccomp
    from system_calls import process_control

_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39
"""linux/prctl.h"""


class Unconfinable(OSError):
    """Something that this machine has can't be applied, or the machine is not known; nothing may run then."""

    def __str__(self) -> str:
        """Say it in words, without the number."""
        return str(self.strerror)


RESERVED = 8
"""Node, Java and Go reserve far more addresses than they ever use, and do not start without."""


class Limits(NamedTuple):
    """How much a job may use (getrlimit(2)); a lower limit that it is under already stays.

    Attributes:
        memory_bytes: What each process may write to of its own; `RESERVED` times as much address space.
        cpu_seconds: Processor time of each process; then SIGXCPU, a second later SIGKILL.
        file_bytes: Size of each file that is written; then SIGXFSZ, or EFBIG where that is ignored, as Python does.
        open_files: Descriptors of each process.
        processes: Processes and threads of the user, counted per user namespace; no limit for root outside of one.
    """

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    open_files: int
    processes: int


class Policy(NamedTuple):
    """What a job keeps.

    Attributes:
        read: Files and folders that it may read and run.
        write: Files and folders that it may also change.
        devices: Device files that it may read and write, such as /dev/null.
        network: Whether it may make sockets of IPv4 and IPv6.
        limits: How much it may use.
    """

    read: list[str]
    write: list[str]
    devices: list[str]
    network: bool
    limits: Limits

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Policy:
        """Read a policy from JSON: an object that has the attributes' names."""
        return cls(**{**message, "limits": Limits(**message["limits"])})


def prepare() -> None:
    """Do in the parent, once, what every fork would otherwise do again."""
    if sys.platform == "linux" and seccomp.supported():
        for network in (False, True):
            seccomp.compiled(os.uname().machine, network=network)


def confine(policy: Policy) -> list[str]:
    """Give up, for good, all but what the policy keeps.

    Returns:
        The names of what was applied: "no_new_privs", "rlimits", "landlock-" with its ABI, "seccomp". Landlock is left
        out where the kernel has none.

    Raises:
        Unconfinable: One of them is there and failed, or the machine's system calls are not known. What came before
            it stays applied.
    """
    if sys.platform != "linux":
        raise Unconfinable(errno.ENOSYS, f"a job can't be confined on `{sys.platform}`, only on Linux")
    steps: list[tuple[str, Callable[[], object]]] = [
        ("no_new_privs", functools.partial(process_control, _PR_SET_NO_NEW_PRIVS, 1)),
        ("rlimits", functools.partial(limit, policy.limits)),
    ]
    abi = min(landlock.kernel_abi(), landlock.NEWEST_KNOWN_ABI)
    if abi:
        paths = functools.partial(landlock.restrict, read=policy.read, write=policy.write, devices=policy.devices)
        steps.append((f"landlock-{abi}", functools.partial(paths, abi=abi, network=policy.network)))
    steps.append(("seccomp", functools.partial(seccomp.restrict, network=policy.network)))
    for name, apply in steps:
        try:
            apply()
        except OSError as error:
            raise Unconfinable(error.errno, f"`{name}` can't be applied: {error.strerror}") from error
    return [name for name, _ in steps]


def limit(limits: Limits) -> None:
    """Lower this process's limits to these; those that are lower already stay.

    Raises:
        OSError: The kernel refused.
    """
    for number, soft, hard in (
        (resource.RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_AS, limits.memory_bytes * RESERVED, limits.memory_bytes * RESERVED),
        # At the soft limit comes SIGXCPU, which says what happened; at the hard one SIGKILL, which could be anyone's.
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes, limits.processes),
        # A core file holds the memory that the job was forked from.
        (resource.RLIMIT_CORE, 0, 0),
    ):
        current_soft, current_hard = resource.getrlimit(number)
        resource.setrlimit(number, (_lower(soft, current_soft), _lower(hard, current_hard)))


def supported() -> dict[str, Any]:
    """Say what this machine offers; the caller is not confined by asking.

    Returns:
        "landlock_abi": 0 when it is absent; "seccomp": whether there are filters and this machine's system calls are
        known; "machine": its name, as `uname -m` says it; "no_new_privs": whether the kernel knows it.
    """
    if sys.platform != "linux":
        return {"landlock_abi": 0, "seccomp": False, "machine": sys.platform, "no_new_privs": False}
    return {
        "landlock_abi": landlock.kernel_abi(),
        "seccomp": seccomp.supported(),
        "machine": os.uname().machine,
        "no_new_privs": _knows_no_new_privileges(),
    }


def _knows_no_new_privileges() -> bool:
    try:
        process_control(_PR_GET_NO_NEW_PRIVS)
    except OSError:
        return False
    return True


def _lower(wanted: int, current: int) -> int:
    wanted = min(wanted, sys.maxsize)
    return wanted if current == resource.RLIM_INFINITY else min(wanted, current)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(supported()) + "\n")
