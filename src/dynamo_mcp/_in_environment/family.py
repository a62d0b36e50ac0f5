"""Which processes belong to a job, and how do they die? All of them, whatever they did to get away.

In a PID namespace of its own, the worker sees nothing but its jobs. A user of its own has nothing but them, either.
Their supervisor adopts what its descendants leave behind (PR_SET_CHILD_SUBREAPER, prctl(2)), so that all of it stays
below it in the process tree.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import identity
    from dynamo_mcp._in_environment.system_calls import process_control
else:
    import identity
    from system_calls import process_control

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 1000
_PARENT = 1


def adopt() -> None:
    """Become the parent of whatever descendants leave behind, where the system can do that."""
    if sys.platform == "linux":
        process_control(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Get a signal when the parent dies, where the system can do that."""
    if sys.platform == "linux":
        process_control(_PR_SET_PDEATHSIG, number)


def end_without(parent: int) -> None:
    """End this process where its parent is another one by now: the signal of `die_with_parent` may have been missed.

    Python raises what a handler raises wherever it happens to be, also where exceptions are passed over.

    Raises:
        SystemExit: The parent is dead.
    """
    if os.getppid() != parent:
        raise SystemExit


def bury(child: int | None, *, alone: bool, user: int | None = None) -> int:
    """Kill a job and all its descendants, and reap them.

    Args:
        child: The job; None where there is only what one has left.
        alone: This process and its parent have a PID namespace of their own.
        user: The job runs as this user, and nothing else does.

    Returns:
        How the job itself ended, as `os.waitpid` tells it; 0 when it had to be killed after its last message.
    """
    if user is not None and not alone:
        return _bury_all_of(child, user)
    status = ended = 0
    if child is not None:
        ended, how = os.waitpid(child, os.WNOHANG)
        status = how if ended else 0
    own = [] if child is None or ended else [child]
    for _ in range(_ROUNDS):
        # What is killed may have forked meanwhile, so this goes on until nothing is left.
        for victim in [-1] if alone else [*own, *descendants(os.getpid())]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(victim, signal.SIGKILL)
        try:
            ended, how = os.waitpid(-1, 0)
        except ChildProcessError:
            break
        if ended == child and not (os.WIFSIGNALED(how) and os.WTERMSIG(how) == signal.SIGKILL):
            status = how
    return status


def _bury_all_of(child: int | None, user: int) -> int:
    """Do it where all of the job's processes are one user's."""
    status = 0
    if child is not None:
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            _, how = os.waitpid(child, 0)
            status = 0 if os.WIFSIGNALED(how) and os.WTERMSIG(how) == signal.SIGKILL else how
    # What the job has left running became this process's child when the job died.
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, _ = os.waitpid(-1, os.WNOHANG)
            if not ended:
                identity.end(user)
                os.waitpid(-1, 0)
    return status


def descendants(ancestor: int) -> list[int]:
    """Return the processes below one, by the kernel's list of them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/stat", "rb") as file:
                    # The name in parentheses may hold anything, also parentheses (proc_pid_stat(5)).
                    parent = int(file.read().rpartition(b")")[2].split()[_PARENT])
                children.setdefault(parent, []).append(int(entry))
    found = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def obituary(status: int, otherwise: str) -> str:
    """Say how a job died."""
    if os.WIFSIGNALED(status):
        number = signal.Signals(os.WTERMSIG(status))
        meaning = {signal.SIGXCPU: " (it used more processor seconds than it may)", signal.SIGSYS: " (forbidden call)"}
        return "the job was ended by " + number.name + meaning.get(number, "")
    if os.WEXITSTATUS(status):
        return f"the job ended itself, with exit status {os.WEXITSTATUS(status)},"
    return otherwise
