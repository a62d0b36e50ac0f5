"""How long does what a client has sent count? As long as somebody has it, also when it was answered long ago."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Body:
    """What one request over HTTP has sent.

    Attributes:
        bytes: How much that is.
    """

    def __init__(self, count: Callable[[int], None]) -> None:
        """Have nothing yet.

        Args:
            count: Counts so many bytes more, or fewer where they are below zero.
        """
        self.bytes = 0
        self._count = count
        self._holders = 0

    def add(self, number: int) -> None:
        """Take more bytes while somebody holds them."""
        self.bytes += number
        self._count(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have it counted until nobody holds it; it may be taken up again later."""
        if not self._holders:
            self._count(self.bytes)
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._count(-self.bytes)


current: ContextVar[Body | None] = ContextVar("body", default=None)
"""That of the message at hand; a transport whose messages count in another way has none."""
