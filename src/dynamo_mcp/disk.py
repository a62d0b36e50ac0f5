"""How is one thing on disk renamed, replaced or removed, and what is said when it can't be?"""

from __future__ import annotations

import contextlib
import ctypes
import errno
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
    shutil.rmtree(path, ignore_errors=True)
    if path.is_dir():
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Bring what happened to a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlock(folder: Path) -> None:
    """Let the owner of a tree do everything with its folders; links are not followed."""
    with contextlib.suppress(OSError):
        folder.chmod(stat.S_IRWXU)
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                _unlock(entry)


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
