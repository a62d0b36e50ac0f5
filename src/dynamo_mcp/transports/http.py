"""How do clients talk to us over HTTP? Streamable HTTP at `/mcp` and, for older clients, SSE at `/sse`, in one app.

Every request, of whatever path, must name this very host and port, and if it comes from a web page, a page of this very
server: otherwise any page a person visits could reach the server through their browser (MCP specification 2026-07-28,
basic/transports, DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.routing import Mount, Route

from dynamo_mcp.errors import Failed, Refused, UsageError
from dynamo_mcp.server import build
from dynamo_mcp.transports.ending import Ending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anyio.abc import TaskStatus
    from starlette.types import ASGIApp, Receive, Scope, Send

    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.server import DynamoServer

_LAST_SECONDS = 0.4
_PORTS = range(1 << 16)
_HTTP = 80


async def serve(dynamo: Dynamo, host: str, port: int) -> None:
    """Serve until a signal asks to end.

    Args:
        dynamo: What is served.
        host: A loopback address.
        port: 0 takes a free one; which, is said on standard error.

    Raises:
        Refused: The host is not a loopback address.
        UsageError: The port can't be one.
        Failed: The port can't be had.
    """
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with running(dynamo, host, port) as url:
            sys.stderr.write(f"dynamo-mcp serves {url}/mcp (and /sse)\n")
            sys.stderr.flush()
            async for _ in signals:
                return


@asynccontextmanager
async def running(dynamo: Dynamo, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the caller stays in the context; yields the URL that the paths are below.

    On the way out clients that listen are told so, and calls that still run are cancelled; see `serve`.
    """
    with closing(_listen(host, port)) as listener:
        host, port = listener.getsockname()[:2]
        server = build(dynamo)
        app = Ending(_app(server, _security(host, port)))
        web = _Web(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_LAST_SECONDS,  # type: ignore[arg-type]  # asyncio takes a float
            )
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(server.announce)
            await tasks.start(web.run_on, listener)
            try:
                yield f"http://{_authority(host, port)}"
            finally:
                with anyio.CancelScope(shield=True):
                    web.should_exit = True
                    server.close()
                    await app.end()
                    await web.ended.wait()
                tasks.cancel_scope.cancel()


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise Refused(
            f"`{host}` is not a loopback address, and without authentication whoever reached it could run templates",
            hint="serve on `127.0.0.1`, and reach it from elsewhere through a tunnel such as `ssh -L`",
        )
    if port not in _PORTS:
        raise UsageError(f"`{port}` is not a port", hint="choose one from 1 to 65535, or 0 for any that is free")
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)  # noqa: PLR2004
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise Failed(
            f"Can't listen on `{_authority(str(address), port)}`: {error.strerror or error}",
            hint="end the program that uses the port, or choose another with `--port`; 0 takes any that is free",
        ) from error
    return listener


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _security(host: str, port: int) -> TransportSecuritySettings:
    """Allow this host and port and the names it has, each spelled out.

    The SDK's own default allows pages of every server on this machine, and checks nothing for any other host.
    """
    hosts = {_authority(name, port) for name in ("127.0.0.1", "::1", "localhost", host)}
    if port == _HTTP:
        hosts |= {name.removesuffix(f":{_HTTP}") for name in hosts}
    return TransportSecuritySettings(
        allowed_hosts=sorted(hosts), allowed_origins=sorted(f"http://{name}" for name in hosts)
    )


def _app(server: DynamoServer, security: TransportSecuritySettings) -> ASGIApp:
    sse = SseServerTransport("/messages/", security_settings=security)
    routes: list[Any] = [
        Route("/sse", _Sse(server, sse), methods=["GET"]),
        Mount("/messages/", app=sse.handle_post_message),
    ]
    return _Guard(server.streamable_http_app(transport_security=security, custom_starlette_routes=routes), security)


class _Sse:
    """The stream of an older client; what it sends comes to `/messages/`."""

    def __init__(self, server: DynamoServer, transport: SseServerTransport) -> None:
        self._server = server
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._transport.connect_sse(scope, receive, send) as (read, write):
            await self._server.run(read, write, self._server.create_initialization_options())


class _Guard:
    """Refuses a request of another host (421) or origin (403) before anything else sees it.

    The SDK's SSE transport answers such a request too, but then raises, which would end in a 500 and a traceback.
    """

    def __init__(self, app: ASGIApp, security: TransportSecuritySettings) -> None:
        self._app = app
        self._security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http":
            refusal = await self._security.validate_request(Request(scope, receive))
        await (refusal or self._app)(scope, receive, send)


class _Web(uvicorn.Server):
    """uvicorn as a task: it leaves signals alone, and says when it serves and when it has ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again, and the process would die before it has cleaned up."""
        yield

    async def run_on(
        self, listener: socket.socket, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `should_exit`, whatever happens to the caller: connections are ended, never dropped."""
        self._status = task_status
        try:
            with anyio.CancelScope(shield=True):
                await self.serve([listener])
        finally:
            self.ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        self._status.started()
