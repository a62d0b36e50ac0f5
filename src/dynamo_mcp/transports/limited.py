"""How much may a client of SSE have under way? As much as one connection may (`under_way`).

What it sends is accepted at once, and what it asked for is done meanwhile: nothing else would hold it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest

if TYPE_CHECKING:
    from contextvars import Context

    from mcp.shared._context_streams import ContextReceiveStream

    from dynamo_mcp.transports.under_way import Said, UnderWay


class Heard:
    """What the client says (`ReadStream`), but for requests that are too many, which are refused."""

    def __init__(self, read: ContextReceiveStream[SessionMessage | Exception], said: Said, under_way: UnderWay) -> None:
        """Hear it from `read`, and refuse it to `said`."""
        self._read = read
        self._said = said
        self._under_way = under_way

    @property
    def last_context(self) -> Context | None:
        """That of whoever sent the last message."""
        return self._read.last_context

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message.

        Raises:
            anyio.EndOfStream: The client has left.
        """
        while True:
            item = await self._read.receive()
            if isinstance(item, Exception) or not isinstance(item.message, JSONRPCRequest):
                return item
            refused = self._under_way.begin(item.message)  # its bytes count as the body that they came in
            if refused is None:
                return self._under_way.watched(item.message, item.metadata)
            try:
                await self._said.send(SessionMessage(refused))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise anyio.EndOfStream from None  # it has left without hearing of it

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
