"""How does a project that was made differ from a folder that is there? The folder is read through descriptors only.

It is a person's, and may hold links to anywhere: none is followed, so that nothing outside it is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dynamo_mcp.types import Change, IfExists

CHUNK_BYTES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_IN_THE_WAY = {errno.ENOTDIR, errno.ELOOP}


class Existing:
    """A folder that a project would be written to, or nothing; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Open nothing yet."""
        self._folder = folder
        self._root = -1

    def __enter__(self) -> Self:
        """Open the folder, if there is one."""
        try:
            self._root = os.open(self._folder, _FOLDER)
        except OSError as error:
            if error.errno not in {errno.ENOENT, *_IN_THE_WAY}:
                raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._root >= 0:
            os.close(self._root)

    def change(self, made: Path, path: str, if_exists: IfExists) -> Change:
        """Say what a create would do with one file or link.

        Args:
            made: The project's folder.
            path: The file, relative to it.
            if_exists: What becomes of what is there already; `error` is compared as `overwrite`.

        Raises:
            OSError: What is there can't be read.
        """
        try:
            with self._beside(path) as (folder, name):
                there = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if _same(made / path, folder, name, there):
                    return "same"
        except OSError as error:
            if error.errno in _IN_THE_WAY:  # a file or a link, which is never removed for a folder
                return "kept"
            if error.errno == errno.ENOENT:
                return "new"
            raise
        # A folder is never removed for a file.
        return "kept" if if_exists == "skip" or stat.S_ISDIR(there.st_mode) else "changed"

    def read(self, path: str, limit: int) -> tuple[bytes, int] | None:
        """Return a regular file's first bytes, one more than the limit at most, and its mode; None for anything else.

        Raises:
            OSError: It can't be read.
        """
        with self._beside(path) as (folder, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                return None
            with open(os.open(name, _FILE, dir_fd=folder), "rb") as file:  # noqa: PTH123 - a descriptor
                status = os.fstat(file.fileno())
                return (file.read(limit + 1), status.st_mode) if stat.S_ISREG(status.st_mode) else None

    @contextmanager
    def _beside(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the folder that a file is in, one step at a time."""
        if self._root < 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        *folders, name = path.split("/")
        here = os.dup(self._root)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER, dir_fd=here)
                os.close(here)
                here = inner
            yield here, name
        finally:
            os.close(here)


def _same(made: Path, folder: int, name: str, there: os.stat_result) -> bool:
    here = made.lstat()
    if stat.S_IFMT(here.st_mode) != stat.S_IFMT(there.st_mode):
        return False
    if stat.S_ISLNK(here.st_mode):
        return str(made.readlink()) == os.readlink(name, dir_fd=folder)
    if here.st_size != there.st_size or stat.S_IMODE(here.st_mode) != stat.S_IMODE(there.st_mode):
        return False
    with made.open("rb") as one, open(os.open(name, _FILE, dir_fd=folder), "rb") as other:  # noqa: PTH123 - a descriptor
        while chunk := one.read(CHUNK_BYTES):
            if chunk != other.read(CHUNK_BYTES):
                return False
        return not other.read(1)
