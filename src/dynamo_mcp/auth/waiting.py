"""Who may wait until somebody is verified? So many, of whom a few have their turn; whoever comes beyond is told so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from dynamo_mcp.errors import Busy

WAITING = 64
"""Callers that may wait or have their turn; more are refused at once."""


class Line:
    """Callers that wait for the same thing."""

    def __init__(self, at_a_time: int) -> None:
        """Begin with nobody.

        Args:
            at_a_time: How many have their turn at the same time.
        """
        self._turns = anyio.Semaphore(at_a_time)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the caller stays in the context.

        Raises:
            Busy: Too many wait.
        """
        if self._waiting >= WAITING:
            raise busy()
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1


def busy() -> Busy:
    """Return the error of a caller who can't be verified now, and may be good."""
    return Busy("Too many callers have to be verified at the moment", hint="try again in a few seconds")
