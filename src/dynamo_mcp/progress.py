"""How far is it? An operation's steps, named and in order, told as they begin.

A step's position only grows, so that a sink may hand it on where the protocol wants increasing numbers
(MCP specification 2026-07-28, basic/utilities/progress).
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

STEPS_OF_ADD = ("resolve", "fetch", "read variables", "make environment", "compute values", "register")
STEPS_OF_CREATE = ("resolve", "check answers", "prepare environment", "start renderer", "render", "publish")
STEPS_OF_PREVIEW = ("resolve", "check answers", "prepare environment", "start renderer", "render", "compare")
STEPS_OF_RESOLVE = ("check answers", "prepare environment", "start renderer", "compute values")
STEPS_OF_UPDATE = STEPS_OF_ADD


class Step(msgspec.Struct, frozen=True):
    """One report: `position` of `total` is how many steps are done; `message` is for a person."""

    name: str
    position: float
    total: int
    message: str


Sink: TypeAlias = Callable[[Step], Awaitable[None]]


async def ignore(_step: Step) -> None:
    """Drop every report."""


class Progress:
    """Reports the steps of one operation to a sink, and keeps the seconds that each took.

    Attributes:
        last: What was reported last.
        printed: The end of what a hook had printed that was ended with the operation; None where none ran.
        seconds: What each step took.
    """

    def __init__(self, steps: tuple[str, ...], sink: Sink = ignore) -> None:
        """Begin before the first step.

        Args:
            steps: The names, in the order in which they will begin.
            sink: Where reports go.
        """
        self._steps = steps
        self._sink = sink
        self._current: str | None = None
        self._details = 0
        self._position = -1.0
        self._since = time.monotonic()
        self.last = ""
        self.printed: str | None = None
        self.seconds: dict[str, float] = {}

    async def begin(self, step: str, message: str = "") -> None:
        """Report that `step` begins.

        Raises:
            ValueError: It is not one of the operation's steps.
        """
        self._close()
        self._current = step
        self._details = 0
        await self._report(self._steps.index(step), message or step)

    async def detail(self, message: str) -> None:
        """Report something that happens within the current step; the position still grows, by ever less."""
        self._details += 1
        index = self._steps.index(self._current) if self._current else 0
        await self._report(index + self._details / (self._details + 1) * 0.9, message)

    def finish(self) -> dict[str, float]:
        """Close the last step and return the seconds by step."""
        self._close()
        self._current = None
        return self.seconds

    async def _report(self, position: float, message: str) -> None:
        # A step that begins again, after a mishap, is still further than anything that was reported.
        self._position = position if position > self._position else math.nextafter(self._position, math.inf)
        self.last = message
        await self._sink(Step(self._current or "", self._position, len(self._steps), message))

    def _close(self) -> None:
        now = time.monotonic()
        if self._current is not None:
            self.seconds[self._current] = round(self.seconds.get(self._current, 0.0) + now - self._since, 6)
        self._since = now
