"""Which calls run, and how do they end when the server does? They may finish for a while; then they are cancelled."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import anyio

from dynamo_mcp.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Result = TypeVar("Result")

CALLS, CALLER_CALLS = 10_000, 1000
"""That may run at a time, of all callers and of one."""


class Calls:
    """The calls of all clients."""

    def __init__(self) -> None:
        """Begin with none."""
        self._running: set[anyio.CancelScope] = set()
        self._callers: Counter[str] = Counter()
        self._idle = anyio.Event()
        self.ending = False
        """Whether no further call is begun."""

    async def run(self, caller: str, act: Callable[[], Awaitable[Result]]) -> Result | None:
        """Return what a call returns; None if it was not begun, or was cancelled, since the server ends.

        Raises:
            Busy: As many run as may: a client need not wait for its answers.
        """
        if self.ending:
            return None
        if self._callers[caller] >= CALLER_CALLS or len(self._running) >= CALLS:
            raise Busy("Too many calls are under way", hint="wait until one of them has ended")
        self._callers[caller] += 1
        try:
            return await self._run(act)
        finally:
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]

    async def _run(self, act: Callable[[], Awaitable[Result]]) -> Result | None:
        with anyio.CancelScope() as running:
            self._running.add(running)
            try:
                return await act()
            finally:
                self._running.discard(running)
                if not self._running:
                    self._idle.set()
        # Only `cancel` cancels this scope; a client that gives up cancels a wider one.
        return None

    async def finish(self) -> None:
        """Begin no more calls, and wait for those that run."""
        self.ending = True
        if self._running:
            self._idle = anyio.Event()
            await self._idle.wait()

    def cancel(self) -> None:
        """Cancel those that run."""
        for running in self._running:
            running.cancel()
