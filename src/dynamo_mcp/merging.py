"""How does a new project merge with one that is there? In a copy that shares its files, which is swapped in whole."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dynamo_mcp.errors import StorageFailed

CHUNK_BYTES = 1 << 20


def link_tree(source: Path, target: Path) -> None:
    """Copy an existing project by hard links, so that a merge changes nothing of it until it is swapped in.

    Raises:
        StorageFailed: Something is mounted in it, whose content could not go along.
        OSError: The disk is full, or the like.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            path = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if os.path.ismount(entry.path):
                    raise _mounted(entry.path)
                link_tree(Path(entry.path), path)
            elif entry.is_symlink():
                path.symlink_to(Path(entry.path).readlink())
            else:
                try:
                    os.link(entry.path, path, follow_symlinks=False)
                except OSError as error:
                    if error.errno == errno.EXDEV:
                        raise _mounted(entry.path) from error
                    with open(entry.path, "rb") as file, path.open("xb") as copy:  # noqa: PTH123 - a DirEntry's path
                        while chunk := file.read(CHUNK_BYTES):
                            copy.write(chunk)
                    path.chmod(stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode))
    target.chmod(stat.S_IMODE(source.stat().st_mode))


def carry_over(old: Path, new: Path, made: set[str], prefix: str = "") -> None:
    """Bring along what somebody wrote into a project while its merged copy was made.

    Args:
        old: The project as it was, which is no longer in its place.
        new: The merged copy, which is.
        made: Paths that the template made, and that replaced what was there.
        prefix: Where in the project this is.
    """
    for entry in list(os.scandir(old)):
        path = new / entry.name
        inside = prefix + entry.name
        try:
            there = path.lstat()
        except FileNotFoundError:
            Path(entry.path).rename(path)  # a merge removes nothing, so this is new
            continue
        if entry.is_dir(follow_symlinks=False):
            if stat.S_ISDIR(there.st_mode):
                carry_over(Path(entry.path), path, made, inside + "/")
        elif entry.is_file(follow_symlinks=False) and inside not in made and entry.inode() != there.st_ino:
            Path(entry.path).replace(path)  # it was saved anew, by a rename


def _mounted(path: str) -> StorageFailed:
    return StorageFailed(
        f"`{path}` is mounted inside the project, and can't be part of a merge",
        hint="unmount it first, or create the project elsewhere",
    )
