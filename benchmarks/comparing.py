"""Are two outputs the same, byte for byte? Names, kinds, modes, contents and links; empty folders too."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

_HISTORY = ".git"
_OUTPUT = b"<output>"
_TEMPLATE = b"<template>"
_CHECKOUT = re.compile(rb"/[^\s\"']*/(?:checkouts/[0-9a-f]{32}|\.cookiecutters/[\w.-]+)")
"""Where a template is kept, here and by the `cookiecutter` command."""

Tree: TypeAlias = Mapping[str, str]
"""Each path below a folder with what is there."""


def tree(folder: Path, template: str = "") -> Tree:
    """Look at all that is below a folder.

    A repository's history differs by nature, in hashes and times: of `.git` only that it is there counts. Where the
    folder's own path stands in a file, it counts as the same in every folder; and so does that of the template.

    Args:
        folder: What to look at.
        template: Where the template is, if that is a folder.

    Returns:
        A description of each entry by its path.
    """
    places = {os.fsencode(folder): _OUTPUT}
    if template.startswith("/"):
        places[os.fsencode(template)] = _TEMPLATE
    return {str(path.relative_to(folder)): _entry(path, places) for path in _walk(folder)}


def differing(one: Tree, other: Tree) -> tuple[str, ...]:
    """Return the paths that are not the same in both, sorted."""
    return tuple(sorted(path for path in {*one, *other} if one.get(path) != other.get(path)))


def _walk(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        yield from (Path(at, name) for name in (*folders, *files))
        folders[:] = [name for name in folders if name != _HISTORY]


def _entry(path: Path, places: Mapping[bytes, bytes]) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"link to {_placeless(os.readlink(os.fsencode(path)), places)!r}"  # noqa: PTH115 - bytes
    mode = f"mode {stat.S_IMODE(status.st_mode):o}"
    if stat.S_ISDIR(status.st_mode):
        return f"folder, {mode}"
    if not stat.S_ISREG(status.st_mode):
        return "neither a file, a folder nor a link"
    content = _placeless(path.read_bytes(), places)
    return f"file, {mode}, {len(content)} bytes, {hashlib.sha256(content).hexdigest()}"


def _placeless(content: bytes, places: Mapping[bytes, bytes]) -> bytes:
    for place, word in places.items():
        content = content.replace(place, word)
    return _CHECKOUT.sub(_TEMPLATE, content)
