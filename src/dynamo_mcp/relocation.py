"""Does a project know where it was made? A hook's working directory is in the sandbox, and what it wrote may hold that.

Text gets the place where the project will be instead, also where the path stands in a URL or with escaped slashes.
Anything else is told of: it would break by a longer path.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import msgspec

from dynamo_mcp.text import plain
from dynamo_mcp.types import HookRun

REPAIRED_BYTES = 8 << 20
"""Bytes that a file may have to be repaired."""
NOTES = 100
"""Files that are told of."""


def _escaped(path: bytes) -> bytes:
    return path.replace(b"/", b"\\/")


def _in_url(path: bytes) -> bytes:
    return b"file://" + quote(path).encode()


_SPELLINGS: tuple[Callable[[bytes], bytes], ...] = (
    _in_url,
    lambda path: _escaped(_in_url(path)),
    lambda path: b"file:" + quote(path).encode(),
    lambda path: path,
    _escaped,
    lambda path: quote(path, safe="").encode(),
    lambda path: quote(path, safe="").replace("%2F", "%2f").encode(),
)
"""How a path may be written in text: in a URL, as writers of JSON escape it, as it is, as a part of a URL."""


class Move(msgspec.Struct, frozen=True):
    """From where to where a project moves.

    Attributes:
        made: The folder that holds the project, as the job sees it; its name is in no other path.
        published: The real folder that will hold it.
        directory: The project folder's name.
    """

    made: str
    published: str
    directory: str

    @property
    def mark(self) -> bytes:
        """What is in every text that holds a path of the job's own, its temporary folder's too."""
        return self.made.rpartition("/")[2].encode()

    @property
    def marks(self) -> tuple[bytes, bytes]:
        """The mark, and what it is in UTF-16 of either byte order."""
        return self.mark, self.mark.decode().encode("utf-16-le")[:-1]

    def repaired(self, text: bytes) -> bytes:
        """Return a text that knows where the project will be."""
        for spelled in _SPELLINGS:
            text = text.replace(spelled(os.fsencode(self.made)), spelled(os.fsencode(self.published)))
        return text

    def told(self, hooks: Iterable[HookRun]) -> tuple[HookRun, ...]:
        """Return what hooks printed as of the place where the project will be."""
        return tuple(
            msgspec.structs.replace(run, output=run.output.replace(self.made, self.published)) for run in hooks
        )

    def inside(self, destination: str) -> str | None:
        """Return what an absolute link leads to inside the project; None if it leads elsewhere."""
        project = f"{self.made}/{self.directory}/"
        return destination.removeprefix(project) if destination.startswith(project) else None


def repair(project: Path, marked: list[str], move: Move) -> list[str]:
    """Replace the path of the sandbox in a project that is not published yet.

    Args:
        project: Its folder, in which nobody else writes.
        marked: Files that hold the mark, relative to it.
        move: From where to where it moves.

    Returns:
        What was done and what was not, a sentence for each file.
    """
    notes = []
    for name in marked:
        path = project / name
        mode = stat.S_IMODE(path.stat().st_mode)
        large = path.stat().st_size > REPAIRED_BYTES
        content = b"" if large else path.read_bytes()
        if large or b"\0" in content:
            why = f"has more than {REPAIRED_BYTES} bytes" if large else "is not UTF-8 text"
            notes.append(plain(f"{name}: it holds the path of the sandbox that it was made in, and {why}"))
            continue
        text = move.repaired(content)
        path.chmod(mode | stat.S_IWUSR)
        path.write_bytes(text)
        path.chmod(mode)
        if move.mark in text:
            notes.append(plain(f"{name}: it holds a path of the sandbox that could not be replaced, and is gone"))
        else:
            notes.append(plain(f"{name}: the path of the sandbox in it was replaced by that of the project"))
    more = len(notes) - NOTES
    return notes if more <= 0 else [*notes[:NOTES], f"and {more} more files"]
