"""Which tasks does this server do, for whom, and how does each end? They go on when their callers have left."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
import msgspec
from anyio.abc import TaskGroup, TaskStatus

from dynamo_mcp.errors import Busy, StorageFailed
from dynamo_mcp.task_records import INTERNAL_ERROR, Status, Task, TaskRecords

ENDING = "the server is ending"
CANCELLED = "it was cancelled"
_FORGET_SECONDS = (1.0, 300.0)
"""Seconds between two looks for what has expired, at least and at most."""
_PARTS = 4

_log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True):
    """How work ended, in fields of `Task`."""

    status: Status
    message: str = ""
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Running:
    """A task that is worked on, for whoever does the work.

    Attributes:
        task: What it is now.
    """

    def __init__(self, task: Task, tell: Callable[[Running], Awaitable[object]]) -> None:
        """Use `RunningTasks.begin` instead."""
        self.task = task
        self.scope = anyio.CancelScope()
        self.why = ENDING
        self.writing = anyio.Lock()
        self._tell = tell
        self._waiting: dict[str, anyio.Event] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._asked = 0

    async def say(self, message: str, left: str) -> None:
        """Say how far it is, and what there is of it if it gets no further; both are written down by then."""
        await self._change(message=message, left=left)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the client for something; return what it answers, and wait for that.

        Args:
            request: A request of the protocol, as `method` and `params`.
        """
        self._asked += 1
        key = f"input-{self._asked}"  # MCP Tasks extension: never used twice
        answered = self._waiting[key] = anyio.Event()
        try:
            await self._change(requests={**self.task.requests, key: request})
            await answered.wait()
        finally:
            del self._waiting[key]
        await self._change()
        return self._answers.pop(key)

    def answer(self, answers: dict[str, dict[str, Any]]) -> None:
        """Give answers; those that nobody waits for are passed over."""
        for key, answer in answers.items():
            if key in self.task.requests:
                self._answers[key] = answer
                self._set(requests={other: asked for other, asked in self.task.requests.items() if other != key})
                self._waiting[key].set()

    async def _change(self, **changes: Any) -> None:
        self._set(**changes)
        await self._tell(self)

    def _set(self, **changes: Any) -> None:
        changed = msgspec.structs.replace(self.task, **changes)
        status: Status = "input_required" if changed.requests else "working"
        self.task = msgspec.structs.replace(changed, status=status)


Work: TypeAlias = Callable[[Running], Awaitable[Outcome]]


