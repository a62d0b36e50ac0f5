"""How much has a job written so far? Looked at as far as no file system of its own limits it (`watching.py`)."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamo_mcp._in_environment.watching import TooMuch
else:
    from watching import TooMuch

DEPTH = 60
"""Folders within folders that a project may have (`copying.py`)."""


def look(most: dict[str, Any], before: list[int]) -> None:
    """Look at what a job has written by now.

    Args:
        most: "files", the number of files, folders and links that each folder may hold; "folders": of each its "path",
            how many "bytes" it may hold, the "setting" that says so, and what it "is" in words; "mounts": the same of
            folders that are file systems of the job's own, which limit bytes by themselves, and hence without.
        before: What `inodes` has returned before the job began.

    Raises:
        TooMuch: It is more than may be.
    """
    for folder in most["folders"]:
        _look(folder, most["files"])
    for mount, had, has in zip(most["mounts"], before, inodes(most), strict=True):
        if has - had > most["files"]:
            told = f"{mount['is']} has more than {most['files']} files and folders"
            raise TooMuch("space", told, "output_files")


def inodes(most: dict[str, Any]) -> list[int]:
    """Return how many files, folders and links there are in each of the job's own file systems (statvfs(3))."""
    found = [os.statvfs(mount["path"]) for mount in most["mounts"]]
    return [each.f_files - each.f_ffree for each in found]


def _look(folder: dict[str, Any], most_files: int) -> None:
    """Add up what is in one folder, on the disk and without following a link."""
    used = files = 0
    what, most_bytes = folder["is"], folder["bytes"]

    def add(descriptor: int, depth: int) -> None:
        nonlocal used, files
        if depth > DEPTH:
            raise TooMuch("depth", f"{what} has more than {DEPTH} folders within each other", None)
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # gone meanwhile, or no folder any more
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
                    if used > most_bytes:
                        told = f"{what} is full, with more than {most_bytes} bytes"
                        raise TooMuch("space", told, folder["setting"])
                    if files > most_files:
                        told = f"{what} has more than {most_files} files and folders"
                        raise TooMuch("space", told, "output_files")
                    if entry.is_dir(follow_symlinks=False):
                        below(entry.name, descriptor, depth + 1)

    def below(name: str, within: int | None, depth: int) -> None:
        opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
        try:
            add(opened, depth)
        finally:
            os.close(opened)

    with contextlib.suppress(OSError):
        below(folder["path"], None, 0)
