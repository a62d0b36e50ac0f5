"""How well can this machine confine a process? Probed by doing it, not by names and versions."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import anyio
import msgspec

from dynamo_mcp.errors import Failed, TimedOut
from dynamo_mcp.process import run
from dynamo_mcp.sandbox import CODE, cgroup
from dynamo_mcp.sandbox.causes import Cause, failing_bubblewrap, no_bubblewrap, refused_namespaces
from dynamo_mcp.sandbox.launch import ISOLATION, bubblewrap
from dynamo_mcp.sandbox.machine import Machine, this_machine
from dynamo_mcp.sandbox.remedies import as_root
from dynamo_mcp.sandbox.user import available, mending, needed_by, unreadable
from dynamo_mcp.settings import ANOTHER_PYTHON, Settings
from dynamo_mcp.types import Confinement, Primitive

LANDLOCK_ABI_NEEDED = 3
"""Below it, files outside can be truncated (landlock(7), `LANDLOCK_ACCESS_FS_TRUNCATE`)."""

MACHINES = ("x86_64", "aarch64")
"""Those whose system calls `_in_environment/seccomp.py` knows."""

PROBE_SECONDS = 20.0

_PROBED = (*ISOLATION, "--clearenv", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
_LIMITED = ("--size", str(1 << 20), "--tmpfs", "/dev/shm", "--remount-ro", "/", "--chdir", "/")  # noqa: S108
_SAID = "confined"

_NEW_USER = """\
import ctypes, sys
library = ctypes.CDLL(None, use_errno=True)
sys.exit(ctypes.get_errno() if library.unshare(0x10000000) else 0)
"""
"""Make a user namespace (unshare(2), `CLONE_NEWUSER`); the exit code is the error's number."""


class _Kernel(msgspec.Struct):
    landlock_abi: int
    seccomp: bool
    machine: str
    no_new_privs: bool = False


async def probe(settings: Settings, *, python: Path, files: Path = Path("/")) -> Confinement:
    """Find out what this machine offers.

    Args:
        settings: Where to look for bubblewrap.
        python: Any Python, to ask the kernel with.
        files: The root of the machine's files, which say why something does not work.
    """
    asked: list[_Kernel | None] = []
    walled: list[_Wall] = []

    async def ask() -> None:
        asked.append(await _ask_kernel(python))

    async def wall() -> None:
        walled.append(await _namespaces(this_machine(settings, files), bubblewrap(settings), python))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(wall)
    if asked[0] is None:
        return Confinement(
            "none", (), f"nothing could be tried, since `{python}` is no Python that runs: {ANOTHER_PYTHON}"
        )
    return _decide(asked[0], walled[0], _own_user(settings, python))


class _Wall(msgspec.Struct):
    """What keeps a renderer in, whether it works, and why not."""

    primitives: tuple[Primitive, ...]
    lack: Cause | None
    command: str | None = None


def _decide(kernel: _Kernel, wall: _Wall, own_user: Primitive) -> Confinement:
    mechanisms = [f"landlock-{kernel.landlock_abi}"] if kernel.landlock_abi else []
    mechanisms += ["seccomp"] if kernel.seccomp else []
    if wall.lack is None or wall.command:
        # Opening folders to others is only offered where nothing better helps.
        own_user = msgspec.structs.replace(own_user, command=None)
    primitives = (*wall.primitives, own_user, *_of(kernel), cgroup.primitive())
    if not kernel.seccomp:
        return Confinement("none", (), f"seccomp: {_seccomp(kernel)}", primitives=primitives)
    if wall.lack is None:
        return Confinement("strong", ("bubblewrap", *mechanisms), backend="bubblewrap", primitives=primitives)
    if kernel.landlock_abi < LANDLOCK_ABI_NEEDED:
        return Confinement("none", (), wall.lack.why, primitives=primitives, command=wall.command)
    if own_user.present:
        return Confinement("strong", ("user", *mechanisms), backend="user", primitives=primitives)
    advice, command = wall.lack.why, wall.command
    if own_user.command:
        advice, command = f"{advice}; without it, {own_user.why}", own_user.command
    return Confinement("reduced", tuple(mechanisms), advice, primitives=primitives, command=command)


