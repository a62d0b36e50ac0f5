"""How much has git written so far, and what of it is nothing any more?"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def weigh_packs(repository: Path) -> int:
    """Return the bytes of what has been fetched so far, and of what was said meanwhile."""
    total = 0
    for path in (repository / "said", *(repository / "objects" / "pack").glob("*")):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue  # renamed or removed since it was listed
    return total


def weigh_files(tree: Path) -> int:
    """Return the bytes of the files that have been checked out so far."""
    total = 0
    for folder, _, files in os.walk(tree):
        for name in files:
            with suppress(FileNotFoundError):  # git replaces a file that it has begun
                status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - thousands of them
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def clear_packs(repository: Path) -> None:
    """Remove what a fetch that broke off has begun to write."""
    for path in (repository / "objects" / "pack").glob("tmp_*"):
        path.unlink(missing_ok=True)
