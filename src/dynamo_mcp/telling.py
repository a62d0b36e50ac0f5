"""Who is told what has changed? Each client that listens, of whatever transport and version of the protocol."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from dynamo_mcp import background, resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskStatus
    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.subscriptions import ServerEvent

    from dynamo_mcp.dynamo import Dynamo

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

_SECONDS_TO_TELL = 2.0

_log = logging.getLogger(__name__)


class Telling:
    """The clients that listen: at 2026-07-28 each on a stream of its own, before that each that has shaken hands."""

    def __init__(self, dynamo: Dynamo) -> None:
        """Begin with nobody."""
        self._dynamo = dynamo
        self._bus = _Bus()
        self._handshaken: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.listeners = ListenHandler(self._bus)
        """Handles `subscriptions/listen`."""

    async def remember(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Remember a client of a handshake version (middleware)."""
        if ctx.method == "notifications/initialized":
            # mcp 2.3 has no public list of live connections, and `ctx.session` reaches only the caller's own.
            self._handshaken.add(ctx.session._connection)  # noqa: SLF001
        return await call_next(ctx)

    def close(self) -> None:
        """End the streams on which clients listen; each gets its last frame."""
        self.listeners.close()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Tell every client what changes, until cancelled."""
        async with self._dynamo.changes() as changes, anyio.create_task_group() as telling:
            task_status.started()
            async for names in changes:
                try:
                    await self._publish(names)
                except Exception:  # noqa: BLE001 - the next change is told, and calls are served
                    _log.exception("what has changed could not be told to clients")
                for connection in list(self._handshaken):
                    background.start(telling, "telling a client what has changed", _tell, connection)

    async def _publish(self, names: frozenset[str]) -> None:
        for event in (ToolsListChanged(), PromptsListChanged(), ResourcesListChanged()):
            await self._bus.publish(event)
        if not self._bus.is_heard:
            return  # all templates are looked at to say what else changes with some
        for uri in await resources.uris(self._dynamo, names):
            await self._bus.publish(ResourceUpdated(uri=uri))


class _Bus(InMemorySubscriptionBus):
    """The SDK's, which also knows whether anybody listens."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[object] = set()

    @property
    def is_heard(self) -> bool:
        return bool(self._open)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        unsubscribe = super().subscribe(listener)
        subscription = object()
        self._open.add(subscription)

        def end() -> None:
            self._open.discard(subscription)
            unsubscribe()

        return end


async def _tell(connection: Connection) -> None:
    """Tell one client of a handshake version; a dead or slow one costs a bounded wait of nobody but itself."""
    with anyio.move_on_after(_SECONDS_TO_TELL):
        await connection.send_tool_list_changed()
        await connection.send_prompt_list_changed()
        await connection.send_resource_list_changed()