def _own_user(settings: Settings, python: Path) -> Primitive:
    """Find out whether jobs can run as a user whom nobody else is: the other wall, with Landlock."""
    name = "own user"
    if not available():
        return Primitive(name, present=False, why="only root, with all that root may do, gives jobs users of their own")
    wanted = needed_by(settings, python)
    lacking = unreadable(wanted)
    if not lacking:
        return Primitive(name, present=True, why="what jobs read is open to users that nobody else is")
    closed = " and ".join(f"`{path}`" for path in lacking)
    why = f"another user, whom jobs run as, can't read {closed}"
    return Primitive(name, present=False, why=why, command=mending(lacking, wanted))


def _of(kernel: _Kernel) -> tuple[Primitive, ...]:
    abi = kernel.landlock_abi
    landlock = f"ABI {abi}" if abi else "this kernel has none, or lets nobody use it (gVisor, `lsm=` at boot)"
    if 0 < abi < LANDLOCK_ABI_NEEDED:
        landlock += f"; without bubblewrap it takes {LANDLOCK_ABI_NEEDED}, so that files outside can't be emptied"
    return (
        Primitive("landlock", abi > 0, landlock),
        Primitive("seccomp", kernel.seccomp, _seccomp(kernel)),
        Primitive(
            "no_new_privs",
            kernel.no_new_privs,
            "set-uid programs gain nothing" if kernel.no_new_privs else "this kernel does not know it",
        ),
    )


def _seccomp(kernel: _Kernel) -> str:
    if kernel.seccomp:
        return f"filters, and the system calls of `{kernel.machine}` are known"
    if kernel.machine in MACHINES:
        return "this kernel has no filters, or lets nobody use them"
    return f"there is no filter for `{kernel.machine}` yet, only for {' and '.join(f'`{name}`' for name in MACHINES)}"


async def _ask_kernel(python: Path) -> _Kernel | None:
    """Ask what the kernel offers; None where there is no Python that could."""
    try:
        answer = await run([python, "-I", "-S", "-B", CODE / "confine.py"], env={}, seconds=PROBE_SECONDS)
        return msgspec.json.decode(answer.stdout, type=_Kernel)
    except (Failed, TimedOut, msgspec.DecodeError):
        return None


async def _namespaces(machine: Machine, executable: Path | None, python: Path) -> _Wall:
    """Start something under bubblewrap; where that does not work, find out why."""
    said = None if executable is None else await _try_bubblewrap(executable, python)
    if executable is not None and said is None:
        return _Wall(
            (
                Primitive("bubblewrap", present=True, why=f"`{executable}` starts what a renderer needs"),
                Primitive("user namespaces", present=True, why="bubblewrap made one"),
            ),
            lack=None,
        )
    error = await _new_user(python)
    blocked = refused_namespaces(machine, error, executable)
    lack = no_bubblewrap(machine, blocked) if said is None else failing_bubblewrap(said, blocked)
    command = as_root(machine, lack.repair)
    why = blocked.why if blocked else "one could be made"
    return _Wall(
        (
            Primitive("bubblewrap", present=False, why=lack.why, command=command),
            Primitive("user namespaces", present=blocked is None, why=why, command=command if blocked else None),
        ),
        lack,
        command,
    )


async def _try_bubblewrap(executable: Path, python: Path) -> str | None:
    """Start something as a renderer is started; return what keeps it from working, for a person."""
    command: list[str | Path] = [executable, *_PROBED, *_LIMITED, python, "-I", "-S", "-c", f"print({_SAID!r})"]
    try:
        tried = await run(command, env={}, seconds=PROBE_SECONDS)
    except (Failed, TimedOut) as error:
        return error.message
    if tried.code == 0 and tried.stdout.decode("utf-8", "replace").strip() == _SAID:
        return None
    return tried.error


async def _new_user(python: Path) -> int:
    """Make a user namespace without bubblewrap; return the kernel's error, 0 for none."""
    if sys.platform != "linux":
        return errno.ENOSYS
    try:
        tried = await run([python, "-I", "-S", "-c", _NEW_USER], env={}, seconds=PROBE_SECONDS)
    except (Failed, TimedOut):
        return errno.ENOSYS
    return tried.code
