"""How do things appear all at once? Scratch folders, publishing by rename, locks and records.

Whatever is made in a home is made in the scratch folder of the server that makes it and renamed to its place. A target
on another file system is staged in a hidden sibling instead, which the scratch folder's journal names first.
A server holds a lock on its scratch folder for as long as it lives, so a sweep knows what nobody holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from filelock import FileLock, Timeout

from dynamo_mcp.errors import Busy, StorageFailed

HIDDEN = ".dynamo-mcp-"
FOLDERS = ("templates", "checkouts", "bases", "venvs", "wheels", "projects", "outputs", "scratch", "locks")
_POLL_SECONDS = 0.02
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
"""linux/fcntl.h, linux/fs.h"""


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a journal: a hidden sibling, and the folder that it must become again if that one is gone."""

    path: str
    restores: str | None = None


@contextmanager
def words(doing: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` into words.

    Args:
        doing: What was being done, as in "write the record".
        path: What it was done to.

    Raises:
        StorageFailed: The disk is full, the folder is read-only, or the like.
    """
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "free some space on that disk, or choose another with `DYNAMO_MCP_HOME` or `output_dir`",
            errno.EDQUOT: "free some of the quota, or choose another disk",
            errno.EACCES: "make the folder writable, or choose another with `DYNAMO_MCP_HOME` or `output_dir`",
            errno.EPERM: "make the folder writable, or choose another with `DYNAMO_MCP_HOME` or `output_dir`",
            errno.EROFS: "choose a folder on a disk that can be written",
        }
        raise StorageFailed(
            f"Can't {doing} at `{path}`: {error.strerror or error}",
            hint=hints.get(error.errno or 0, "check that the folder exists and can be written"),
        ) from error


class Store:
    """One home, as one server sees it; `open_store` makes it."""

    def __init__(self, home: Path, scratch: Path, lock_seconds: float) -> None:
        """Use `open_store` instead."""
        self.home = home
        self.scratch = scratch
        self._lock_seconds = lock_seconds

    @asynccontextmanager
    async def staged(self, beside: Path | None = None) -> AsyncIterator[Path]:
        """Yield a path that does not exist yet, to be filled and published; what is left of it is removed.

        Args:
            beside: The folder that it will be published in, when that may lie on another file system.
        """
        if beside is not None:
            with words("stage something", beside):
                # Two mounts of one file system have one number, but a rename between them fails.
                near = beside.is_relative_to(self.home) and beside.stat().st_dev == self.scratch.stat().st_dev
                beside.stat()
                beside = None if near else beside
        if beside is None:
            path = self.scratch / uuid.uuid4().hex
        else:
            path = beside / f"{HIDDEN}{uuid.uuid4().hex}"
            self._journal(_Entry(str(path)))
        try:
            yield path
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(remove, path)

    def publish(self, staged: Path, target: Path) -> None:
        """Rename `staged` to `target`, which must not exist.

        Raises:
            FileExistsError: Something is there.
            StorageFailed: It can't be renamed.
        """
        try:
            with words("publish", target):
                rename_new(staged, target)
                _sync_folder(target.parent)
        except StorageFailed as error:
            if isinstance(error.__cause__, FileExistsError):
                raise error.__cause__ from None
            raise

    def swap(self, staged: Path, target: Path) -> None:
        """Put `staged` in the place of `target`, which is at `staged` afterwards; there is always one of them.

        Raises:
            StorageFailed: It can't be done; `target` is as it was.
        """
        with words("replace", target):
            if _rename(staged, target, _RENAME_EXCHANGE):
                _sync_folder(target.parent)
                return
            # Without an exchange the target is away for a moment; a sweep after a crash puts it back.
            old = target.parent / f"{HIDDEN}{uuid.uuid4().hex}"
            self._journal(_Entry(str(old), restores=str(target)))
            target.rename(old)
            try:
                staged.rename(target)
            except OSError:
                old.rename(target)
                raise
            old.rename(staged)
            _sync_folder(target.parent)

    def set_aside(self, path: Path) -> Path:
        """Take a folder of the home out of everybody's sight; return where it is, to be removed."""
        trash = self.scratch / uuid.uuid4().hex
        with contextlib.suppress(FileNotFoundError):
            path.rename(trash)
        return trash

    async def discard(self, path: Path) -> None:
        """Remove a folder of the home: gone at once for everybody, deleted from the disk afterwards."""
        with words("remove", path):
            trash = self.set_aside(path)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(remove, trash)

    def write(self, path: Path, content: bytes) -> None:
        """Write a record, whole or not at all.

        Raises:
            StorageFailed: It can't be written.
        """
        temporary = self.scratch / uuid.uuid4().hex
        with words("write", path):
            try:
                with temporary.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.rename(path)
                _sync_folder(path.parent)
            finally:
                temporary.unlink(missing_ok=True)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """Hold a lock that other processes of this home respect.

        Raises:
            Busy: Another holds it for too long.
        """
        lock = FileLock(self.home / "locks" / f"{name}.lock", thread_local=False)
        deadline = anyio.current_time() + self._lock_seconds
        while not _try(lock):
            if anyio.current_time() > deadline:
                raise Busy(
                    f"Another process has worked on `{name}` for more than {self._lock_seconds:g} seconds",
                    hint="try again later, or end the process that holds it",
                )
            await anyio.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _journal(self, entry: _Entry) -> None:
        try:
            line = msgspec.json.encode(entry) + b"\n"
        except UnicodeEncodeError as error:
            raise StorageFailed(
                f"The path {entry.path!r} is not UTF-8", hint="choose a folder whose name is"
            ) from error
        with words("write the journal", self.scratch), (self.scratch / "journal").open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


@asynccontextmanager
async def open_store(home: Path, *, lock_seconds: float) -> AsyncIterator[Store]:
    """Open a home: make what is missing of it, sweep what the dead left, and hold a scratch folder of one's own.

    Args:
        home: Its folder.
        lock_seconds: Seconds to wait for a lock that another process holds.

    Raises:
        StorageFailed: It can't be made or written.
    """
    with words("use the home folder", home):
        for folder in FOLDERS:
            (home / folder).mkdir(parents=True, exist_ok=True)
        await anyio.to_thread.run_sync(sweep, home)
        identity = uuid.uuid4().hex
        held = FileLock(home / "locks" / f"scratch-{identity}.lock", thread_local=False)
        # The lock is held before the folder is there, so whoever sees the folder can tell whether its owner lives.
        held.acquire(timeout=0)
        scratch = home / "scratch" / identity
        scratch.mkdir()
    try:
        yield Store(home, scratch, lock_seconds)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(remove, scratch)
        held.release()
        with contextlib.suppress(OSError):
            Path(held.lock_file).unlink(missing_ok=True)


def sweep(home: Path) -> list[str]:
    """Remove what servers that died have left behind; what a living one holds stays.

    Returns:
        The names of the scratch folders that were removed.
    """
    swept = []
    for scratch in sorted((home / "scratch").iterdir()):
        lock = FileLock(home / "locks" / f"scratch-{scratch.name}.lock", thread_local=False)
        if not _try(lock):
            continue
        try:
            _mend(scratch / "journal")
            remove(scratch)
            swept.append(scratch.name)
            Path(lock.lock_file).unlink(missing_ok=True)
        finally:
            lock.release()
    return swept


def remove(path: Path) -> None:
    """Remove a file or a folder, also one without write bits; what can't be removed is left for the next sweep."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.is_dir():
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)


def _unlock(folder: Path) -> None:
    """Let the owner of a tree do everything with its folders; links are not followed."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IRWXU)
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                _unlock(entry)


def rename_new(source: Path, target: Path) -> None:
    """Rename, but never over anything: a plain rename replaces an empty folder without a word.

    Raises:
        FileExistsError: Something is there.
        OSError: It can't be renamed.
    """
    if _rename(source, target, _RENAME_NOREPLACE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename as renameat2(2) does; return whether this system can.

    Raises:
        OSError: It can, but this one failed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    sys.audit("os.rename", source, target, -1, -1)
    if library.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL}:  # a kernel or a file system that can't
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def _mend(journal: Path) -> None:
    try:
        lines = journal.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=_Entry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the server died while it wrote this line, before it did what the line announces
        path = Path(entry.path)
        if not path.name.startswith(HIDDEN):
            continue
        if entry.restores is not None and Path(entry.restores).parent != path.parent:
            continue
        if entry.restores is not None and not os.path.lexists(entry.restores):
            with contextlib.suppress(OSError):
                path.rename(entry.restores)
        elif entry.restores is not None and path.is_dir():
            # Somebody has made the folder again meanwhile: neither of the two may be lost.
            with contextlib.suppress(OSError):
                path.rename(path.parent / f"{Path(entry.restores).name}.recovered-{path.name.removeprefix(HIDDEN)[:8]}")
        elif entry.restores is None:
            remove(path)


def _try(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise StorageFailed(
            f"Can't lock `{lock.lock_file}`: {error.strerror or error}", hint="make the home folder writable"
        ) from error
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
