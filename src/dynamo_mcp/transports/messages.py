"""How does a connection that carries whole messages speak to the server? One JSON-RPC message after the other.

A WebSocket and a gRPC stream both are such a connection. A message is taken when the last one has been, and given when
the client has taken the last one, so that neither side can make the other keep what it can't get rid of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream, create_context_streams
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

if TYPE_CHECKING:
    from dynamo_mcp.server import DynamoServer

UNDER_WAY = 64
"""Requests of one connection that may be under way; more are refused."""


class Left(Exception):
    """The client has left, or takes no more."""


async def speak(
    server: DynamoServer,
    receive: Callable[[], Awaitable[str | bytes]],
    send: Callable[[str], Awaitable[None]],
    stalled_seconds: float,
) -> None:
    """Serve one connection until either side ends it.

    Args:
        server: What is served.
        receive: Returns the client's next message; raises `Left` where there is none.
        send: Gives a message to the client, and returns when there is room for the next; raises `Left`.
        stalled_seconds: Seconds that the client may take nothing of what is given to it.
    """
    incoming, read = create_context_streams[SessionMessage | Exception](0)
    write, outgoing = create_context_streams[SessionMessage](0)
    conversation = _Conversation(receive, send, stalled_seconds)
    async with anyio.create_task_group() as tasks:

        async def answer() -> None:
            await conversation.answer(outgoing)
            tasks.cancel_scope.cancel()

        tasks.start_soon(conversation.hear, incoming)
        tasks.start_soon(answer)
        await server.run(read, write, server.create_initialization_options())
        tasks.cancel_scope.cancel()


class _Conversation:
    """What is said on one connection."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[str | bytes]],
        send: Callable[[str], Awaitable[None]],
        stalled_seconds: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._stalled_seconds = stalled_seconds
        self._telling = anyio.Lock()
        self._under_way: set[Any] = set()

    async def hear(self, incoming: ContextSendStream[SessionMessage | Exception]) -> None:
        """Hand on what the client says, until it has left."""
        async with incoming:
            while True:
                try:
                    message = jsonrpc_message_adapter.validate_json(await self._receive(), by_name=False)
                    if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
                        self._under_way.discard((message.params or {}).get("requestId"))  # which gets no answer
                    if not isinstance(message, JSONRPCRequest) or await self._begin(message):
                        await incoming.send(SessionMessage(message))
                except (Left, TimeoutError):
                    return
                except ValidationError as error:
                    await incoming.send(error)

    async def answer(self, outgoing: ContextReceiveStream[SessionMessage]) -> None:
        """Tell the client what the server says, until it takes no more."""
        async with outgoing:
            async for each in outgoing:
                self._under_way.discard(getattr(each.message, "id", None))
                try:
                    await self._tell(each.message)
                except (Left, TimeoutError):
                    return

    async def _begin(self, request: JSONRPCRequest) -> bool:
        if len(self._under_way) < UNDER_WAY:
            self._under_way.add(request.id)
            return True
        said = f"{UNDER_WAY} requests of this connection are under way, as many as may be; wait for one of them"
        error = ErrorData(code=INVALID_REQUEST, message=said)
        await self._tell(JSONRPCError(jsonrpc="2.0", id=request.id, error=error))
        return False

    async def _tell(self, message: Any) -> None:
        with anyio.fail_after(self._stalled_seconds):
            async with self._telling:
                await self._send(message.model_dump_json(by_alias=True, exclude_unset=True))
