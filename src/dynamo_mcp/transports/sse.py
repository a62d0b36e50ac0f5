"""How do older clients talk to us? They listen to a stream, `/sse`, and post each message to `/messages/`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, authorization_context
from mcp.server.sse import SseServerTransport
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from dynamo_mcp.transports.limited import Heard
from dynamo_mcp.transports.shares import current_caller
from dynamo_mcp.transports.under_way import Said, UnderWay

if TYPE_CHECKING:
    from mcp.server.transport_security import TransportSecuritySettings
    from mcp.shared._context_streams import ContextSendStream
    from starlette.types import Receive, Scope, Send

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.shares import Shares

_JSON = "application/json"


class Sse(SseServerTransport):
    """The SDK's sessions of SSE, of one server (ASGI).

    What is posted and can't be meant is refused here: the SDK would log each of it, with a traceback or in the client's
    own words.
    """

    def __init__(self, server: DynamoServer, security: TransportSecuritySettings, shares: Shares) -> None:
        """Begin with none.

        Args:
            server: What is served.
            security: Which hosts and origins are heard.
            shares: Of what all clients may have under way.
        """
        super().__init__("/messages/", security, shares.limits.body_bytes)
        self._server = server
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream of one client."""
        async with self.connect_sse(scope, receive, send) as (read, write):
            under_way = UnderWay(self._shares, current_caller.get())
            said = Said(write, under_way)
            with under_way.counted():
                heard = Heard(read, said, under_way)
                await self._server.run(heard, said, self._server.create_initialization_options())

    async def _handle_post_message(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        session = self._session_of(request)
        if not request.headers.get("content-type", "").lower().startswith(_JSON):
            await Response(f"A message is `{_JSON}`\n", 400)(scope, receive, send)
        elif session is None:
            await Response("There is no such session, or it has ended\n", 404)(scope, receive, send)
        else:
            try:
                message = jsonrpc_message_adapter.validate_json(await request.body(), by_name=False)
            except ValidationError:
                await Response("The body is not one JSON-RPC message\n", 400)(scope, receive, send)
                return
            await Response("Accepted", 202)(scope, receive, send)
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # its client has left meanwhile
                await session.send(SessionMessage(message))

    def _session_of(self, request: Request) -> ContextSendStream[SessionMessage | Exception] | None:
        """Return where the messages of a session go; None where it is somebody else's, too."""
        try:
            number = UUID(hex=request.query_params.get("session_id", ""))
        except ValueError:
            return None
        user = request.scope.get("user")
        asker = authorization_context(user) if isinstance(user, AuthenticatedUser) else None
        return self._read_stream_writers.get(number) if asker == self._session_owners.get(number) else None
