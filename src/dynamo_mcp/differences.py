"""Which lines differ? A unified diff that is bounded in size and in time, whatever the texts are."""

from __future__ import annotations

import codecs
import io
import time
from collections.abc import Iterator
from difflib import SequenceMatcher

LINES = 1000
"""Lines between the first and the last difference that are compared one with another; difflib may take their square."""
SECONDS = 5.0
"""Seconds after which no further file is compared."""
CONTEXT = 3
_SNIFFED_BYTES = 8000

_Operation = tuple[str, int, int, int, int]


def decode(content: bytes) -> str | None:
    """Return a text; None where the bytes are none. Its end may be missing in the middle of a character."""
    if b"\0" in content[:_SNIFFED_BYTES]:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return None


class Differences:
    """A diff of many files, as `git diff` writes it.

    Attributes:
        cut: Something was left out, because there was no room or no time for it.
    """

    def __init__(self, limit: int) -> None:
        """Begin with none.

        Args:
            limit: Bytes that it may have.
        """
        self.cut = False
        self._lines: list[str] = []
        self._left = limit
        self._until = time.monotonic() + SECONDS

    @property
    def text(self) -> str:
        """The whole diff."""
        return "".join(self._lines)

    def add(self, path: str, before: str, after: str, modes: tuple[int, int]) -> None:
        """Compare one file's texts and modes."""
        if self.cut or time.monotonic() > self._until:
            self.cut = True
            return
        for line in _compare(path, before, after, modes):
            self._left -= len(line.encode())
            if self._left < 0:
                self.cut = True
                return
            self._lines.append(line)


def _compare(path: str, before: str, after: str, modes: tuple[int, int]) -> Iterator[str]:
    yield f"diff a/{path} b/{path}\n"
    if modes[0] != modes[1]:
        yield f"old mode {modes[0]:o}\nnew mode {modes[1]:o}\n"
    if before == after:
        return
    yield f"--- a/{path}\n+++ b/{path}\n"
    old, new = list(io.StringIO(before, newline="\n")), list(io.StringIO(after, newline="\n"))
    matcher: SequenceMatcher[str] = SequenceMatcher(None, [], [])
    matcher.opcodes = _operations(old, new)  # type: ignore[attr-defined]  # it only groups them
    for group in matcher.get_grouped_opcodes(CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for kind, old_start, old_end, new_start, new_end in group:
            if kind == "equal":
                yield from _marked(" ", old[old_start:old_end])
            else:
                yield from _marked("-", old[old_start:old_end])
                yield from _marked("+", new[new_start:new_end])


def _operations(old: list[str], new: list[str]) -> list[_Operation]:
    """Return what turns one text into the other: in few steps, or where that could take long, in one."""
    shorter = min(len(old), len(new))
    start = next((index for index in range(shorter) if old[index] != new[index]), shorter)
    end = next((index for index in range(shorter - start) if old[-1 - index] != new[-1 - index]), shorter - start)
    old_end, new_end = len(old) - end, len(new) - end
    operations: list[_Operation] = [("equal", 0, start, 0, start)] if start else []
    if max(old_end, new_end) - start > LINES:
        operations.append(("replace", start, old_end, start, new_end))
    else:
        operations += [
            (kind, start + a, start + b, start + c, start + d)
            for kind, a, b, c, d in SequenceMatcher(None, old[start:old_end], new[start:new_end]).get_opcodes()
        ]
    return [*operations, *([("equal", old_end, len(old), new_end, len(new))] if end else [])]


def _range(start: int, end: int) -> str:
    length = end - start
    return str(start + 1) if length == 1 else f"{start + 1 if length else start},{length}"


def _marked(mark: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"
