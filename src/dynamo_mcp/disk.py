"""How is one thing on disk renamed, replaced or removed, and what is said when it can't be?"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import os
import shutil
import stat
import sys
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.text import folded

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
"""linux/fcntl.h, linux/fs.h"""


@contextmanager
def words(doing: str, path: Path, *, hint: str | None = None) -> Iterator[None]:
    """Turn an `OSError` into words.

    Args:
        doing: What was being done, as in "write the record".
        path: What it was done to.
        hint: What to do, whatever the error; None where something was to be written.

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
            hint=hint or hints.get(error.errno or 0, "check that the folder exists and can be written"),
        ) from error


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


def exchange(one: Path, other: Path) -> bool:
    """Let two things change places in one step; return whether this system can.

    Raises:
        OSError: It can, but this one failed; both are where they were.
    """
    return _rename(one, other, _RENAME_EXCHANGE)


def remove(path: Path) -> None:
    """Remove a file or a folder, also one without write bits; what can't be removed is left for the next sweep."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
    with contextlib.suppress(OSError):
        top = os.open(path, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
    # Where folders can't be moved, as those of an image's lower layers, what is not very deep goes all the same.
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Bring what happened to a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(top: int) -> None:
    """Remove all that is in a folder, however deep: folders are moved up into it, and two are open at a time."""
    numbers = itertools.count()
    prefix = uuid.uuid4().hex
    pending = ["."]
    while pending:
        name = pending.pop()
        with contextlib.suppress(OSError):
            folder = os.open(name, _FOLDER, dir_fd=top)
            try:
                pending += _take_apart(folder, top, (f"{prefix}-{number}" for number in numbers))
            finally:
                os.close(folder)
            if name != ".":
                os.rmdir(name, dir_fd=top)


def _take_apart(folder: int, top: int, names: Iterator[str]) -> Iterator[str]:
    """Remove a folder's files and move its folders up, under other names; links are not followed."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
                continue
            with contextlib.suppress(OSError):
                os.chmod(entry.name, stat.S_IRWXU, dir_fd=folder)
            name = next(names)
            os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=top)
            yield name


@functools.cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename as renameat2(2) does; return whether this system can.

    Raises:
        OSError: It can, but this one failed.
    """
    library = _system()
    if not hasattr(library, "renameat2"):
        return False
    sys.audit("os.rename", source, target, -1, -1)
    if library.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL}:  # a kernel or a file system that can't
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def ignores_case(folder: Path) -> bool:
    """Tell whether a folder's disk takes names for one that differ only in case or composition, by trying.

    Raises:
        OSError: Nothing can be written there.
    """
    name = f".é-{uuid.uuid4().hex}-a"
    path = folder / name
    path.touch(exist_ok=False)
    try:
        return any(os.path.lexists(folder / other) for other in (name.upper(), unicodedata.normalize("NFD", name)))
    finally:
        path.unlink(missing_ok=True)


def colliding(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that are one on a disk that ignores case, or None."""
    first: dict[str, str] = {}
    return next(((first[key], name) for name in names if first.setdefault(key := folded(name), name) != name), None)
