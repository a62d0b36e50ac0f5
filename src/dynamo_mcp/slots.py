"""How many may work at a time? The rest waits, for a bounded time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from dynamo_mcp.errors import Busy


class Slots:
    """So many places; who comes first is served first."""

    def __init__(self, number: int, seconds: float) -> None:
        """Begin with all of them free.

        Args:
            number: How many there are.
            seconds: Seconds that one may wait.
        """
        self._limiter = anyio.CapacityLimiter(number)
        self._seconds = seconds

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold one.

        Raises:
            Busy: None became free in time.
        """
        holder = object()
        try:
            with anyio.fail_after(self._seconds):
                await self._limiter.acquire_on_behalf_of(holder)
        except TimeoutError as error:
            raise Busy(
                f"{self._limiter.total_tokens:g} creates have been running for {self._seconds:g} seconds",
                hint="try again later, or allow more with `DYNAMO_MCP_CONCURRENT_CREATES`",
            ) from error
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(holder)
