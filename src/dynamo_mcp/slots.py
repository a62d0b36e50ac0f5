"""How many may work at a time? So many more wait, for a bounded time; the rest is refused at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from dynamo_mcp.errors import Busy


async def _untold(_before: int) -> None:
    """Tell nobody."""


class Slots:
    """So many places; who comes first is served first."""

    def __init__(self, number: int, queue: int, seconds: float) -> None:
        """Begin with all of them free.

        Args:
            number: How many there are.
            queue: How many may wait for one.
            seconds: Seconds that one may wait.
        """
        self._limiter = anyio.CapacityLimiter(number)
        self._queue = queue
        self._waiting = 0
        self._seconds = seconds

    @asynccontextmanager
    async def one(self, tell: Callable[[int], Awaitable[None]] = _untold) -> AsyncIterator[None]:
        """Hold one.

        Args:
            tell: Is told how many wait already, where one has to be waited for.

        Raises:
            Busy: None became free in time, or too many wait already.
        """
        holder = object()
        try:
            with anyio.fail_after(self._seconds):
                await self._acquire(holder, tell)
        except TimeoutError as error:
            raise Busy(
                f"{self._limiter.total_tokens:g} creates have been running for {self._seconds:g} seconds",
                hint="try again later, or allow more with `DYNAMO_MCP_CONCURRENT_CREATES`, or more seconds to wait "
                "with `DYNAMO_MCP_LOCK_SECONDS`",
            ) from error
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(holder)

    async def _acquire(self, holder: object, tell: Callable[[int], Awaitable[None]]) -> None:
        try:
            self._limiter.acquire_on_behalf_of_nowait(holder)
        except anyio.WouldBlock:
            if self._waiting >= self._queue:
                raise Busy(
                    f"{self._limiter.total_tokens:g} creates are running and {self._waiting} wait, as many as may",
                    hint="try again later, or let more wait with `DYNAMO_MCP_QUEUED_CREATES`, or run at a time with "
                    "`DYNAMO_MCP_CONCURRENT_CREATES`",
                ) from None
            self._waiting += 1
            try:
                await tell(self._waiting - 1)
                await self._limiter.acquire_on_behalf_of(holder)
            finally:
                self._waiting -= 1
