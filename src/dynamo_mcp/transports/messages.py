"""How does a connection that carries whole messages speak to the server? One JSON-RPC message after the other.

A WebSocket and a gRPC stream both are such a connection. A message is taken when the last one has been, and given when
the client has taken the last one, so that neither side can make the other keep what it can't get rid of.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
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
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from dynamo_mcp.transports.bounds import is_too_deep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.shares import Shares

UNDER_WAY = 64
"""Requests of one connection that may be under way; more are refused."""
TOO_MANY = f"{UNDER_WAY} requests of this connection are under way, as many as may be; wait for one of them"

_log = logging.getLogger(__name__)


class Left(Exception):
    """The client has left, or takes no more."""


async def speak(
    server: DynamoServer,
    receive: Callable[[], Awaitable[str]],
    send: Callable[[str], Awaitable[None]],
    shares: Shares,
    stalled_seconds: float,
) -> None:
    """Serve one connection until either side ends it.

    Args:
        server: What is served.
        receive: Returns the client's next message; raises `Left` where there is none.
        send: Gives a message to the client, and returns when there is room for the next; raises `Left`.
        shares: Of what all clients may have under way.
        stalled_seconds: Seconds that the client may take nothing of what is given to it.
    """
    incoming, read = create_context_streams[SessionMessage | Exception](0)
    write, outgoing = create_context_streams[SessionMessage](0)
    conversation = _Conversation(receive, send, shares, stalled_seconds)
    with conversation.counted():
        try:
            async with anyio.create_task_group() as tasks:

                async def answer() -> None:
                    await conversation.answer(outgoing)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(conversation.hear, incoming)
                tasks.start_soon(answer)
                await server.run(read, write, server.create_initialization_options())
                tasks.cancel_scope.cancel()
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
            _log.debug("a client left while its first request was looked at", exc_info=True)  # mcp 2.3 raises then


class _Conversation:
    """What is said on one connection."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[str]],
        send: Callable[[str], Awaitable[None]],
        shares: Shares,
        stalled_seconds: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._shares = shares
        self._stalled_seconds = stalled_seconds
        self._telling = anyio.Lock()
        self._under_way: dict[Any, int] = {}
        """The bytes of each request, by its identifier."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Let go of everything at the end."""
        try:
            yield
        finally:
            for number in list(self._under_way):
                self._end(number)

    async def hear(self, incoming: ContextSendStream[SessionMessage | Exception]) -> None:
        """Hand on what the client says, until it has left."""
        async with incoming:
            while True:
                try:
                    text = (await self._receive()).encode()
                    if await is_too_deep(text, self._shares.limits.body_depth):
                        await self._refuse(None, f"it is nested deeper than {self._shares.limits.body_depth} levels")
                        continue
                    message = jsonrpc_message_adapter.validate_json(text, by_name=False)
                    if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
                        self._end((message.params or {}).get("requestId"))  # which gets no answer
                    if not isinstance(message, JSONRPCRequest) or await self._begin(message, len(text)):
                        await incoming.send(SessionMessage(message))
                except (Left, TimeoutError):
                    return
                except ValidationError as error:
                    await incoming.send(error)

    async def answer(self, outgoing: ContextReceiveStream[SessionMessage]) -> None:
        """Tell the client what the server says, until it takes no more."""
        async with outgoing:
            async for each in outgoing:
                if isinstance(each.message, JSONRPCResponse | JSONRPCError):
                    self._end(each.message.id)
                try:
                    await self._tell(each.message)
                except (Left, TimeoutError):
                    return

    async def _begin(self, request: JSONRPCRequest, size: int) -> bool:
        if request.id in self._under_way:
            # Which of them an answer is for, nobody could tell.
            await self._refuse(None, "a request of this identifier is under way")
            return False
        if len(self._under_way) >= UNDER_WAY:
            await self._refuse(request.id, TOO_MANY)
            return False
        if not self._shares.hold(size):
            self._shares.release(size)
            await self._refuse(request.id, "too much is under way; try again in a second")
            return False
        self._under_way[request.id] = size
        return True

    def _end(self, number: Any) -> None:
        if isinstance(number, str | int):
            self._shares.release(self._under_way.pop(number, 0))

    async def _refuse(self, number: RequestId | None, said: str) -> None:
        await self._tell(JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=INVALID_REQUEST, message=said)))

    async def _tell(self, message: Any) -> None:
        with anyio.fail_after(self._stalled_seconds):
            async with self._telling:
                await self._send(message.model_dump_json(by_alias=True, exclude_unset=True))
