"""Why does bubblewrap not work here, and what brings it?

Where a switch of the kernel says why, it is believed; otherwise what the kernel answered, then what bubblewrap said.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from dynamo_mcp.sandbox.machine import Machine
from dynamo_mcp.sandbox.remedies import installation

NAMESPACES = 15_000
"""Of users, that are allowed where none were: what Linux allows a machine of 4 GB."""

INSTALLED_AT = Path("/usr/bin/bwrap")
"""Where every distribution puts it."""

_PROFILE = "abi <abi/4.0>, profile bwrap {path} flags=(unconfined) {{ userns, }}"
"""For AppArmor 4 (apparmor.d(5)): bubblewrap may make user namespaces, and nothing else changes."""


class Cause(NamedTuple):
    """Why something does not work, in words, and what root types to mend it; None where nothing does."""

    why: str
    repair: str | None


def refused_namespaces(machine: Machine, error: int, bubblewrap: Path | None = None) -> Cause | None:
    """Say why this process can't use user namespaces; None where nothing is known to be in the way.

    Args:
        machine: Where it runs.
        error: What the kernel answered when one was to be made (an errno); 0 where it was made.
        bubblewrap: What is to make them; None where it is to be installed first.
    """
    allowed = machine.switches.get("user.max_user_namespaces")
    if allowed == 0 or error == errno.ENOSPC:
        why = f"`user.max_user_namespaces` is {allowed}, and no more user namespaces are allowed"
        return Cause(why, f"sysctl -w user.max_user_namespaces={max(NAMESPACES, 2 * (allowed or 0))}")
    if not machine.root and machine.switches.get("kernel.unprivileged_userns_clone") == 0:
        switch = "kernel.unprivileged_userns_clone"
        return Cause(f"`{switch}` is 0: only root may make user namespaces", f"sysctl -w {switch}=1")
    if not machine.root and machine.switches.get("kernel.apparmor_restrict_unprivileged_userns") == 1:
        if bubblewrap is None and machine.profiled:
            return None
        why = "`kernel.apparmor_restrict_unprivileged_userns` is 1: AppArmor needs a profile for bubblewrap"
        profile = _PROFILE.format(path=bubblewrap or INSTALLED_AT)
        file = "/etc/apparmor.d/bwrap"
        return Cause(why, f'echo "{profile}" > {file} && apparmor_parser -r {file}')
    if error in {errno.EINVAL, errno.ENOSYS}:
        return Cause("this kernel has no user namespaces", None)
    if error and machine.filtered:
        return Cause("a seccomp filter, such as a container engine's, refuses user namespaces", None)
    if error:
        return Cause(f"the kernel refuses user namespaces: {os.strerror(error)}", None)
    return None


def no_bubblewrap(machine: Machine, namespaces: Cause | None) -> Cause:
    """Say what brings bubblewrap where there is none.

    Args:
        machine: Where it runs.
        namespaces: Why it would not work.
    """
    repair = installation(machine, "bubblewrap")
    why = "bubblewrap is not installed" + ("" if repair else "; install your system's package `bubblewrap`")
    if namespaces is None:
        return Cause(why, repair)
    if repair is None or namespaces.repair is None:
        return Cause(f"bubblewrap is not installed, and would not work: {namespaces.why}", None)
    return Cause(f"{why}, and {namespaces.why}", f"{repair} && {namespaces.repair}")


def failing_bubblewrap(said: str, namespaces: Cause | None) -> Cause:
    """Say why bubblewrap does not work where it is there.

    Args:
        said: What it said, or what became of it.
        namespaces: What is known to be in its way.
    """
    why, repair = namespaces or Cause(said, None)
    return Cause(f"bubblewrap is there but does not work: {why}", repair)
