"""What does one client hear on its stream of `subscriptions/listen`? Which lists and resources change, and its tasks.

The SDK's handler serves the stream; the Tasks extension of MCP adds `taskIds` to what a client may listen for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import anyio
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from pydantic import BaseModel

from dynamo_mcp import callers
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.tasks import described, is_declared, undeclared

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession
    from mcp.server.subscriptions import SubscriptionBus
    from mcp_types import RequestId, ServerNotification

    from dynamo_mcp.running_tasks import RunningTasks
    from dynamo_mcp.task_records import Task

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

_KEY = "taskIds"
_MOST = 1000


class Subscriptions:
    """Handles `subscriptions/listen`."""

    def __init__(self, bus: SubscriptionBus, tasks: RunningTasks) -> None:
        """Serve nobody yet.

        Args:
            bus: Tells of changes of lists and resources.
            tasks: Tells of those of tasks.
        """
        self._listeners = ListenHandler(bus)
        self._tasks = tasks

    def close(self) -> None:
        """End all streams; each gets its last frame."""
        self._listeners.close()

    async def __call__(self, ctx: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Serve one stream."""
        wanted = (params.notifications.model_extra or {}).get(_KEY)
        if wanted is None:
            return await self._listeners(ctx, params)
        if not is_declared(ctx):
            raise undeclared()
        if not isinstance(wanted, list) or len(wanted) > _MOST or not all(isinstance(each, str) for each in wanted):
            raise MCPError(INVALID_PARAMS, f"`{_KEY}` is a list of tasks, {_MOST} at most")
        news = _News(ctx)
        leave = self._tasks.watch(news.hear)
        try:
            await self._agree(news, wanted)
            listening = replace(ctx, session=cast("ServerSession", _Session(ctx.session, news)))
            async with anyio.create_task_group() as group:
                group.start_soon(news.pass_on)
                outcome = await _outcome(self._listeners(listening, params))
                group.cancel_scope.cancel()
        finally:
            leave()
        if isinstance(outcome, MCPError):
            raise outcome
        return outcome

    async def _agree(self, news: _News, wanted: list[str]) -> None:
        """Agree to tell of those tasks that are the caller's and done here; each is told first as it is now."""
        owner = callers.current.get().name
        for name in dict.fromkeys(wanted):
            try:
                task = await self._tasks.get(owner, name)
            except DynamoError as error:
                raise MCPError(INTERNAL_ERROR, str(error)) from error
            if task is not None and (not task.unfinished or self._tasks.running(owner, name) is not None):
                news.agreed.append(name)
                news.hear(task)


async def _outcome(listening: Awaitable[SubscriptionsListenResult]) -> SubscriptionsListenResult | MCPError:
    """Return what would be raised, which a task group would wrap."""
    try:
        return await listening
    except MCPError as error:
        return error


class _News:
    """What is to be told to one client: the last of each task, however slowly it is read."""

    def __init__(self, ctx: Context) -> None:
        self.agreed: list[str] = []
        self.acknowledged = anyio.Event()
        self._ctx = ctx
        self._pending: dict[str, Task] = {}
        self._changed = anyio.Event()

    def hear(self, task: Task) -> None:
        if task.name in self.agreed:
            self._pending[task.name] = task
            self._changed.set()

    async def pass_on(self) -> None:
        await self.acknowledged.wait()
        while True:
            while self._pending:
                task = self._pending.pop(next(iter(self._pending)))
                meta = {SUBSCRIPTION_ID_META_KEY: self._ctx.request_id}
                told = cast("Any", _TaskNotification(params={**described(task), "_meta": meta}))
                await self._ctx.session.send_notification(told, related_request_id=self._ctx.request_id)
            self._changed = anyio.Event()
            await self._changed.wait()


class _TaskNotification(BaseModel):
    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: dict[str, Any]


class _Session:
    """A session whose acknowledgement also says which tasks the client will be told of."""

    def __init__(self, session: ServerSession, news: _News) -> None:
        self._session = session
        self._news = news

    async def send_notification(self, notification: ServerNotification, related_request_id: RequestId) -> None:
        if not isinstance(notification, SubscriptionsAcknowledgedNotification):
            await self._session.send_notification(notification, related_request_id)
            return
        if self._news.agreed:
            agreed = notification.params.notifications.model_copy(update={_KEY: self._news.agreed})
            params = notification.params.model_copy(update={"notifications": agreed})
            notification = notification.model_copy(update={"params": params})
        await self._session.send_notification(notification, related_request_id)
        self._news.acknowledged.set()
