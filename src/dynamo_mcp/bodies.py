"""How long does what a client has sent count? As long as somebody has it, also when it was answered long ago."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Body:
    """The bytes of one request over HTTP."""

    def __init__(self, count: Callable[[int], object]) -> None:
        """Have none yet.

        Args:
            count: Counts so many bytes more, or fewer where they are below zero.
        """
        self._bytes = 0
        self._count = count
        self._holders = 0

    def add(self, number: int) -> int:
        """Take more bytes, and return how many there are; while nobody holds them they count as none."""
        self._bytes += number
        return self._bytes

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have what is there, and comes, counted until nobody holds it; it may be taken up again later."""
        if not self._holders:
            self._count(self._bytes)
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._count(-self._bytes)


current: ContextVar[Body | None] = ContextVar("body", default=None)
"""That of the message at hand; a transport whose messages count in another way has none."""
