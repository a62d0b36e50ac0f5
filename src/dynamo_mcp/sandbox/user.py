"""As which user do root's jobs run, and can that user read what it needs? One for each renderer, whom nobody else is.

Users are taken from `FIRST` to `LAST`, which neither distributions nor systemd give to anyone
(https://systemd.io/UIDS-GIDS); one that has a name or runs something is left out. Each comes with the next number, as
whom it is ended (`_in_environment/identity.py`). Who has one holds the lock on its file in `FOLDER`, a renderer as well
as its server; the kernel lets go of it when both are dead, and whoever takes it next ends what that user still runs.
"""

from __future__ import annotations

import os
import random
import shlex
import stat
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.errors import DynamoError
from dynamo_mcp.process import run
from dynamo_mcp.sandbox import CODE
from dynamo_mcp.sandbox.installation import parts
from dynamo_mcp.settings import Settings

if sys.platform != "win32":
    import fcntl
    import grp
    import pwd

FIRST, LAST = 60706, 61183
FOLDER = Path("/run/dynamo-mcp")
"""Emptied by every start of the machine, so that a file in it tells whose processes they are."""

INSIDE = 1
"""The user's number in bubblewrap's user namespace, where 0 is root's own."""
NEEDED = {"chown": 0, "dac_override": 1, "kill": 5, "setgid": 6, "setuid": 7}
"""The capabilities by which a renderer hands over, clears and ends what such a user has (linux/capability.h)."""

END_SECONDS = 5.0
_STATUS_BYTES = 65536
_OURS = b"of dynamo-mcp\n"


class User(msgspec.Struct, frozen=True):
    """A user that a renderer has for its jobs.

    Attributes:
        number: Of the user, and of its only group.
        lock: The descriptor that holds its lock, for the renderer to inherit.
    """

    number: int
    lock: int


def available() -> bool:
    """Tell whether this process can have jobs run as other users: it is root, and may do what root may."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    mapped = all(_mapped(Path(f"/proc/self/{kind}_map")) for kind in ("uid", "gid"))
    return mapped and all(effective >> number & 1 for number in NEEDED.values())


@asynccontextmanager
async def claimed(python: Path, folder: Path = FOLDER) -> AsyncIterator[User | None]:
    """Have a user while the caller stays in the context; afterwards it runs nothing.

    Args:
        python: Any Python, to end with what a user still runs.
        folder: Where the locks are.

    Yields:
        None where no user can be had.
    """
    user = await anyio.to_thread.run_sync(_claim, folder)
    try:
        yield user if user is not None and await _ended(user.number, python) else None
    finally:
        if user is not None:
            with anyio.CancelScope(shield=True):
                await _ended(user.number, python)
            os.close(user.lock)


async def sweep(python: Path, folder: Path = FOLDER) -> list[int]:
    """End what is still run by users whose renderer and server are both dead.

    Returns:
        Those users.
    """
    swept = []
    for number in await anyio.to_thread.run_sync(_running_of, folder):
        lock = _lock(folder, number)
        if lock is None:
            continue
        try:
            if _is_ours(lock) and await anyio.to_thread.run_sync(runs, number):
                await _ended(number, python)
                swept.append(number)
        finally:
            os.close(lock)
    return swept


def runs(*numbers: int) -> bool:
    """Tell whether users run anything; what has ended and was not reaped does not count, if all its threads have."""
    return bool(_running(numbers))


def unreadable(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return what keeps every other user from reading paths: folders on the way that only some may enter, or they.

    Args:
        paths: Files and folders; one that does not exist is looked at as far as it does.
    """
    lacking: dict[Path, None] = {}
    for path in dict.fromkeys(Path(os.path.realpath(path)) for path in paths):
        for folder in reversed(path.parents):
            if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
                lacking[folder] = None
        if not readable(path):
            lacking[path] = None
    return tuple(lacking)


