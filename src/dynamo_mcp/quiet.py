"""What of the SDK's log can any client have written as often as it likes? Such a line is told rarely.

It tells what somebody sent that can't be meant, which they were told, too. Faults and tracebacks are told always.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from dynamo_mcp.rates import Rate

LOGGERS = tuple(
    f"mcp.server.{name}"
    for name in ("request_state", "runner", "streamable_http_manager", "subscriptions", "transport_security")
)
LINES, SECONDS_BETWEEN = 3, 10.0
"""Of one place in the code at once, and then one in so many seconds."""


class Rarely(logging.Filter):
    """Leaves out warnings of a place that has warned too often."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Leave out none yet.

        Args:
            clock: Says the time in seconds.
        """
        super().__init__()
        self._clock = clock
        self._rates: dict[tuple[str, int], Rate] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is told."""
        if record.levelno != logging.WARNING or record.exc_info:
            return True
        place = (record.pathname, record.lineno)
        return self._rates.setdefault(place, Rate(LINES, SECONDS_BETWEEN, self._clock)).take()


_rarely = Rarely()


def quiet() -> None:
    """Have it so; once is enough."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_rarely)
