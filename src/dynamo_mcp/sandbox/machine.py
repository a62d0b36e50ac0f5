"""What is this machine, as far as its files say? Nothing is tried here."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from dynamo_mcp.settings import Settings

SWITCHES = (
    "user.max_user_namespaces",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
)
"""What an operator can forbid user namespaces by (namespaces(7); Debian's and Ubuntu's own patches)."""

_FILTER = "2"
"""`Seccomp` of proc_pid_status(5): the process is under a filter."""


class Machine(msgspec.Struct, frozen=True):
    """What is known of it.

    Attributes:
        root: This process is root's.
        sudo: There is a `sudo`.
        distributions: What it is, and then what it is like, as os-release(5) names them.
        packages_known: The package manager knows what there is, without being brought up to date first.
        switches: The value of each of `SWITCHES` that this kernel has.
        filtered: This process is under a seccomp filter that somebody else put on it, such as a container engine.
        profiled: AppArmor has a profile for bubblewrap.
    """

    root: bool
    sudo: bool = False
    distributions: tuple[str, ...] = ()
    packages_known: bool = True
    switches: dict[str, int] = {}
    filtered: bool = False
    profiled: bool = False


def this_machine(settings: Settings, files: Path = Path("/")) -> Machine:
    """Read what is known.

    Args:
        settings: Where executables are looked up.
        files: The root of its files.
    """
    switches = {}
    for name in SWITCHES:
        with suppress(ValueError):
            switches[name] = int(_text(files / "proc/sys" / name.replace(".", "/")))
    distributions = _distributions(_text(files / "etc/os-release") or _text(files / "usr/lib/os-release"))
    lists = files / "var/lib/apt/lists"
    profiles = files / "etc/apparmor.d"
    status = dict(line.split(":\t", 1) for line in _text(files / "proc/self/status").splitlines() if ":\t" in line)
    return Machine(
        root=os.name != "nt" and os.geteuid() == 0,
        sudo=shutil.which("sudo", path=settings.search_path) is not None,
        distributions=distributions,
        packages_known="debian" not in distributions or any(lists.glob("*_Packages*")),
        switches=switches,
        filtered=status.get("Seccomp") == _FILTER,
        profiled=any((profiles / name).exists() for name in ("bwrap", "bwrap-userns-restrict")),
    )


def _distributions(release: str) -> tuple[str, ...]:
    found = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    names = f"{found.get('ID', '')} {found.get('ID_LIKE', '')}".replace('"', "").replace("'", "")
    return tuple(dict.fromkeys(names.split()))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
