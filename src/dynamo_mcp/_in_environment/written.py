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
            how many "bytes" it may hold, the "setting" that says so, and what it "is" in words.

    Raises:
        TooMuch: It is more than may be.
    """
    for folder in most["folders"]:
        _look(folder, most["files"])


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
