"""Which requests over HTTP are heard? Those to this very server, of somebody who says who they are.

Every request, of whatever path, must name a host that this server has, and if it comes from a web page, a page of this
very server: otherwise any page a person visits could reach the server through their browser (MCP specification
2026-07-28, basic/transports, DNS rebinding). Who it comes from is known before anything of it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from dynamo_mcp.callers import Authenticator, Caller, current
from dynamo_mcp.errors import DynamoError, TooManyAttempts, Unauthenticated
from dynamo_mcp.transports.admission import admit
from dynamo_mcp.transports.lasting import while_it_holds
from dynamo_mcp.transports.listening import authority

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from dynamo_mcp.transports.attempts import Attempts

_PORT = re.compile(r":\d+$")
_READING = frozenset({"GET", "HEAD"})
_HEARD = frozenset({"http", "websocket"})


def own_names(
    host: str, port: int | None, further: Sequence[str] = (), *, tls: bool = False, origins: Sequence[str] = ()
) -> TransportSecuritySettings:
    """Allow this host and port and the names it has, each spelled out.

    The SDK's own default allows pages of every server on this machine, and checks nothing for any other host.

    Args:
        host: The address that is listened on.
        port: The port there; None for a unix socket.
        further: What else clients call it, behind a proxy for one; a name without a port also has this one.
        tls: Whether it speaks TLS.
        origins: Further origins, whose pages may ask.
    """
    scheme, usual = ("https", 443) if tls else ("http", 80)
    local = ("127.0.0.1", "::1", "localhost", host)
    hosts = {"localhost"} if port is None else {authority(name, port) for name in local}
    if port == usual:
        hosts |= {name.removesuffix(f":{usual}") for name in hosts}
    others = {name.lower() for name in further}
    if port is not None:
        others |= {f"{name}:{port}" for name in others if not _PORT.search(name)}
    pages = {f"{scheme}://{name}" for name in hosts} | {
        f"{way}://{name}" for name in others for way in ("http", "https")
    }
    return TransportSecuritySettings(allowed_hosts=sorted(hosts | others), allowed_origins=sorted(pages | {*origins}))


class NamesGuard:
    """Refuses a request of another host (421) or origin (403), or of more than one (400), before anything else sees it.

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
            names = [name for name, _ in scope["headers"]]
            if max(names.count(b"host"), names.count(b"origin")) > 1:
                # RFC 9112, section 3.2: what is in front of us might have looked at the other one.
                await PlainTextResponse("More than one Host or Origin", status_code=400)(scope, receive, send)
                return
            refusal = await self._security.validate_request(Request({**scope, "type": "http"}, receive))
        await (refusal or self._app)(scope, receive, send)


class CallerGuard:
    """Refuses a request of nobody (401), and says of each other who sends it.

    The SDK lets a session be used by whoever opened it and by nobody else, as far as `scope["user"]` tells them apart.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticators: tuple[Authenticator, ...],
        attempts: Attempts,
        *,
        open_to_all: frozenset[str] = frozenset(),
    ) -> None:
        """Guard `app`.

        Args:
            app: What is guarded.
            authenticators: Say who calls; without any everybody is let in.
            attempts: Who has failed too often.
            open_to_all: Paths that everybody may read.
        """
        self._app = app
        self._authenticators = authenticators
        self._attempts = attempts
        self._open = open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        if scope["type"] not in _HEARD or not self._authenticators or self._is_open(scope):
            await self._app(scope, receive, send)
            return
        try:
            admission = await admit(
                self._authenticators, Headers(scope=scope).getlist("authorization"), self._attempts, _peer(scope)
            )
        except DynamoError as error:
            await _refusal(error)(scope, receive, send)
            return
        scope["user"] = _user(admission.caller)
        token = current.set(admission.caller)
        try:
            await while_it_holds(admission, self._app, scope, receive, send)
        finally:
            current.reset(token)

    def _is_open(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] in _READING and scope["path"] in self._open


def _peer(scope: Scope) -> str | None:
    client: Any = scope.get("client")
    return client[0] if client else None


def _refusal(error: DynamoError) -> JSONResponse:
    """Return what a caller is told who is not let in; what it gave is not in it."""
    told = {"error": "unauthorized", "error_description": str(error)}
    if isinstance(error, Unauthenticated):
        return JSONResponse(told, status_code=401, headers={"WWW-Authenticate": ", ".join(error.challenges)})
    if isinstance(error, TooManyAttempts):
        wait = {"Retry-After": str(math.ceil(error.seconds))}
        return JSONResponse(told | {"error": "too_many_attempts"}, status_code=429, headers=wait)
    # Why it can't be found out is the operator's business (`admission` logs it).
    told = {"error": "unavailable", "error_description": "At the moment nobody can be told from anybody else"}
    return JSONResponse(told, status_code=503, headers={"Retry-After": "5"})


def _user(caller: Caller) -> AuthenticatedUser:
    return AuthenticatedUser(AccessToken(token="", client_id=caller.name, scopes=sorted(caller.scopes)))
