"""How do things appear all at once? Scratch folders, publishing by rename, locks and records.

Whatever is made in a home is made in the scratch folder of the server that makes it and renamed to its place. A target
on another file system is staged in a hidden sibling instead, which a file of the scratch folder names for as long.
A server holds a lock on its scratch folder for as long as it lives, so a sweep knows what nobody holds.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from filelock import FileLock, Timeout

from dynamo_mcp.disk import exchange, remove, rename_new, sync_folder, words
from dynamo_mcp.errors import Busy, StorageFailed

HIDDEN = ".dynamo-mcp-"
_JOURNAL = "journal"
"""Begins the name of a file in a server's scratch folder, which names what must not outlive the server elsewhere."""
FOLDERS = (
    "templates",
    "checkouts",
    "mirrors",
    "requirements",
    "bases",
    "spares",
    "venvs",
    "wheels",
    "packages",
    "projects",
    "targets",
    "tasks",
    "outputs",
    "scratch",
    "locks",
)
_POLL_SECONDS = 0.02


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a journal says: a hidden sibling, and the folder that it must become again if that one is gone."""

    path: str
    restores: str | None = None


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
        with contextlib.ExitStack() as journal:
            if beside is None:
                path = self.scratch / uuid.uuid4().hex
            else:
                path = beside / f"{HIDDEN}{uuid.uuid4().hex}"
                # Not forced to the disk: after a power cut at worst a hidden folder stays, of which nobody knows.
                journal.enter_context(self._announced(_Entry(str(path)), force=False))
            try:
                yield path
            finally:
                if os.path.lexists(path):
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(remove, path)

    def publish(self, staged: Path, target: Path, *, force: bool = True) -> None:
        """Rename `staged` to `target`, which must not exist.

        Args:
            staged: What is complete.
            target: Where it belongs.
            force: Return when the name is on the disk, so that it survives a power cut.

        Raises:
            FileExistsError: Something is there.
            StorageFailed: It can't be renamed.
        """
        try:
            with words("publish", target):
                rename_new(staged, target)
                if force:
                    sync_folder(target.parent)
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
            if exchange(staged, target):
                sync_folder(target.parent)
                return
            # Without an exchange the target is away for a moment; a sweep after a crash puts it back.
            old = target.parent / f"{HIDDEN}{uuid.uuid4().hex}"
            with self._announced(_Entry(str(old), restores=str(target)), force=True):
                target.rename(old)
                try:
                    staged.rename(target)
                except OSError:
                    old.rename(target)
                    raise
                old.rename(staged)
                sync_folder(target.parent)

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

    def write(self, path: Path, content: bytes, *, force: bool = True) -> None:
        """Write a record, whole or not at all.

        Args:
            path: Where it is.
            content: All of it.
            force: Return when it is on the disk; otherwise a power cut may leave nothing of it, or an empty file.

        Raises:
            StorageFailed: It can't be written.
        """
        temporary = self.scratch / uuid.uuid4().hex
        with words("write", path):
            try:
                with temporary.open("xb") as file:
                    file.write(content)
                    if force:
                        file.flush()
                        os.fsync(file.fileno())
                temporary.rename(path)
                if force:
                    sync_folder(path.parent)
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
                    hint="try again later, end what holds it, or wait longer with `DYNAMO_MCP_LOCK_SECONDS`",
                )
            await anyio.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _announced(self, entry: _Entry, *, force: bool) -> Iterator[None]:
        """Say what is about to be outside the scratch folder, and take it back when it is not there any more."""
        try:
            line = msgspec.json.encode(entry) + b"\n"
        except UnicodeEncodeError as error:
            raise StorageFailed(
                f"The path {entry.path!r} is not UTF-8", hint="choose a folder whose name is"
            ) from error
        journal = self.scratch / f"{_JOURNAL}-{uuid.uuid4().hex}"
        self.write(journal, line, force=force)
        try:
            yield
        finally:
            if not os.path.lexists(entry.path):
                with contextlib.suppress(OSError):
                    journal.unlink()


@asynccontextmanager
async def open_store(home: Path, *, lock_seconds: float) -> AsyncIterator[Store]:
    """Open a home: make what is missing of it, sweep what the dead left, and hold a scratch folder of one's own.

    Args:
        home: Its folder.
        lock_seconds: Seconds to wait for a lock that another process holds.

    Raises:
        StorageFailed: It can't be made or written.
    """
    hint = "see that this folder can be made and written, or choose another with `DYNAMO_MCP_HOME` or `--home`"
    with words("use the home folder", home, hint=hint):
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
            for journal in scratch.glob(f"{_JOURNAL}*"):
                _mend(journal)
            remove(scratch)
            swept.append(scratch.name)
            Path(lock.lock_file).unlink(missing_ok=True)
        finally:
            lock.release()
    return swept


def lives(home: Path, server: str) -> bool:
    """Tell whether a server of a home lives, by the name of its scratch folder.

    Raises:
        StorageFailed: Its lock can't be looked at.
    """
    if not (home / "scratch" / server).is_dir():
        return False
    lock = FileLock(home / "locks" / f"scratch-{server}.lock", thread_local=False)
    if not _try(lock):
        return True
    lock.release()
    return False


def _mend(journal: Path) -> None:
    """Do what a journal asks for; servers of before wrote all of theirs into one, a line each."""
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
