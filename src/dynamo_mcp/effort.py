"""How much may still be spent on reading a stranger's code?"""

from __future__ import annotations

import sys
import time

MOST_STEPS = 10_000_000
"""For one template; a step is a byte of a file, a character read as shell, or a piece of Python that is looked at."""
MOST_SECONDS = 4.0
"""For one template. What is being parsed then is parsed to its end: another five seconds for the longest file."""


class Exhausted(Exception):
    """Nothing is left."""


class TooLarge(Exception):
    """A file is larger than what may be parsed here."""


class Effort:
    """What may be spent on one template: so many steps, and so much time from now on."""

    def __init__(self, steps: int = MOST_STEPS, seconds: float = MOST_SECONDS, piece: int = sys.maxsize) -> None:
        """Begin with all of it.

        Args:
            steps: So many.
            seconds: So much time.
            piece: Bytes of one file that may be parsed.
        """
        self._piece = piece
        self._steps = steps
        self._until = time.monotonic() + seconds

    def parse(self, size: int) -> None:
        """Begin to parse a file of so many bytes.

        Raises:
            TooLarge: It is to be parsed elsewhere.
        """
        if size > self._piece:
            raise TooLarge

    def spend(self, steps: int = 1) -> None:
        """Take some of it.

        Raises:
            Exhausted: It is not there.
        """
        self._steps -= steps
        if self._steps < 0 or time.monotonic() > self._until:
            raise Exhausted
