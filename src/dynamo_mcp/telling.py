"""Who is told what has changed? Each client that listens, of whatever transport and version of the protocol."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from dynamo_mcp import background, resources
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.subscriptions import Subscriptions
from dynamo_mcp.tools import GENERAL_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anyio.abc import TaskStatus
    from mcp.server.connection import Connection
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.subscriptions import ServerEvent

    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.running_tasks import RunningTasks
    from dynamo_mcp.views import TemplateInfo

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

_SECONDS_TO_TELL = 2.0
_SECONDS_TO_ANSWER = 0.25
"""An answer waits so long at most until its client was told what the call has changed; some milliseconds are enough."""
_SUBSCRIBED = 1000
"""Resources that one client of a handshake version may subscribe to."""
_URI = 2000
"""Characters of one's URI."""

_log = logging.getLogger(__name__)


class Telling:
    """The clients that listen: at 2026-07-28 each on a stream of its own, before that each that has shaken hands."""

    def __init__(self, dynamo: Dynamo, tasks: RunningTasks) -> None:
        """Begin with nobody.

        Args:
            dynamo: Tells which templates change.
            tasks: Tells which tasks do.
        """
        self._dynamo = dynamo
        self._bus = _Bus()
        self._handshaken: weakref.WeakKeyDictionary[Connection, _Client] = weakref.WeakKeyDictionary()
        self.listeners = Subscriptions(self._bus, tasks)
        """Handles `subscriptions/listen`."""

    async def remember(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Remember a client of a handshake version (middleware)."""
        if ctx.method == "notifications/initialized":
            self._client(ctx)
        return await call_next(ctx)

    async def tell_before_the_answer(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Tell a client of a handshake version what its call changes before it is answered (middleware).

        Some end with the answer, and what they are told while they end is an error to them.
        """
        client = self._handshaken.get(ctx.session._connection)  # noqa: SLF001 - as below
        if client is None or not _may_change(ctx):
            return await call_next(ctx)
        before = await self._known()
        told = _Told()
        client.calls.append(told)
        try:
            result = await call_next(ctx)
            after = await self._known()
            with anyio.move_on_after(_SECONDS_TO_ANSWER):
                await told.all_of({name for name in before | after if before.get(name) != after.get(name)})
            return result
        finally:
            client.calls.remove(told)

    async def _known(self) -> dict[str, TemplateInfo]:
        """Return which templates there are now."""
        try:
            return {each.name: each for each in await self._dynamo.list_templates()}
        except DynamoError:  # the next list says it in words
            return {}

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        """Handle `resources/subscribe` of the handshake versions; also of what is not there, or not yet."""
        subscribed = self._client(ctx).subscribed
        if len(params.uri) > _URI or len(subscribed | {params.uri}) > _SUBSCRIBED:
            raise MCPError(INVALID_PARAMS, f"{_SUBSCRIBED} resources may be subscribed to, of {_URI} characters each")
        subscribed.add(params.uri)
        return EmptyResult()

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """Handle `resources/unsubscribe` of the handshake versions."""
        self._client(ctx).subscribed.discard(params.uri)
        return EmptyResult()

    def _client(self, ctx: Context) -> _Client:
        # mcp 2.3 has no public list of live connections, and `ctx.session` reaches only the caller's own.
        return self._handshaken.setdefault(ctx.session._connection, _Client())  # noqa: SLF001

    def close(self) -> None:
        """End the streams on which clients listen; each gets its last frame."""
        self.listeners.close()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Tell every client what changes, until cancelled."""
        async with self._dynamo.changes() as changes, anyio.create_task_group() as telling:
            task_status.started()
            async for names in changes:
                uris: list[str] = []
                try:
                    await self._publish(ToolsListChanged(), PromptsListChanged(), ResourcesListChanged())
                    # All templates are looked at to say what else changes with some.
                    if self._bus.is_heard or any(client.subscribed for client in self._handshaken.values()):
                        uris = await resources.uris(self._dynamo, names)
                    await self._publish(*map(ResourceUpdated, uris))
                except Exception:  # noqa: BLE001 - the next change is told, and calls are served
                    _log.exception("what has changed could not be told to clients")
                for connection, client in list(self._handshaken.items()):
                    if client.hear(names, uris):
                        background.start(telling, "telling a client what has changed", client.tell, connection)

    async def _publish(self, *events: ServerEvent) -> None:
        for event in events:
            await self._bus.publish(event)


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


class _Client:
    """What one client of a handshake version is told: however slowly it reads, what changed meanwhile is told once.

    Attributes:
        subscribed: The resources that it hears of.
        calls: Its calls that are answered once it was told of certain changes.
    """

    def __init__(self) -> None:
        self.subscribed: set[str] = set()
        self.calls: list[_Told] = []
        self._news: tuple[set[str], dict[str, None]] | None = None
        """The names and, in their order, the resources that it is still to be told of."""
        self._is_told = False

    def hear(self, names: frozenset[str], uris: Iterable[str]) -> bool:
        """Keep in mind what has changed, and say whether somebody has to tell it: nobody does already."""
        self._news = self._news or (set(), {})
        self._news[0].update(names)
        self._news[1].update((uri, None) for uri in uris if uri in self.subscribed)
        was_told, self._is_told = self._is_told, True
        return not was_told

    async def tell(self, connection: Connection) -> None:
        """Tell it, and what changes meanwhile; a dead or slow one costs bounded waits of nobody but itself."""
        try:
            while self._news is not None:
                (names, updated), self._news = self._news, None
                with anyio.move_on_after(_SECONDS_TO_TELL):
                    await connection.send_tool_list_changed()
                    await connection.send_prompt_list_changed()
                    await connection.send_resource_list_changed()
                    for uri in updated:
                        await connection.send_resource_updated(uri)
                for told in self.calls:
                    told.add(names)
        finally:
            self._is_told = False


class _Told:
    """The names of the changes that a client was told of while it waits for the answer of a call."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._more = anyio.Event()

    def add(self, names: set[str]) -> None:
        self._names |= names
        self._more.set()
        self._more = anyio.Event()

    async def all_of(self, names: set[str]) -> None:
        while not names <= self._names:
            await self._more.wait()


def _may_change(ctx: Context) -> bool:
    """Tell whether a request calls a tool that changes which templates there are."""
    spec = GENERAL_TOOLS.get(str((ctx.params or {}).get("name")))
    return ctx.method == "tools/call" and spec is not None and spec.scope == "templates:write"
