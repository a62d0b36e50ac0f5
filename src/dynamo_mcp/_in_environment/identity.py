"""As whom does a job run? Where root has started the worker, as a user who owns nothing but what the job makes.

Such a user may change the mode of nothing else, is held to its limit of processes, and can be ended whole, since all of
it is of that one job. Run as a script, `python -I -S -B identity.py USER` ends everything that it runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # An isolated interpreter leaves a script's own folder out of the path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamo_mcp._in_environment.system_calls import library, process_control, set_capabilities
else:
    from system_calls import library, process_control, set_capabilities

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
"""linux/prctl.h"""
_CAPABILITIES = 64
"""As many as a set has room for."""
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
"""linux/capability.h"""


def become(user: int) -> None:
    """Be a user from now on, of the group of the same number alone; all of root's capabilities go with it.

    Raises:
        OSError: The kernel refused; nothing may run then.
    """
    # What may never be had again; it wants CAP_SETPCAP, and nothing is had without it, either.
    with contextlib.suppress(OSError):
        for number in range(_CAPABILITIES):
            process_control(_PR_CAPBSET_DROP, number)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    set_capabilities(struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0), bytes(24))
    # Changing users made what /proc tells of this process root's (prctl(2), PR_SET_DUMPABLE); it holds no secret.
    process_control(_PR_SET_DUMPABLE, 1)


def asked_as(user: int, ask: Callable[[], int]) -> int:
    """Return what a question comes to when it is asked as a user, who may look into processes of its own (ptrace(2)).

    Root alone may not where it lacks a capability, as in default Docker. It is asked by a child, which is that user for
    nothing but files and /proc (setfsuid(2)), so that none of those processes may signal it; the caller itself would
    forget to die with its parent (prctl(2), PR_SET_PDEATHSIG).
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            library().setfsgid(user)
            library().setfsuid(user)
            os.write(writer, str(ask()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as said:
        answer = said.read()
    os.waitpid(child, 0)
    return int(answer)


def end(user: int) -> None:
    """Kill all that a user runs, at once: the kernel goes through the list of processes while nobody can fork.

    It is done by a child, which signals as that user, and therefore nobody else's processes. Its own numbers are the
    next one's, so that none of those processes may signal it first (kill(2)).
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setgroups([])
        os.setresgid(user + 1, user + 1, user + 1)
        os.setresuid(user + 1, user, user + 1)
        if 0 not in os.getresuid():
            os.kill(-1, signal.SIGKILL)
    finally:
        os._exit(0)


def give(path: str, user: int) -> None:
    """Make a folder and all in it a user's."""
    for folder, folders, files, descriptor in os.fwalk(path):
        for name in (*folders, *files):
            os.chown(name, user, user, dir_fd=descriptor, follow_symlinks=False)
        if folder == path:
            os.chown(descriptor, user, user)


def readable(folder: str) -> bool:
    """Tell whether another user may read a folder and all in it."""
    for _, folders, files, descriptor in os.fwalk(folder):
        if not _open(os.fstat(descriptor).st_mode):
            return False
        for name in (*folders, *files):
            if not _open(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                return False
    return True


def copied(folder: str, temporary: str, user: int) -> str:
    """Return a copy of a template that only root may read, made for a user."""
    copy = os.path.join(temporary, ".template", os.path.basename(folder))
    shutil.copytree(folder, copy, symlinks=True)
    give(os.path.dirname(copy), user)
    return copy


def _open(mode: int) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return stat.S_ISLNK(mode) or mode & wanted == wanted


if __name__ == "__main__":
    end(int(sys.argv[1]))
