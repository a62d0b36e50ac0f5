"""Which bytecode need not be compiled again? That of files which a base shares with the one of cookiecutter alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dynamo_mcp.recorded import packages_of

CACHE = "__pycache__"


def share(base: Path, other: Path) -> int:
    """Link the bytecode of every source that two environments share, being the same file by hard links.

    Bytecode names its source by time and size, which are the file's own. What is there already stays.

    Args:
        base: Whose bytecode is whole.
        other: Which is given some; nothing of it is run.

    Returns:
        How many files were linked; none where uv has not linked its own, such as on another disk than its cache.

    Raises:
        OSError: One of them can't be read.
    """
    packages, others = packages_of(base), packages_of(other)
    shared = 0
    for folder, folders, names in os.walk(packages):
        target = others / Path(folder).relative_to(packages)
        if target.is_symlink() or not target.is_dir():
            folders.clear()
        elif target.name == CACHE:
            shared += sum(_link(name, Path(folder), target) for name in names)
        elif CACHE in folders:
            with suppress(OSError):
                (target / CACHE).mkdir()
    return shared


def _link(name: str, folder: Path, target: Path) -> bool:
    """Link one file of bytecode if its source is shared; return whether it was."""
    source = f"{name.partition('.')[0]}.py"
    with suppress(OSError):
        if os.path.samestat((folder.parent / source).lstat(), (target.parent / source).lstat()):
            (target / name).hardlink_to(folder / name)
            return True
    return False
