"""How often may something happen? So often at once, and then once in so many seconds."""

from __future__ import annotations

import time
from collections.abc import Callable


class Rate:
    """Counts what happens; whoever asks is told how long to wait, and never made to."""

    def __init__(self, burst: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow all of it.

        Args:
            burst: How often at once.
            seconds: After which it may happen once more.
            clock: Says the time in seconds.
        """
        self._burst = burst
        self._seconds = seconds
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    @property
    def wait(self) -> float:
        """Seconds until it may happen; 0 if it may now."""
        self._refill()
        return 0.0 if self._left >= 1 else (1 - self._left) * self._seconds

    def take(self) -> bool:
        """Count one, and say whether it may happen; one that may not is not counted."""
        self._refill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(float(self._burst), self._left + (now - self._at) / self._seconds)
        self._at = now
