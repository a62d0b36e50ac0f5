"""How do clients talk to us over a WebSocket? Each text frame is one JSON-RPC message; the subprotocol is `mcp`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from dynamo_mcp.transports.messages import Left, speak
from dynamo_mcp.transports.shares import current_caller
from dynamo_mcp.transports.under_way import UnderWay

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.shares import Shares

SUBPROTOCOL = "mcp"
_LAST_SECONDS = 0.4
_UNSUPPORTED_DATA = 1003


class WebSockets:
    """The WebSocket connections of one server (ASGI)."""

    def __init__(self, server: DynamoServer, shares: Shares) -> None:
        """Serve `server`."""
        self._server = server
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            words = f"A WebSocket here speaks the subprotocol `{SUBPROTOCOL}`: name it in `Sec-WebSocket-Protocol`.\n"
            await PlainTextResponse(words, status_code=400)(scope, receive, send)
            return
        socket = WebSocket(scope, receive, send)
        await socket.accept(subprotocol=SUBPROTOCOL)

        async def hear() -> str:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise Left
            text = message.get("text")
            if not isinstance(text, str):
                with suppress(WebSocketDisconnect):
                    await socket.close(_UNSUPPORTED_DATA, "messages are text")
                raise Left
            return text

        async def tell(text: str) -> None:
            try:
                await socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError) as error:
                raise Left from error

        under_way = UnderWay(self._shares, current_caller.get())
        await speak(self._server, hear, tell, under_way, self._shares.limits.stalled_seconds)
        if socket.application_state is socket.client_state is WebSocketState.CONNECTED:
            # Of a client that takes no more, or leaves by itself meanwhile.
            with anyio.move_on_after(_LAST_SECONDS), suppress(WebSocketDisconnect):
                await socket.close()
