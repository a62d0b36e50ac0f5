"""How much may a client of SSE have under way? As much as one connection may (`messages`).

What it sends is accepted at once, and what it asked for is done meanwhile: nothing else would hold it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from dynamo_mcp.transports.messages import TOO_MANY, UNDER_WAY

if TYPE_CHECKING:
    from contextvars import Context

    from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream


class Said:
    """What the server says: an answer has been given when the client has taken it."""

    def __init__(self, write: ContextSendStream[SessionMessage]) -> None:
        """Say it to `write`."""
        self._write = write
        self.under_way: set[Any] = set()

    async def send(self, item: SessionMessage) -> None:
        """Say it."""
        await self._write.send(item)
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.under_way.discard(item.message.id)

    async def aclose(self) -> None:
        """Say nothing more."""
        await self._write.aclose()

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Say nothing more."""
        await self.aclose()


class Heard:
    """What the client says, but for requests that are too many, which are refused."""

    def __init__(self, read: ContextReceiveStream[SessionMessage | Exception], said: Said) -> None:
        """Hear it from `read`."""
        self._read = read
        self._said = said

    @property
    def last_context(self) -> Context | None:
        """That of whoever sent the last message."""
        return self._read.last_context

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message."""
        while True:
            item = await self._read.receive()
            if isinstance(item, Exception) or await self._begins(item.message):
                return item

    async def _begins(self, message: Any) -> bool:
        under_way = self._said.under_way
        if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            number = (message.params or {}).get("requestId")
            if isinstance(number, str | int):
                under_way.discard(number)  # which gets no answer
        if not isinstance(message, JSONRPCRequest):
            return True
        if message.id not in under_way and len(under_way) < UNDER_WAY:
            under_way.add(message.id)
            return True
        # Which of two requests an answer is for, nobody could tell.
        again = message.id in under_way
        error = ErrorData(
            code=INVALID_REQUEST, message="a request of this identifier is under way" if again else TOO_MANY
        )
        await self._said.send(
            SessionMessage(JSONRPCError(jsonrpc="2.0", id=None if again else message.id, error=error))
        )
        return False

    async def aclose(self) -> None:
        """Hear nothing more."""
        await self._read.aclose()

    def __aiter__(self) -> Heard:
        """Return itself."""
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        """Return the next message."""
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hear nothing more."""
        await self.aclose()
