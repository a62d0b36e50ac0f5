"""How much has a job written so far? Looked at where no file system of its own limits it (`watching.py`)."""

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


def look(most: dict[str, Any]) -> None:
    """Look at what a job has written by now.

    Args:
        most: "files", the number of files, folders and links that each folder may hold; "folders": of each its "path",
            how many "bytes" it may hold, and what it "is" in words.

    Raises:
        TooMuch: It is more than may be.
    """
    for folder in most["folders"]:
        measure(folder["path"], folder["bytes"], most["files"], folder["is"])


def measure(folder: str, most_bytes: int, most_files: int, what: str) -> tuple[int, int]:
    """Add up what is in a folder, without following a link.

    Returns:
        How many bytes its files take on the disk, and how many files, folders and links there are.

    Raises:
        TooMuch: It is more than may be.
    """
    used = files = 0

    def add(descriptor: int, depth: int) -> None:
        nonlocal used, files
        if depth > DEPTH:
            raise TooMuch("space", f"{what} has more than {DEPTH} folders within each other")
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # gone meanwhile, or no folder any more
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    files += 1
                    if used > most_bytes:
                        raise TooMuch("space", f"{what} is full, with more than {most_bytes} bytes")
                    if files > most_files:
                        raise TooMuch("space", f"{what} has more than {most_files} files and folders")
                    if entry.is_dir(follow_symlinks=False):
                        below(entry.name, descriptor, depth + 1)

    def below(name: str, within: int | None, depth: int) -> None:
        opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
        try:
            add(opened, depth)
        finally:
            os.close(opened)

    with contextlib.suppress(OSError):
        below(folder, None, 0)
    return used, files
