"""Which command brings what is missing? One that can be typed as it is, by whoever runs this."""

from __future__ import annotations

import shlex

from dynamo_mcp.sandbox.machine import Machine

_INSTALLERS = {
    "debian": "apt-get install -y",
    "ubuntu": "apt-get install -y",
    "fedora": "dnf install -y",
    "rhel": "dnf install -y",
    "centos": "dnf install -y",
    "alpine": "apk add -U",
    "arch": "pacman -S --noconfirm",
    "suse": "zypper --non-interactive install",
}
"""By what os-release(5) calls the distribution, or those it is like."""


def installation(machine: Machine, package: str) -> str | None:
    """Return what installs a package of the distribution, as root types it; None where that is not known."""
    for name in machine.distributions:
        if installer := _INSTALLERS.get(name):
            refresh = "" if machine.packages_known else "apt-get update && "
            return f"{refresh}{installer} {package}"
    return None


def as_root(machine: Machine, command: str | None) -> str | None:
    """Return what this process's user types to have root run a command."""
    if command is None or machine.root:
        return command
    if not machine.sudo:
        return f"su - -c {shlex.quote(command)}"
    return f"sudo sh -c {shlex.quote(command)}" if set(command) & set("&|<>;") else f"sudo {command}"
