"""What becomes of work that nobody waits for and that fails? The log has it, and everybody else goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVarTuple

import anyio
from anyio.abc import TaskGroup, TaskStatus

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


class Lasting(Protocol):
    """Work that goes on until it is cancelled."""

    async def __call__(self, *, task_status: TaskStatus[None]) -> None:
        """Do it, and say when it has begun."""


@asynccontextmanager
async def to_the_end(work: Lasting) -> AsyncIterator[None]:
    """Have something done while the caller stays in the context, though that is cancelled, until it has cleaned up."""
    scope = anyio.CancelScope(shield=True)

    async def shielded(*, task_status: TaskStatus[None]) -> None:
        with scope:
            await work(task_status=task_status)

    async with anyio.create_task_group() as tasks:
        await tasks.start(shielded)
        try:
            yield
        finally:
            scope.cancel()
