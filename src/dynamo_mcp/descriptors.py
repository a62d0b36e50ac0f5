"""How many files, pipes and connections may be open at once? As many as a server needs, and its children as before."""

from __future__ import annotations

import sys
from contextlib import suppress

if sys.platform != "win32":
    import resource

OWN = 500
"""Descriptors that a server may need besides those of its connections: of renderers, of files, of what listens."""

_BEFORE = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if sys.platform != "win32" else 0


def allow(wanted: int) -> int:
    """Have so many descriptors be open at once, or as many as may be; return how many those are."""
    if sys.platform == "win32":
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        with suppress(OSError, ValueError):  # a system may have a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def restore(process: int) -> None:
    """Give a child the limit that this process was started with: `select` fails beyond 1,024 descriptors (select(2)).

    That is done when it runs already (prlimit(2)), since nothing of ours may run between fork and exec. A child of its
    own that it starts before that keeps the higher limit: no matter to jobs, which are limited where they are confined.
    """
    if sys.platform != "linux":
        return  # elsewhere nobody can do that to another process
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != _BEFORE:
        with suppress(OSError):  # it has ended, or is another user's by now
            resource.prlimit(process, resource.RLIMIT_NOFILE, (_BEFORE, hard))
