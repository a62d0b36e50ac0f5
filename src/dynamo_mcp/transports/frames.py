"""How much may a WebSocket's client keep half sent, and how long? uvicorn takes as much, and for ever, of each of them.

Also it keeps a list of fragments, of which empty ones are no bytes of the message, and a pong for each ping, whether or
not its client reads them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dynamo_mcp.transports.addresses import Counted
from dynamo_mcp.transports.shares import COUNT_FOR, Full, TooMuch, peer
from dynamo_mcp.transports.unsent import Unsent

if TYPE_CHECKING:
    from websockets.frames import Frame
    from websockets.http11 import Request

    from dynamo_mcp.serving import Serving
    from dynamo_mcp.transports.shares import Budget

_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013
"""RFC 6455, section 7.4.1, and IANA's registry of close codes."""


class Framed(Counted, WebSocketsSansIOProtocol):
    """uvicorn's protocol of WebSockets, with bounds.

    Attributes:
        halves: What all WebSockets of a server have received and not handed on.
    """

    limits: Serving
    halves: Budget
    frames: list[Any]

    def __init__(self, *given: Any, **named: Any) -> None:
        """Have received nothing."""
        super().__init__(*given, **named)
        self._caller = peer(None)
        self._kept = 0
        self._whole = 0
        self._owed = b""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count what comes for the address, until somebody says who it is."""
        super().connection_made(transport)
        self._caller = peer(self.address_counted)

    def handle_connect(self, event: Request) -> None:
        """Ask whoever is told of it to say whose it is."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"][COUNT_FOR] = self._count_for

    def data_received(self, data: bytes) -> None:
        """Take what has come, as long as there is room for it."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse()
            return
        half = self._count()
        if not half:
            self._stop_waiting()
        self._wait_for(half)
        if self._kept:
            try:
                self.halves.check(self._caller)
            except (TooMuch, Full) as error:
                self._end(_TRY_AGAIN_LATER, str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of all."""
        self._stop_waiting()
        self.halves.count(self._caller, -self._kept)
        self._kept = 0
        self.frames.clear()
        super().connection_lost(exc)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Wait for the client to take what is left, no longer than it may."""
        super().on_task_complete(task)
        Unsent(self.transport, self.limits.stalled_seconds).wait()

    def handle_cont(self, event: Frame) -> None:
        """Join the fragments as they come."""
        if not isinstance(self.frames[0], bytearray):
            self.frames = [bytearray(self.frames[0])]
        self.frames[0] += event.data
        if event.fin:
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """Hand on a whole message."""
        self._stop_waiting()
        if not self.close_sent:  # else nobody takes it
            self._whole += sum(map(len, self.frames))
        super().send_receive_event_to_app()

    async def receive(self) -> Any:
        """Return what comes next (ASGI)."""
        message = await super().receive()
        if self.queue.empty() and not self.disconnected:
            self._whole = 0
            self._wait_for(self._count())
        return message

    async def send(self, message: Any) -> None:
        """Send something (ASGI); who was refused had an answer, which uvicorn would log as if it were none."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """Answer, the last ping alone where its client reads no answers (RFC 6455, section 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self._owed = b"".join(self.conn.data_to_send()) or self._owed

    def handle_close(self, event: Frame) -> None:
        """Answer, with what is owed first: the answer is in it, where a ping came with the close."""
        self._pay()
        super().handle_close(event)

    def resume_writing(self) -> None:
        """Go on, with what is owed first."""
        super().resume_writing()
        self._pay()

    def _pay(self) -> None:
        owed, self._owed = self._owed, b""
        if owed:
            self.transport.write(owed)

    def _refuse(self) -> None:
        """Write what websockets answers to a head that it does not take, such as one with a line of 8 KiB."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def _count(self) -> int:
        """Return the bytes of the message that has not arrived whole."""
        half = len(self.conn.reader.buffer) + sum(map(len, self.frames))
        kept = 0 if self.disconnected else half + self._whole
        self.halves.count(self._caller, kept - self._kept)
        self._kept = kept
        return half

    def _count_for(self, caller: str) -> None:
        self.halves.count(self._caller, -self._kept)
        self._caller = caller
        self.halves.count(self._caller, self._kept)

    def _wait_for(self, half: int) -> None:
        """Have a message that is half here end in time; while we read nothing it can't, and the time is not its own."""
        if half and self._patience is None and not self.read_paused:
            self._patience = asyncio.get_running_loop().call_later(self.limits.body_seconds, self._late)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _late(self) -> None:
        self._end(_POLICY_VIOLATION, f"the message did not arrive within {self.limits.body_seconds:g} seconds")

    def _end(self, code: int, reason: str) -> None:
        if not self.handshake_complete or self.close_sent:
            self.transport.abort()
        else:
            self.conn.fail(code, reason)
            self.handle_parser_exception()
            self._stop_waiting()
            self.frames.clear()
            self._count()  # of what has arrived, nothing is kept however long its client takes to leave
