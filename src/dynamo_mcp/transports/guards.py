"""Which requests over HTTP are heard? Those to this very server, of somebody who says who they are.

Every request, of whatever path, must name a host that this server has, and if it comes from a web page, a page of this
very server: otherwise any page a person visits could reach the server through their browser (MCP specification
2026-07-28, basic/transports, DNS rebinding). Who it comes from is known before anything of it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse

from dynamo_mcp.callers import Authenticator, Caller, current
from dynamo_mcp.errors import Unauthenticated
from dynamo_mcp.transports.admission import admit
from dynamo_mcp.transports.listening import authority

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HTTP = 80
_HEARD = frozenset({"http", "websocket"})


def own_names(host: str, port: int) -> TransportSecuritySettings:
    """Allow this host and port and the names it has, each spelled out.

    The SDK's own default allows pages of every server on this machine, and checks nothing for any other host.
    """
    hosts = {authority(name, port) for name in ("127.0.0.1", "::1", "localhost", host)}
    if port == _HTTP:
        hosts |= {name.removesuffix(f":{_HTTP}") for name in hosts}
    return TransportSecuritySettings(
        allowed_hosts=sorted(hosts), allowed_origins=sorted(f"http://{name}" for name in hosts)
    )


class NamesGuard:
    """Refuses a request of another host (421) or origin (403) before anything else sees it.

    The SDK's SSE transport answers such a request too, but then raises, which would end in a 500 and a traceback.
    """

    def __init__(self, app: ASGIApp, security: TransportSecuritySettings) -> None:
        """Guard `app`."""
        self._app = app
        self._security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        refusal = None
        if scope["type"] in _HEARD:
            refusal = await self._security.validate_request(Request({**scope, "type": "http"}, receive))
        await (refusal or self._app)(scope, receive, send)


class CallerGuard:
    """Refuses a request of nobody (401), and says of each other who sends it.

    The SDK lets a session be used by whoever opened it and by nobody else, as far as `scope["user"]` tells them apart.
    """

    def __init__(self, app: ASGIApp, authenticators: tuple[Authenticator, ...]) -> None:
        """Guard `app`; without authenticators everybody is let in."""
        self._app = app
        self._authenticators = authenticators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        if scope["type"] not in _HEARD or not self._authenticators:
            await self._app(scope, receive, send)
            return
        try:
            caller = await admit(self._authenticators, Headers(scope=scope).get("authorization"))
        except Unauthenticated as error:
            headers = {"WWW-Authenticate": ", ".join(error.challenges)}
            told = {"error": "unauthorized", "error_description": str(error)}
            await JSONResponse(told, status_code=401, headers=headers)(scope, receive, send)
            return
        scope["user"] = _user(caller)
        token = current.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(token)


def _user(caller: Caller) -> AuthenticatedUser:
    return AuthenticatedUser(AccessToken(token="", client_id=caller.name, scopes=sorted(caller.scopes)))
