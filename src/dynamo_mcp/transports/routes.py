"""What answers at which path? Streamable HTTP at `/mcp` and, for older clients, SSE at `/sse`; `/ws` is a WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp.server.sse import SseServerTransport
from starlette.routing import Mount, Route, WebSocketRoute

from dynamo_mcp.transports.websocket import WebSockets

if TYPE_CHECKING:
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.types import ASGIApp, Receive, Scope, Send

    from dynamo_mcp.server import DynamoServer


def app(server: DynamoServer, security: TransportSecuritySettings) -> ASGIApp:
    """Return the app of a server."""
    sse = SseServerTransport("/messages/", security_settings=security)
    routes: list[Any] = [
        Route("/sse", _Sse(server, sse), methods=["GET"]),
        WebSocketRoute("/ws", WebSockets(server)),
        Mount("/messages/", app=sse.handle_post_message),
    ]
    return server.streamable_http_app(transport_security=security, custom_starlette_routes=routes)


class _Sse:
    """The stream of an older client; what it sends comes to `/messages/`."""

    def __init__(self, server: DynamoServer, transport: SseServerTransport) -> None:
        self._server = server
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._transport.connect_sse(scope, receive, send) as (read, write):
            await self._server.run(read, write, self._server.create_initialization_options())
