"""How long may work take that must not grow with the square of a stranger's text? So long, where that takes minutes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

BOUND_SECONDS = 30
LARGE = 256 << 10
"""Characters of the longest file that is read."""


@contextmanager
def soon() -> Iterator[None]:
    """Fail if the work within is not done in half a minute, also where it gives nobody else a turn."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"not done after {BOUND_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(BOUND_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
