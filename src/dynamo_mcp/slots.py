"""How many may work at a time, and who is next? So many wait, for a bounded time; the rest is refused at once.

A caller with a hundred creates does not keep one with a single one waiting for all of them: next is whoever has the
fewest at work, and among equals whoever has been passed over for longest.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import msgspec

from dynamo_mcp.errors import Busy

caller: ContextVar[str] = ContextVar("caller", default="")
"""Who asks, as far as that is known: callers of one name share a queue."""

_NEW = 0.2
"""How much the last one that has worked counts for how long the next ones will."""


class Place(msgspec.Struct, frozen=True):
    """A place in the queue.

    Attributes:
        before: How many wait that come first, at most, if nobody else comes.
        seconds: How long that will take, as far as it can be told; None as long as nobody has been at work.
    """

    before: int
    seconds: float | None

    @property
    def words(self) -> str:
        """Say it."""
        soon = "" if self.seconds is None else f", about {math.ceil(self.seconds)} s"
        return f"{self.before} more before this one{soon}"


async def _untold(_place: Place) -> None:
    """Tell nobody."""


class _Waiter:
    def __init__(self) -> None:
        self.turn = anyio.Event()


class Slots:
    """So many places."""

    def __init__(self, number: int, queue: int, seconds: float) -> None:
        """Begin with all of them free.

        Args:
            number: How many there are.
            queue: How many may wait for one. Beyond it, and up to as many again, each caller may have one that waits.
            seconds: Seconds that one may wait.
        """
        self._number = number
        self._queue = queue
        self._seconds = seconds
        self._working: Counter[str] = Counter()
        self._queues: dict[str, deque[_Waiter]] = {}
        """Of each caller; whoever has been passed over for longest comes first."""
        self._mean: float | None = None

    @property
    def working(self) -> int:
        """How many work."""
        return self._working.total()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def one(self, tell: Callable[[Place], Awaitable[None]] = _untold) -> AsyncIterator[None]:
        """Hold one.

        Args:
            tell: Is told the place in the queue, where one has to be waited for.

        Raises:
            Busy: None became free in time, or too many wait already.
        """
        name = caller.get()
        try:
            with anyio.fail_after(self._seconds):
                await self._acquire(name, tell)
        except TimeoutError as error:
            raise Busy(
                f"{self._number} creates have been running for {self._seconds:g} seconds",
                hint="try again later, or allow more with `DYNAMO_MCP_CONCURRENT_CREATES`, or more seconds to wait "
                "with `DYNAMO_MCP_LOCK_SECONDS`",
            ) from error
        began = anyio.current_time()
        try:
            yield
        finally:
            took = anyio.current_time() - began
            self._mean = took if self._mean is None else self._mean + _NEW * (took - self._mean)
            self._release(name)

    async def _acquire(self, name: str, tell: Callable[[Place], Awaitable[None]]) -> None:
        if self._working.total() < self._number:  # then nobody waits
            self._working[name] += 1
            return
        own = self._queues.get(name, ())
        waiting = self.waiting
        if waiting >= (self._queue if own else 2 * self._queue):
            place = self._place(waiting)
            soon = "" if place.seconds is None else f"; all of them will take about {math.ceil(place.seconds)} s"
            raise Busy(
                f"{self._number} creates are running and {waiting} wait, as many as may{soon}",
                hint="try again later, or let more wait with `DYNAMO_MCP_QUEUED_CREATES`, or run at a time with "
                "`DYNAMO_MCP_CONCURRENT_CREATES`",
            )
        others = sum(min(len(queue), len(own) + 1) for other, queue in self._queues.items() if other != name)
        waiter = _Waiter()
        place = self._place(len(own) + others)
        self._queues.setdefault(name, deque()).append(waiter)
        try:
            await tell(place)
            await waiter.turn.wait()
        except BaseException:
            if waiter.turn.is_set():  # it had its turn just when it left
                self._release(name)
            else:
                self._leave(name, waiter)
            raise

    def _place(self, before: int) -> Place:
        return Place(before, None if self._mean is None else self._mean * (before + 1) / self._number)

    def _leave(self, name: str, waiter: _Waiter) -> None:
        self._queues[name].remove(waiter)
        if not self._queues[name]:
            del self._queues[name]

    def _release(self, name: str) -> None:
        """Give a place up to who is next."""
        self._working[name] -= 1
        if not self._working[name]:
            del self._working[name]
        if not self._queues:
            return
        following = min(self._queues, key=lambda each: self._working[each])
        queue = self._queues.pop(following)
        waiter = queue.popleft()
        if queue:
            self._queues[following] = queue
        self._working[following] += 1
        waiter.turn.set()
