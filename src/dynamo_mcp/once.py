"""How is shared work done once?

The work belongs to the map's task group, not to the first caller: a caller that leaves never fails the others,
and when the last one leaves the work is cancelled, and has ended when that one is gone. What the work says on its way
is told to each caller in that caller's own time: a slow one keeps nobody waiting.
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Item = TypeVar("Item")
Say: TypeAlias = Callable[[str], None]
Tell: TypeAlias = Callable[[str], Awaitable[None]]


async def untold(_words: str) -> None:
    """Tell nobody."""


def as_before(now: Iterable[Item], before: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the tuple that there was where it holds the same objects: what was made of it need not be made again."""
    found = tuple(now)
    return before if len(found) == len(before) and all(map(operator.is_, found, before)) else found


class _Job(Generic[Value]):
    def __init__(self) -> None:
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.waiters = 0
        self.value: list[Value] = []
        self.error: Exception | None = None
        self._said = ""
        self._news = anyio.Event()

    def say(self, words: str) -> None:
        """Say how far it is; who has not heard the last words hears these only."""
        self._said = words
        self._news.set()
        self._news = anyio.Event()

    def end(self) -> None:
        """Have everybody go on."""
        self.done.set()
        self._news.set()

    async def follow(self, tell: Tell) -> None:
        """Wait for the end, and tell what is said until then."""
        told = ""
        while not self.done.is_set():
            if self._said == told:
                await self._news.wait()
            else:
                told = self._said
                await tell(told)


class OnceMap(Generic[Key, Value]):
    """Runs work once per key at a time; every caller gets the same result."""

    def __init__(self, tasks: TaskGroup) -> None:
        """Start empty.

        Args:
            tasks: Runs the work; whoever owns it decides how long work may live.
        """
        self._tasks = tasks
        self._jobs: dict[Key, _Job[Value]] = {}

    async def get(self, key: Key, work: Callable[[Say], Awaitable[Value]], tell: Tell = untold) -> Value:
        """Return what `work` returns, starting it unless it runs already for this key.

        Args:
            key: Which work it is.
            work: Does it; is given what says how far it is, in words.
            tell: Is told those words, also where somebody else has started the work.

        Raises:
            Exception: What the work raised, to every caller that waits for it.
        """
        job = self._jobs.get(key)
        if job is None:
            job = _Job()
            self._tasks.start_soon(self._run, key, job, work)
            self._jobs[key] = job
        job.waiters += 1
        try:
            await job.follow(tell)
        finally:
            job.waiters -= 1
            if not job.waiters and not job.done.is_set():
                self._forget(key, job)
                job.scope.cancel()
                # What the work still does cannot be in the way of what its caller does next, such as removing it.
                with anyio.CancelScope(shield=True):
                    await job.done.wait()
        if job.error is not None:
            raise job.error
        return job.value[0]

    async def _run(self, key: Key, job: _Job[Value], work: Callable[[Say], Awaitable[Value]]) -> None:
        try:
            with job.scope:
                try:
                    job.value.append(await work(job.say))
                except Exception as error:  # noqa: BLE001 - it is handed to every waiter, who raises it
                    job.error = error
        finally:
            self._forget(key, job)
            if not job.value and job.error is None:
                job.error = anyio.ClosedResourceError()
            job.end()

    def _forget(self, key: Key, job: _Job[Value]) -> None:
        if self._jobs.get(key) is job:
            del self._jobs[key]
