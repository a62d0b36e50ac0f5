"""What becomes of work that nobody waits for and that fails? The log has it, and everybody else goes on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

from anyio.abc import TaskGroup

Given = TypeVarTuple("Given")

_log = logging.getLogger(__name__)


def start(tasks: TaskGroup, doing: str, work: Callable[[*Given], Awaitable[object]], *given: *Given) -> None:
    """Have something done that nobody waits for.

    Args:
        tasks: Runs it; a failure of it cancels nothing else of them.
        doing: What is done, in words, as in "starting a renderer".
        work: Does it.
        given: Its arguments.
    """

    async def logged() -> None:
        try:
            await work(*given)
        except Exception:  # noqa: BLE001 - whatever it is, it must neither end the others nor go unseen
            _log.exception("%s failed", doing)

    tasks.start_soon(logged, name=doing)
