"""How often may one caller ask, and how much at a time? Each has the same share, and is told when to come back."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from dynamo_mcp.callers import LOCAL, current
from dynamo_mcp.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Scope

    from dynamo_mcp.serving import Serving

_BURST_SECONDS = 10
"""A caller who was silent for so long may ask as often at once as it might have asked meanwhile."""
_CALLERS = 10_000
"""Whose share is remembered; who was silent for longest is forgotten, and has a whole one."""


current_caller: ContextVar[str] = ContextVar("share", default="")
"""Whose share a request over HTTP is of (`caller_of`)."""


COUNT_FOR = "dynamo_mcp.count_for"
"""In the state of a WebSocket (ASGI): is told whose share what has arrived of it counts for from now on."""
_PARTS = 4
"""Callers who have as much as they may, before others have less for it."""


class Full(Exception):
    """All callers together have as much under way as there may be."""


class TooMuch(Exception):
    """A caller asks too often, or for too much at a time.

    Attributes:
        seconds: After which it may ask again.
    """

    def __init__(self, words: str, seconds: int = 1) -> None:
        """Say why."""
        super().__init__(words)
        self.seconds = seconds


class Budget:
    """Bytes that all callers may have together, of which each has a part at most."""

    def __init__(self, whole: int, largest: int) -> None:
        """Have none.

        Args:
            whole: How many all may have.
            largest: How many one message may have: a part is two of them at least, one at hand and the next.
        """
        self._whole = whole
        self._part = max(whole // _PARTS, 2 * largest)
        self._of: Counter[str] = Counter()
        self._all = 0

    def count(self, caller: str, number: int) -> None:
        """Count bytes more, or fewer where the number is below zero, whether or not there may be so many.

        What a caller has beyond its part, until it is refused, leaves no less to others.
        """
        before = min(self._of[caller], self._part)
        self._of[caller] += number
        self._all += min(self._of[caller], self._part) - before
        if not self._of[caller]:
            del self._of[caller]

    def check(self, caller: str) -> None:
        """Check that a caller may have what was counted.

        Raises:
            TooMuch: It is more than its part.
            Full: All together have too much.
        """
        if self._of[caller] > self._part:
            raise TooMuch(f"{self._part} bytes of your requests are under way, as many as may be")
        if self._all > self._whole:
            raise Full("too much is under way")


class Shares:
    """The shares of all callers.

    Attributes:
        limits: What each is, and what there is of all.
        bytes: Those of what is under way.
    """

    def __init__(self, limits: Serving) -> None:
        """Begin with whole ones."""
        self.limits = limits
        self._rates: OrderedDict[str, Rate] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self.bytes = Budget(limits.total_body_bytes, limits.body_bytes)

    def spend(self, caller: str) -> None:
        """Count a request.

        Raises:
            TooMuch: There were too many.
        """
        often = self.limits.caller_requests_per_second
        rate = self._rates.setdefault(caller, Rate(max(1, round(often * _BURST_SECONDS)), 1 / often))
        self._rates.move_to_end(caller)
        if len(self._rates) > _CALLERS:
            self._rates.popitem(last=False)
        if not rate.take():
            raise TooMuch("you ask too often", math.ceil(rate.wait))

    @contextmanager
    def running(self, caller: str) -> Iterator[None]:
        """Count a request while it runs.

        Raises:
            TooMuch: As many run as may.
        """
        words = f"{self.limits.caller_requests} of your requests are under way, as many as may be"
        with _counted(self._running, caller, self.limits.caller_requests, words):
            yield

    @contextmanager
    def open(self, caller: str) -> Iterator[None]:
        """Count what a caller keeps open while it is: a session, or a request that listens or waits.

        Raises:
            TooMuch: As many are open as may be.
        """
        words = f"{self.limits.caller_sessions} of your sessions and streams are open, as many as may be"
        with _counted(self._open, caller, self.limits.caller_sessions, words):
            yield


@contextmanager
def _counted(counter: Counter[str], caller: str, most: int, words: str) -> Iterator[None]:
    if counter[caller] >= most:
        raise TooMuch(words)
    counter[caller] += 1
    try:
        yield
    finally:
        counter[caller] -= 1
        if not counter[caller]:
            del counter[caller]


def caller_of(scope: Scope) -> str:
    """Return whose share it is (`share_of`)."""
    return share_of((scope.get("client") or ("",))[0])


def share_of(address: str | None) -> str:
    """Return whose share it is: a caller's by name, and where nobody is asked who they are, an address's."""
    caller = current.get()
    return caller.name if caller is not LOCAL else peer(address)


def peer(address: str | None) -> str:
    """Return an address's share."""
    return f"peer {address or ''}"
