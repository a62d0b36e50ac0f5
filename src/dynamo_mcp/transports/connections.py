"""How long may a connection take, and how many may there be, of all and of one address? What uvicorn leaves open of it.

It waits for ever for the first byte of a request, or the rest of its head, and for a client to take what is written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
from uvicorn.protocols.http.h11_impl import H11Protocol

from dynamo_mcp.transports.addresses import Counted
from dynamo_mcp.transports.frames import Framed
from dynamo_mcp.transports.pipelines import OfH11, OfHttptools
from dynamo_mcp.transports.shares import Budget
from dynamo_mcp.transports.unsent import Unsent

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dynamo_mcp.serving import Serving

_LAST_SECONDS = 0.4
"""That who is refused has to take that in."""
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
)


def protocol(limits: Serving, *, httptools: bool | None = None) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, httptools' where that is installed, with bounds.

    Args:
        limits: The bounds.
        httptools: Whether it has to be that one; None for where it is installed.
    """
    own: dict[str, Any] = {"limits": limits, "addresses": Counter()}
    halves = Budget(limits.total_body_bytes, limits.body_bytes)
    own["websockets"] = type("BoundedWebSocket", (Framed,), own | {"halves": halves})
    if find_spec("httptools") is None if httptools is None else not httptools:
        return type("Bounded", (OfH11, _Bounded, H11Protocol), own)
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415 - where it is installed

    return type("Bounded", (_Trimmed, OfHttptools, _Bounded, HttpToolsProtocol), own)


class _Bounded(Counted):
    """Ends a connection that takes too long; is mixed into either of uvicorn's protocols."""

    limits: Serving
    app: ASGIApp
    connections: set[Any]
    cycle: Any
    flow: Any
    websockets: type[asyncio.Protocol]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._app, self.app = self.app, self._serve
        self.ws_protocol_class = self.websockets
        self._patience: asyncio.TimerHandle | None = None
        self._head = 0
        self._answering = 0
        self._is_websocket = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._unsent = Unsent(self.transport, self.limits.stalled_seconds)
        of_address = self.addresses[self.address_counted] if self.address_counted is not None else 0
        if len(self.connections) > self.limits.connections or of_address > self.limits.address_connections:
            self._refuse(_BUSY[0])
            # It counts no more, however long its client takes to let it end (TLS has a word of its own for that).
            self.connections.discard(self)
            self.count_no_longer()
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif not self._is_websocket and not self.transport.is_closing():
            self._wait_for_head()
            self._head += len(data)
            if self._head > self.limits.head_bytes:
                self._refuse(_BUSY[1])

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._unsent.stop()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, *given: Any) -> None:
        self._stop_waiting()
        self._is_websocket = True
        super().handle_websocket_upgrade(*given)  # type: ignore[misc]
        self.count_no_longer()  # the WebSocket does

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(self.limits.head_seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        self._head = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, answer: bytes) -> None:
        self._stop_waiting()
        self.transport.write(answer)
        self.transport.close()
        asyncio.get_running_loop().call_later(_LAST_SECONDS, self.transport.abort)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            while self.flow.write_paused:  # else there is room, and nothing is waited for
                unsent = self.transport.get_write_buffer_size()
                # Cancelled it has written nothing yet: it waits for room before.
                with anyio.move_on_after(self.limits.stalled_seconds):
                    await send(message)
                    return
                if self.transport.get_write_buffer_size() >= unsent:
                    self.transport.abort()
                    return
            await send(message)

        self._answering += 1
        self._unsent.stop()
        try:
            await self._app(scope, receive, send_in_time)
        finally:
            self._answering -= 1
            if not self._answering:
                self._unsent.wait()


class _Trimmed:
    """Leaves off the white space around a header's value (RFC 9110, 5.5), of which httptools keeps what follows it."""

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value.strip(b" \t"))  # type: ignore[misc]