class RunningTasks:
    """The tasks of one server; `run` must run for as long as it does any."""

    def __init__(self, records: TaskRecords, *, most: int, most_of_caller: int, kept: float) -> None:
        """Do nothing yet.

        Args:
            records: Where they are written down.
            most: Tasks that are worked on or kept at a time.
            most_of_caller: Likewise, of one caller.
            kept: Seconds that one is kept when it has ended.
        """
        self._records = records
        self._most = most
        self._most_of_caller = most_of_caller
        self._kept_seconds = kept
        self._group: TaskGroup | None = None
        self._running: dict[str, Running] = {}
        self._ended: dict[str, tuple[str, float]] = {}
        self._watchers: dict[object, Callable[[Task], None]] = {}
        self._changed = anyio.Event()
        self.ending = False
        """Whether no further task is begun."""

    @property
    def serves(self) -> bool:
        """Tasks can be begun."""
        return self._group is not None and not self.ending

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Do what tasks do until cancelled; those that are not done by then say so."""
        least, most = _FORGET_SECONDS
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                task_status.started()
                while True:
                    await self._records.forget()
                    self._forget()
                    await anyio.sleep(min(max(self._kept_seconds / _PARTS, least), most))
        finally:
            self._group = None

    async def finish(self) -> None:
        """Begin no more, and wait for those that are worked on; not for those that wait to be answered."""
        self.ending = True
        while any(running.task.status == "working" for running in self._running.values()):
            self._changed = anyio.Event()
            await self._changed.wait()

    def close(self) -> None:
        """Cancel all that are worked on; each says that it was, and why."""
        for running in self._running.values():
            running.scope.cancel()

    def watch(self, told: Callable[[Task], None]) -> Callable[[], None]:
        """Have something told of each change of each task; return what ends that. It must neither raise nor wait."""
        token = object()
        self._watchers[token] = told

        def end() -> None:
            self._watchers.pop(token, None)

        return end

    async def begin(self, owner: str, work: Work, *, left: str, poll: float) -> Task:
        """Begin a task, which every server of the home can tell of when this returns.

        Args:
            owner: Whose it is.
            work: What is done; what it raises is a fault of the program.
            left: What there is of it as long as it says nothing else.
            poll: Seconds that a client should wait before it asks again.

        Raises:
            Busy: There are too many, in all or of this owner.
            StorageFailed: It can't be written down.
        """
        group = self._group
        if group is None or self.ending:
            raise Busy("The server does not do tasks now", hint="call again when it is back")
        self._refuse(owner)
        running = Running(self._records.new(owner, left=left, poll=poll, kept=self._kept_seconds), self._told)
        self._running[running.task.name] = running
        try:
            await self._records.write(running.task)
        except BaseException:
            del self._running[running.task.name]
            self._changed.set()
            raise
        group.start_soon(self._do, running, work)
        return running.task

    async def get(self, owner: str, name: str) -> Task | None:
        """Return a task of a caller, of whatever server of the home; None if they have none of this name.

        Raises:
            StorageFailed: It can't be read.
        """
        running = self._running.get(name)
        task = running.task if running is not None else await self._records.read(name)
        return task if task is not None and task.owner == owner else None

    def running(self, owner: str, name: str) -> Running | None:
        """Return a caller's task that this server works on, or None."""
        running = self._running.get(name)
        return running if running is not None and running.task.owner == owner else None

    def _refuse(self, owner: str) -> None:
        self._forget()
        owners = Counter(
            [running.task.owner for running in self._running.values()] + [owner for owner, _ in self._ended.values()]
        )
        wait = f"one is forgotten {self._kept_seconds:g} seconds after it has ended"
        if owners[owner] >= self._most_of_caller:
            raise Busy(
                f"You have {owners[owner]} tasks, and no caller may have more",
                hint=f"{wait}; `DYNAMO_MCP_CALLER_TASKS` allows more; or call without the extension for tasks",
            )
        if owners.total() >= self._most:
            raise Busy(
                f"The server has {owners.total()} tasks, and may have no more",
                hint=f"{wait}; `DYNAMO_MCP_TASKS` allows more; or call without the extension for tasks",
            )

    def _forget(self) -> None:
        now = self._records.clock()
        self._ended = {name: ended for name, ended in self._ended.items() if ended[1] >= now}
        for name, running in list(self._running.items()):
            if not running.task.unfinished and running.task.expires < now:
                del self._running[name]

    async def _do(self, running: Running, work: Work) -> None:
        outcome = None
        try:
            with running.scope:
                outcome = await work(running)
        except Exception:  # noqa: BLE001 - whatever it is, the caller is told, and other tasks go on
            _log.exception("the task `%s` failed unexpectedly", running.task.name)
            message = "a fault of dynamo-mcp itself; its log has the details"
            outcome = Outcome("failed", message, error={"code": INTERNAL_ERROR, "message": message})
        finally:
            # Also where the server ends, and with it the task group that this is in.
            with anyio.CancelScope(shield=True):
                left = f"{running.why}; {running.task.left}"
                await self._end(running, outcome or Outcome("cancelled", left))

    async def _end(self, running: Running, outcome: Outcome) -> None:
        ended = msgspec.structs.asdict(outcome)
        running.task = msgspec.structs.replace(running.task, **ended, requests={})
        if await self._told(running):
            task = running.task
            self._ended[task.name] = (task.owner, task.expires)
            del self._running[task.name]

    async def _told(self, running: Running) -> bool:
        """Write a task down as it is now and tell of it; return whether it could be written."""
        running.task = msgspec.structs.replace(running.task, updated=self._records.clock())
        for told in list(self._watchers.values()):
            told(running.task)
        try:
            async with running.writing:
                await self._records.write(running.task)
        except StorageFailed:
            # The work goes on, and whoever asks this server is told: another one can't.
            _log.exception("the task `%s` can't be written down", running.task.name)
            return False
        finally:
            self._changed.set()
        return True
