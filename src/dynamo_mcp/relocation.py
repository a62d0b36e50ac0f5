"""Does a project know where it was made? A hook's working directory is in the sandbox, and what it wrote may hold that.

Text gets the place where the project will be instead, also where the path stands in a URL or with escaped slashes.
Anything else is told of: it would break by a longer path.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import msgspec

from dynamo_mcp.text import plain
from dynamo_mcp.types import HookRun

REPAIRED_BYTES = 8 << 20
"""Bytes that a file may have to be repaired, and that it may have then: a long path makes much of a little."""
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
_REPLACED = "the path of the sandbox in it was replaced by that of the project"
_GONE = "it holds a path of the sandbox that could not be replaced, and is gone"
_LEFT_OUT = re.compile(r"\[(\d{1,18}) bytes left out(.{0,100})\]\n")


class Move(msgspec.Struct, frozen=True, dict=True):
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

    @cached_property
    def _places(self) -> dict[bytes, bytes]:
        return {spelled(os.fsencode(self.made)): spelled(os.fsencode(self.published)) for spelled in _SPELLINGS}

    @cached_property
    def _made(self) -> re.Pattern[bytes]:
        return re.compile(b"|".join(re.escape(place) for place in self._places))

    def growth(self, text: bytes) -> int:
        """Return how many bytes longer a text is when it knows where the project will be."""
        return sum(len(self._places[found[0]]) - len(found[0]) for found in self._made.finditer(text))

    def repaired(self, text: bytes) -> bytes:
        """Return a text that knows where the project will be."""
        return self._made.sub(lambda found: self._places[found[0]], text)

    def told(self, hooks: Iterable[HookRun], kept: int) -> tuple[HookRun, ...]:
        """Return what hooks printed as of the place where the project will be; of much that is, the last bytes."""
        return tuple(
            msgspec.structs.replace(run, output=_end(_end(run.output, kept).replace(self.made, self.published), kept))
            for run in hooks
        )

    def inside(self, destination: str) -> str | None:
        """Return what an absolute link leads to, relative to the project; None if it leads elsewhere."""
        project = f"{self.made}/{self.directory}".rstrip("/")
        if f"{destination}/".startswith(f"{project}/"):
            return destination.removeprefix(project).lstrip("/")
        return None


def repair(project: Path, marked: list[str], move: Move, room: int) -> list[str]:
    """Replace the path of the sandbox in a project that is not published yet.

    Args:
        project: Its folder, in which nobody else writes.
        marked: Files that hold the mark, relative to it.
        move: From where to where it moves.
        room: Bytes that all of them together may grow by.

    Returns:
        What was done and what was not, a sentence for each file.
    """
    notes = []
    for name in marked:
        path = project / name
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        content = b"" if status.st_size > REPAIRED_BYTES else path.read_bytes()
        growth = move.growth(content)
        if status.st_size > REPAIRED_BYTES:
            why = f"has more than {REPAIRED_BYTES} bytes"
        elif b"\0" in content:
            why = "is not UTF-8 text"
        elif growth > min(room, REPAIRED_BYTES - len(content)):
            why = f"would grow by {growth} bytes, more than it may"
        else:
            text = move.repaired(content)
            room -= growth
            path.chmod(mode | stat.S_IWUSR)
            path.write_bytes(text)
            path.chmod(mode)
            gone = move.mark in text
            notes.append(plain(f"{name}: {_GONE if gone else _REPLACED}"))
            continue
        notes.append(plain(f"{name}: it holds the path of the sandbox that it was made in, and {why}"))
    more = len(notes) - NOTES
    return notes if more <= 0 else [*notes[:NOTES], f"and {more} more files"]


def _end(printed: str, kept: int) -> str:
    """Return the end of what a hook printed, and how much was left out before it."""
    encoded = printed.encode("utf-8", "replace")
    beginning = _LEFT_OUT.match(printed)
    head = len(beginning[0]) if beginning else 0
    more = len(encoded) - head - kept
    if more <= 0:
        return printed
    before, how = (int(beginning[1]), beginning[2]) if beginning else (0, "")
    return f"[{before + more} bytes left out{how}]\n" + encoded[-kept:].decode("utf-8", "replace")
