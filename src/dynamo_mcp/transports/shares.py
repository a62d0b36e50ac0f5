"""How often may one caller ask, and how much at a time? Each has the same share, and is told when to come back."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from contextlib import contextmanager
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


class TooMuch(Exception):
    """A caller asks too often, or for too much at a time.

    Attributes:
        seconds: After which it may ask again.
    """

    def __init__(self, words: str, seconds: int = 1) -> None:
        """Say why."""
        super().__init__(words)
        self.seconds = seconds


class Shares:
    """The shares of all callers."""

    def __init__(self, limits: Serving) -> None:
        """Begin with whole ones."""
        self._limits = limits
        self._rates: OrderedDict[str, Rate] = OrderedDict()
        self._running: Counter[str] = Counter()

    def spend(self, caller: str) -> None:
        """Count a request.

        Raises:
            TooMuch: There were too many.
        """
        often = self._limits.caller_requests_per_second
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
        if self._running[caller] >= self._limits.caller_requests:
            raise TooMuch(f"{self._limits.caller_requests} of your requests are under way, as many as may be")
        self._running[caller] += 1
        try:
            yield
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]


def caller_of(scope: Scope) -> str:
    """Return whose share it is: a caller's by name, and where nobody is asked who they are, an address's."""
    caller = current.get()
    return caller.name if caller is not LOCAL else f"peer {(scope.get('client') or ('',))[0]}"
