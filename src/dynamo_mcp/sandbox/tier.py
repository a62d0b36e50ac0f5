"""How well can this machine confine a process? Probed by doing it, not by names and versions."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dynamo_mcp.errors import Failed, TimedOut
from dynamo_mcp.process import run
from dynamo_mcp.sandbox import CODE
from dynamo_mcp.sandbox.launch import ISOLATION, bubblewrap
from dynamo_mcp.sandbox.user import available, mending, needed_by, unreadable
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Confinement

LANDLOCK_ABI_NEEDED = 3
"""Below it, files outside can be truncated (landlock(7), `LANDLOCK_ACCESS_FS_TRUNCATE`)."""

INSTALL_BUBBLEWRAP = (
    "install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`; Fedora: `dnf install bubblewrap`)"
)
PROBE_SECONDS = 20.0

_PROBED = (*ISOLATION, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
_SAID = "confined"


class _Kernel(msgspec.Struct):
    landlock_abi: int
    seccomp: bool
    machine: str


async def probe(settings: Settings, *, python: Path) -> Confinement:
    """Find out what this machine offers.

    Args:
        settings: Where to look for bubblewrap.
        python: Any Python, to ask the kernel with.
    """
    kernel = await _ask_kernel(python)
    mechanisms = [f"landlock-{kernel.landlock_abi}"] if kernel.landlock_abi else []
    mechanisms += ["seccomp"] if kernel.seccomp else []
    problem = await _try_bubblewrap(settings, python)
    if problem is None and kernel.seccomp:
        return Confinement("strong", ("bubblewrap", *mechanisms), backend="bubblewrap")
    advice = problem or f"there is no seccomp filter for `{kernel.machine}` yet"
    if kernel.landlock_abi >= LANDLOCK_ABI_NEEDED and kernel.seccomp:
        if available():
            wanted = needed_by(settings, python)
            lacking = unreadable(wanted)
            if not lacking:
                return Confinement("strong", ("user", *mechanisms), backend="user")
            advice += (
                f"; or run `{mending(lacking, wanted)}`, so that jobs can run as a user of their own, or set "
                "`DYNAMO_MCP_HOME` to a folder that others may enter"
            )
        return Confinement("reduced", tuple(mechanisms), advice)
    return Confinement("none", (), advice)


async def _ask_kernel(python: Path) -> _Kernel:
    try:
        answer = await run([python, "-I", "-B", CODE / "confine.py"], env={}, seconds=PROBE_SECONDS)
        return msgspec.json.decode(answer.stdout, type=_Kernel)
    except (Failed, TimedOut, msgspec.DecodeError):
        return _Kernel(landlock_abi=0, seccomp=False, machine="unknown")


async def _try_bubblewrap(settings: Settings, python: Path) -> str | None:
    """Start something under bubblewrap as a renderer is started; return what keeps it from working, for a person."""
    executable = bubblewrap(settings)
    if executable is None:
        return INSTALL_BUBBLEWRAP
    try:
        tried = await run(
            [executable, *_PROBED, python, "-I", "-S", "-c", f"print({_SAID!r})"],
            env={},
            seconds=PROBE_SECONDS,
        )
    except (Failed, TimedOut) as error:
        return f"bubblewrap is there but does not work: {error.message}"
    if tried.code == 0 and tried.stdout.decode("utf-8", "replace").strip() == _SAID:
        return None
    return f"bubblewrap is there but does not work: {tried.error}"
