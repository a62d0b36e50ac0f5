"""How does a supervisor wait for a job's words? What the job uses is looked at meanwhile; what is too much ends it."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Sequence

EVERY = 0.1
"""Seconds between two looks at least, which take a fifth of the time at most; what ends before is never looked at."""
PIECE = 1 << 16


class TooMuch(Exception):
    """A job uses more than it may."""

    def __init__(self, kind: str, message: str, setting: str | None) -> None:
        """Keep what is said of it.

        Args:
            kind: "memory", "processes", "space" or "depth".
            message: A sentence.
            setting: The name of the setting that allows more; None where none does.
        """
        super().__init__(message)
        self.kind = kind
        self.setting = setting


class Lines:
    """The lines of a job, one at a time; while it is silent, and when it is not, what it uses is looked at."""

    def __init__(self, descriptor: int, looks: Sequence[Callable[[], object]]) -> None:
        """Begin to wait.

        Args:
            descriptor: What the job writes to.
            looks: Each looks at one thing that the job uses, and raises `TooMuch`.
        """
        self._descriptor = descriptor
        self._looks = looks
        self._heard = bytearray()
        self._next = time.monotonic() + EVERY

    def next(self, longest: int) -> bytes:
        """Return the next line, with its end unless it has more bytes than `longest`; nothing when there is no more.

        Raises:
            TooMuch: The job uses more than it may.
        """
        searched = 0
        while not (end := self._heard.find(b"\n", searched) + 1) and len(self._heard) < longest:
            searched = len(self._heard)
            self.wait()
            piece = os.read(self._descriptor, PIECE)
            if not piece:
                break
            self._heard += piece
        line = bytes(self._heard[: end or longest])
        del self._heard[: len(line)]
        return line

    def wait(self, seconds: float = math.inf) -> None:
        """Wait until there is something to read, for some time at most.

        Raises:
            TooMuch: The job uses more than it may.
        """
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if now >= self._next:
                for look in self._looks:
                    look()
                ended = time.monotonic()
                self._next = ended + max(EVERY, 4 * (ended - now))
            elif select.select([self._descriptor], [], [], min(self._next, until) - now)[0]:
                return
