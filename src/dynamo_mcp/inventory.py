"""What lies in the home, how much is it, and when was it used last?

Only what has a name of ours is seen, and no link is followed: what it leads to lies elsewhere, and is somebody else's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

_BLOCK = 512
"""Bytes that `st_blocks` counts in (stat(3type))."""
_DIGITS = r"[0-9a-f]{%d}"

CHECKOUT = re.compile(_DIGITS % 32)
BASE = re.compile(_DIGITS % 16)
ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}-" + _DIGITS % 16)
COMPILED = re.compile(_DIGITS % 64)
PACKAGE = re.compile(_DIGITS % 64 + r"(?:\.json)?")
"""A file of an index, or what an index said of a package."""


class Entry(msgspec.Struct, frozen=True):
    """Something of the home, of a name of ours.

    Attributes:
        used: When it was used last, in seconds since the epoch.
    """

    path: Path
    used: float


class Size(msgspec.Struct, frozen=True):
    """How much a folder is.

    Attributes:
        own: Bytes on the disk that go with it: what has no other hard link.
        new: Bytes on the disk of what was not counted before.
        folders: Bytes on the disk of the folders alone.
        linked: When a file of it was last linked, or lost a link, in seconds since the epoch.
    """

    own: int
    new: int
    folders: int
    linked: float


def listed(parent: Path, names: re.Pattern[str], *, folders: bool = True) -> list[Entry]:
    """Return what is in one of the home's folders, oldest first; nothing where that is a link, or not there.

    Args:
        parent: The home's folder.
        names: What is ours.
        folders: Folders are wanted, or files; whatever else has such a name is nobody's business.
    """
    if parent.is_symlink() or not parent.is_dir():
        return []
    found = []
    with os.scandir(parent) as entries:
        for entry in entries:
            wanted = entry.is_dir(follow_symlinks=False) if folders else entry.is_file(follow_symlinks=False)
            if wanted and names.fullmatch(entry.name):
                try:
                    found.append(Entry(Path(entry.path), entry.stat(follow_symlinks=False).st_mtime))
                except FileNotFoundError:
                    continue
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def measure(path: Path, counted: set[tuple[int, int]]) -> Size:
    """Measure a file or a folder; links are not followed, and what vanishes meanwhile is nothing.

    Args:
        path: What is measured.
        counted: Device and inode of the files with several hard links that were counted; those of this one are added.
    """
    own = new = folders = 0
    linked = 0.0
    for status, folder in _walk(path):
        size = status.st_blocks * _BLOCK
        if folder or status.st_nlink == 1:
            own += size
            new += size
        elif (status.st_dev, status.st_ino) not in counted:
            counted.add((status.st_dev, status.st_ino))
            new += size
        if folder:
            folders += size
        else:
            linked = max(linked, status.st_ctime)
    return Size(own, new, folders, linked)


def identity(path: Path) -> tuple[int, int] | None:
    """Return a file's device and inode, which all its hard links have; None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def archives(wheels: Path) -> list[tuple[str, Path]]:
    """Return the distributions that uv's cache holds unpacked: name, as an index has it, and folder."""
    found: list[tuple[str, Path]] = []
    for store in listed(wheels, re.compile(r"archive-v\d+")):
        found += [(name, entry.path) for entry in listed(store.path, re.compile(r".+")) for name in held(entry.path)]
    return found


def held(packages: Path) -> set[str]:
    """Return the names, as an index has them, of the distributions in a folder such as `site-packages`.

    Raises:
        OSError: It can't be read.
    """
    suffix = ".dist-info"
    names = (entry.removesuffix(suffix) for entry in os.listdir(packages) if entry.endswith(suffix))
    return {re.sub(r"[-_.]+", "-", name.rpartition("-")[0]).lower() for name in names}


def _walk(path: Path) -> Iterator[tuple[os.stat_result, bool]]:
    try:
        status = path.lstat()
    except OSError:
        return
    folder = path.is_dir() and not path.is_symlink()
    yield status, folder
    pending = [str(path)] if folder else []
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                folder = entry.is_dir(follow_symlinks=False)
            except OSError:
                continue
            if folder:
                pending.append(entry.path)
            yield status, folder
