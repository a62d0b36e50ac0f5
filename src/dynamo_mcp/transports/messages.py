"""How does a connection that carries whole messages speak to the server? One JSON-RPC message after the other.

A WebSocket and a gRPC stream both are such a connection. A message is taken when the last one has been, and given when
the client has taken the last one, so that neither side can make the other keep what it can't get rid of.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream, create_context_streams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from dynamo_mcp.transports.bounds import is_too_deep
from dynamo_mcp.transports.under_way import Said, refusal

if TYPE_CHECKING:
    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.under_way import UnderWay

_log = logging.getLogger(__name__)


class Left(Exception):
    """The client has left, or takes no more."""


async def speak(
    server: DynamoServer,
    receive: Callable[[], Awaitable[str]],
    send: Callable[[str], Awaitable[None]],
    under_way: UnderWay,
    stalled_seconds: float,
) -> None:
    """Serve one connection until either side ends it.

    Args:
        server: What is served.
        receive: Returns the client's next message; raises `Left` where there is none.
        send: Gives a message to the client, and returns when there is room for the next; raises `Left`.
        under_way: What this one has, which is nothing yet.
        stalled_seconds: Seconds that the client may take nothing of what is given to it.
    """
    incoming, read = create_context_streams[SessionMessage | Exception](0)
    write, outgoing = create_context_streams[SessionMessage](0)
    conversation = _Conversation(receive, send, under_way, stalled_seconds)
    with under_way.counted():
        try:
            async with anyio.create_task_group() as tasks:

                async def answer() -> None:
                    await conversation.answer(outgoing)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(conversation.hear, incoming)
                tasks.start_soon(answer)
                await server.run(read, Said(write, under_way), server.create_initialization_options())
                tasks.cancel_scope.cancel()
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
            _log.debug("a client left while its first request was looked at", exc_info=True)  # mcp 2.3 raises then


class _Conversation:
    """What is said on one connection."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[str]],
        send: Callable[[str], Awaitable[None]],
        under_way: UnderWay,
        stalled_seconds: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._under_way = under_way
        self._depth = under_way.limits.body_depth
        self._stalled_seconds = stalled_seconds
        self._stalled = False
        self._telling = anyio.Lock()

    async def hear(self, incoming: ContextSendStream[SessionMessage | Exception]) -> None:
        """Hand on what the client says, until it has left."""
        async with incoming:
            while True:
                try:
                    refused = await self._hand_on((await self._receive()).encode(), incoming)
                    if refused is not None:
                        await self._tell(refused)  # however long its client takes, nothing else of it is kept
                except Left:
                    return

    async def _hand_on(
        self, text: bytes, incoming: ContextSendStream[SessionMessage | Exception]
    ) -> JSONRPCError | None:
        """Hand on a message; or return what it is refused with."""
        with self._under_way.hearing(len(text)):
            if await is_too_deep(text, self._depth):
                return refusal(None, f"it is nested deeper than {self._depth} levels")
            try:
                message = jsonrpc_message_adapter.validate_json(text, by_name=False)
            except ValidationError as error:
                await incoming.send(error)
                return None
            if not isinstance(message, JSONRPCRequest):
                await incoming.send(SessionMessage(message))
                return None
            refused = self._under_way.begin(message)
            if refused is None:
                await incoming.send(self._under_way.watched(message))
            return refused

    async def answer(self, outgoing: ContextReceiveStream[SessionMessage]) -> None:
        """Tell the client what the server says, until it takes no more."""
        async with outgoing:
            async for each in outgoing:
                try:
                    await self._tell(each.message)
                except Left:
                    return

    async def _tell(self, message: Any) -> None:
        try:
            with anyio.fail_after(self._stalled_seconds):
                async with self._telling:
                    if self._stalled:
                        raise Left  # how much was taken of what was given up, nobody knows
                    await self._send(message.model_dump_json(by_alias=True, exclude_unset=True))
        except TimeoutError:
            self._stalled = True
            raise Left from None
