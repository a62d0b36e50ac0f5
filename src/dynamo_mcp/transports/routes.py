"""What answers at which path?

Streamable HTTP at `/mcp` and, for older clients, SSE at `/sse`; `/ws` is a WebSocket, `/poll` is for long polling,
`/metrics` for Prometheus.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from dynamo_mcp.callers import current
from dynamo_mcp.transports.polling import Polls
from dynamo_mcp.transports.sessions import Sessions
from dynamo_mcp.transports.sse import Sse
from dynamo_mcp.transports.websocket import WebSockets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.types import ASGIApp, Receive, Scope, Send

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.shares import Shares


def app(
    server: DynamoServer, security: TransportSecuritySettings, shares: Shares, documents: Mapping[str, bytes]
) -> ASGIApp:
    """Return the app of a server.

    Args:
        server: What is served.
        security: Of the SDK's transports.
        shares: Of callers, and the limits of sessions and what they keep.
        documents: What is there to read besides, in JSON by its path.
    """
    sessions = Sessions(server, security, shares)
    polls = Polls(server, sessions.shelf, shares)
    sse = Sse(server, security, shares)
    return Starlette(
        routes=[
            Route("/mcp", StreamableHTTPASGIApp(sessions)),
            Route("/sse", sse, methods=["GET"]),
            Route("/metrics", _Metrics(server), methods=["GET"]),
            WebSocketRoute("/ws", WebSockets(server, shares)),
            *polls.routes,
            *(Route(path, _Document(content), methods=["GET"]) for path, content in documents.items()),
            Mount("/messages/", app=sse.handle_post_message),
        ],
        lifespan=lambda _: _running(sessions, polls),
    )


class _Metrics:
    """What a Prometheus server reads."""

    def __init__(self, server: DynamoServer) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics, caller = self._server.observing.metrics, current.get()
        if not caller.may("templates:read"):
            words = f"Metrics need the scope `templates:read`, which `{caller.name}` does not have.\n"
            response: Response = PlainTextResponse(words, status_code=403)
        elif metrics is None:
            response = PlainTextResponse("Metrics need the extra `dynamo-mcp[metrics]`.\n", status_code=404)
        else:
            text, media_type = metrics.text()
            response = Response(text, media_type=media_type)
        await response(scope, receive, send)


@asynccontextmanager
async def _running(sessions: Sessions, polls: Polls) -> AsyncIterator[None]:
    async with sessions.run(), polls.run():
        yield


class _Document:
    """Something to read."""

    def __init__(self, content: bytes) -> None:
        self._answer = Response(content, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)