def needed_by(settings: Settings, python: Path) -> tuple[Path, ...]:
    """Return what jobs must be able to read where no mount brings it to them."""
    folders = (settings.home / name for name in ("bases", "venvs", "checkouts"))
    return (*parts(python), CODE, *folders, settings.home / "scratch")


def mending(lacking: Iterable[Path], paths: Iterable[Path]) -> str:
    """Return the command that makes paths readable.

    Args:
        lacking: What `unreadable` has returned of them.
        paths: They.
    """
    ends = {Path(os.path.realpath(path)) for path in paths}
    entered = [shlex.quote(str(path)) for path in lacking if path not in ends]
    read = [shlex.quote(str(path)) for path in lacking if path in ends]
    commands = [f"chmod o+x {' '.join(entered)}"] if entered else []
    commands += [f"chmod -R o+rX {' '.join(read)}"] if read else []
    return " && ".join(commands)


def readable(path: Path) -> bool:
    """Tell whether others may read a path, whatever lies above it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return True
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & wanted == wanted


def _running_of(folder: Path) -> list[int]:
    """Return who of the users that have a file runs something: one look at all processes, however many files."""
    numbers = [int(name) for name in os.listdir(folder) if name.isdigit()] if folder.is_dir() else []
    return sorted(_running(numbers)) if numbers else []


def _running(numbers: Iterable[int]) -> set[int]:
    """Return which users run anything, as `runs` means it."""
    wanted, found = {str(number).encode() for number in numbers}, set[bytes]()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        users, ended = _status(f"/proc/{name}")
        if not (theirs := wanted.intersection(users) - found):
            continue
        if not ended:
            found |= theirs
            continue
        with suppress(OSError):
            if not all(_status(f"/proc/{name}/task/{thread}")[1] for thread in os.listdir(f"/proc/{name}/task")):
                found |= theirs
    return {int(number) for number in found}


def _status(process: str) -> tuple[list[bytes], bool]:
    """Return as whom a process or a thread runs and whether it has ended (proc_pid_status(5)); gone is ended."""
    try:
        with open(f"{process}/status", "rb", buffering=0) as file:  # noqa: PTH123 - read for each process there is
            text = file.read(_STATUS_BYTES)
    except OSError:
        return [], True
    _, _, state = text.partition(b"\nState:")
    _, _, users = text.partition(b"\nUid:")
    return users.partition(b"\n")[0].split(), state.lstrip()[:1] in {b"Z", b"X", b""}


def _mapped(path: Path) -> bool:
    """Tell whether the user namespace that this process is in has all the numbers (user_namespaces(7))."""
    ranges = [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
    return any(inside <= FIRST and inside + length > LAST for inside, _, length in ranges)


def _claim(folder: Path) -> User | None:
    """Take a user whom nobody is."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    # Containers may share the machine's users without seeing each other's locks; by chance they rarely take the same.
    numbers = list(range(FIRST, LAST, 2))
    random.shuffle(numbers)
    for number in numbers:
        if _is_named(number) or _is_named(number + 1) or (lock := _lock(folder, number)) is None:
            continue
        if _is_ours(lock):
            return User(number, lock)
        if not runs(number, number + 1):
            os.write(lock, _OURS)
            return User(number, lock)
        os.close(lock)
    return None


def _lock(folder: Path, number: int) -> int | None:
    """Lock a user's file; None where another holds it."""
    try:
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _is_ours(lock: int) -> bool:
    return os.fstat(lock).st_size > 0


def _is_named(number: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(number)
        except KeyError:
            continue
        return True
    return False


async def _ended(number: int, python: Path) -> bool:
    """End all that a user runs; return whether nothing is left of it."""
    with anyio.move_on_after(END_SECONDS):
        while await anyio.to_thread.run_sync(runs, number):
            try:
                await run([python, "-I", "-S", "-B", CODE / "identity.py", str(number)], env={}, seconds=END_SECONDS)
            except DynamoError:
                return False
        return True
    return False
