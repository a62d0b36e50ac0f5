"""Who has which worker, and when does one start and end? What misbehaves is ended, never repaired.

A worker is started when a job would have to wait for one or, by a server, ahead of need. After a job it clears away
what that has left, while its caller goes on, and waits for the next one. Those that nobody has used for long end, but
for the one that was used last: a lone call finds it warm.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import TaskGroup

from dynamo_mcp import background
from dynamo_mcp.errors import DynamoError, RendererFailed
from dynamo_mcp.memory import free_bytes
from dynamo_mcp.settings import Settings
from dynamo_mcp.workers import Key, Worker

PONG_SECONDS = 2.0  # an idle worker answers at once; its create would wait for one that hangs
SPARE = 4
"""Memory that must be free for one that is not needed yet, in times of what the last one took to start."""
TAKEN_BYTES = 40 << 20
"""What one is taken to need as long as none has been started."""

Clear = Callable[[], Awaitable[bool]]
Ask = Callable[[Worker], dict[str, Any]]


class Pool:
    """The workers of one server."""

    def __init__(
        self,
        start: Callable[[Key], Awaitable[Worker]],
        settings: Settings,
        tasks: TaskGroup,
        free: Callable[[], int] = free_bytes,
    ) -> None:
        """Start nothing yet.

        Args:
            start: Starts a worker; it raises RendererFailed where it can't.
            settings: How many are kept, for how long, and whether they are started ahead of need.
            tasks: Runs what nobody waits for; when it is cancelled, every worker that nobody has ends.
            free: Tells how much memory there is for more.
        """
        self._start_one = start
        self._settings = settings
        self._tasks = tasks
        self._idle: dict[Worker, anyio.CancelScope] = {}
        """Those that wait for a job, the one that was used last at the end, with what ends them in time."""
        self._busy: Counter[Key] = Counter()
        self._coming: Counter[Key] = Counter()
        """How many will be idle soon: they start, or clear away what a job has left."""
        self._waiting: Counter[Key] = Counter()
        """How many jobs wait for one of those."""
        self._news = anyio.Event()
        self._bytes = TAKEN_BYTES
        self._free = free
        self._worked = -math.inf
        """When a worker was last taken, given back or ended."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many wait for a job, are at one, and will wait soon."""
        return len(self._idle), self._busy.total(), self._coming.total()

    async def take(self, key: Key, ask: Ask) -> Worker:
        """Return a worker that fits and was told what to do; it is the caller's until it is given back or ended.

        Args:
            key: What it must fit.
            ask: Returns what a worker is told; called for each that may turn out to be dead.

        Raises:
            RendererFailed: None can be started.
        """
        while True:
            if worker := self._unoccupied(key):
                if await self._begins(worker, ask):
                    break
            elif self._coming[key] <= self._waiting[key]:
                worker = await self._start(key)
                if await self._begins(worker, ask):
                    break
                raise RendererFailed(
                    "A renderer died before it had heard what to do", hint="try again; if it stays so, report it"
                )
            else:
                await self._wait(key)
        self._busy[key] += 1
        self._worked = anyio.current_time()
        if self._settings.serves:
            self._keep_one_more(key)
        return worker

    def give_back(self, worker: Worker, clear: Clear) -> None:
        """Have a worker do the next job as soon as it has cleared away what the last one left.

        Args:
            worker: One that was taken.
            clear: Does it; tells whether it can serve another.
        """
        self._coming[worker.key] += 1
        self._busy[worker.key] -= 1
        self._worked = anyio.current_time()
        background.start(self._tasks, "clearing a renderer", self._rest, worker, clear)

    async def end(self, worker: Worker) -> None:
        """End a worker that was taken."""
        self._busy[worker.key] -= 1
        self._worked = anyio.current_time()
        await _end(worker)

    def can_spare(self, key: Key, quiet: float) -> bool:
        """Tell whether an idle worker can do what nobody waits for.

        Args:
            key: What it must fit.
            quiet: Seconds for which nobody has had any; 0 when it is enough that there is another idle one.
        """
        idle = sum(worker.key == key for worker in self._idle)
        if not quiet:
            return idle > 1
        return idle > 0 and not self._busy.total() and anyio.current_time() - self._worked >= quiet

    def ahead(self, key: Key) -> None:
        """Start a worker that will be needed, unless there is one, or no room for it; nobody waits for it."""
        if self._there(key) == 0:
            self._start_ahead(key)

    def _keep_one_more(self, key: Key) -> None:
        """Have one more ready than are in use: a second caller often comes before the first one is done.

        There is one more than may work at a time, since one that has just worked is not ready at once.
        """
        if self._there(key) == self._busy[key] <= self._settings.concurrent_creates:
            self._start_ahead(key)

    def _there(self, key: Key) -> int:
        return sum(worker.key == key for worker in self._idle) + self._coming[key] + self._busy[key]

    def _start_ahead(self, key: Key) -> None:
        there = len(self._idle) + self._coming.total() + self._busy.total()
        if there < self._settings.renderers and self._free() >= SPARE * self._bytes:
            self._coming[key] += 1
            background.start(self._tasks, "starting a renderer ahead of need", self._prepare, key)

    async def _prepare(self, key: Key) -> None:
        worker = None
        try:
            with suppress(DynamoError):  # told to whoever needs one and starts it
                worker = await self._start(key)
        finally:
            self._come(key)
        if worker is not None:
            await self._wait_for_work(worker)

    async def _rest(self, worker: Worker, clear: Clear) -> None:
        """Make a worker ready for its next job."""
        ready = False
        try:
            # Its answer says that it has forked the process that will hear of the next job.
            ready = await clear() and await self._answers(worker)
        finally:
            try:
                if not ready:
                    await _end(worker)
            finally:
                self._come(worker.key)
        if ready:
            await self._wait_for_work(worker)

    def _come(self, key: Key) -> None:
        """Tell those who wait that there may be a worker now, or will be none."""
        self._coming[key] -= 1
        self._news.set()
        self._news = anyio.Event()

    async def _wait_for_work(self, worker: Worker) -> None:
        """Have a worker among the idle ones until somebody takes it, it dies, or nobody has used it for long."""
        with anyio.CancelScope() as taken:
            self._idle[worker] = taken
            try:
                while len(self._idle) > self._settings.renderers:
                    await self._end_idle(next(iter(self._idle)))
                ended = False
                while not ended:
                    with anyio.move_on_after(self._settings.renderer_seconds):
                        await worker.ended()
                        ended = True
                    ended = ended or next(reversed(self._idle), None) is not worker
            finally:
                await self._end_idle(worker)

    async def _start(self, key: Key) -> Worker:
        worker = await self._start_one(key)
        self._bytes = worker.bytes() or self._bytes
        return worker

    async def _wait(self, key: Key) -> None:
        self._waiting[key] += 1
        try:
            await self._news.wait()
        finally:
            self._waiting[key] -= 1

    def _unoccupied(self, key: Key) -> Worker | None:
        """Take the idle worker that was used last."""
        found = next((worker for worker in reversed(self._idle) if worker.key == key), None)
        if found is not None:
            self._idle.pop(found).cancel()
        return found

    async def _begins(self, worker: Worker, ask: Ask) -> bool:
        """Tell a worker what to do, and whether it has heard it; end it if not, or if the caller leaves."""
        alive = False
        try:
            alive = await self._answers(worker, ask(worker))
        finally:
            if not alive:
                await _end(worker)
        return alive

    async def _answers(self, worker: Worker, *messages: dict[str, Any]) -> bool:
        with suppress(RendererFailed), anyio.move_on_after(PONG_SECONDS):
            # What comes with a ping is begun by the time that this is answered: nobody waits for the answer alone.
            await worker.tell({"action": "ping"}, *messages)
            return (await worker.hear()).get("event") == "pong"
        return False

    async def _end_idle(self, worker: Worker) -> None:
        if taken := self._idle.pop(worker, None):
            await _end(worker)
            taken.cancel()


async def _end(worker: Worker) -> None:
    with anyio.CancelScope(shield=True):
        await worker.stack.aclose()
