"""How do clients talk to us over HTTP? Whatever of it they speak, at one address."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import anyio
import msgspec

from dynamo_mcp.transports.bounds import Bounds
from dynamo_mcp.transports.guards import CallerGuard, NamesGuard, own_names
from dynamo_mcp.transports.health import Health
from dynamo_mcp.transports.listening import authority, listen
from dynamo_mcp.transports.proxies import Peer
from dynamo_mcp.transports.routes import app
from dynamo_mcp.transports.sessions import keep_alive
from dynamo_mcp.transports.shares import Shares
from dynamo_mcp.transports.tls import context
from dynamo_mcp.transports.unix_socket import listening_at
from dynamo_mcp.transports.web import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager
    from socket import socket

    from anyio.abc import TaskStatus

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.serving import Serving
    from dynamo_mcp.transports.transport import Endpoint


async def serve(server: DynamoServer, endpoint: Endpoint, *, task_status: TaskStatus[str]) -> None:
    """Serve until cancelled (`Transport`)."""
    async with opened(server, endpoint) as url:
        where = f"{url}/mcp" if endpoint.uds is None else f"/mcp at the socket {endpoint.uds}"
        task_status.started(f"serves {where} (and /sse, /ws, /poll)")
        await anyio.sleep_forever()


@asynccontextmanager
async def opened(server: DynamoServer, endpoint: Endpoint) -> AsyncIterator[str]:
    """Serve while the caller stays in the context; yields the URL that the paths are below.

    On the way out clients that listen are told so, and calls that still run are cancelled.

    Raises:
        Refused: Other machines reach the address, and nobody is asked who they are.
        UsageError: The port can't be one, or nothing of what TLS or a proxy needs is as it must be.
        Failed: The port or the socket can't be had, or TLS not be spoken.
    """
    tls = context(endpoint.tls_certificate, endpoint.tls_key)
    with _listener(endpoint) as listener:
        host, port = listener.getsockname()[:2] if endpoint.uds is None else ("localhost", None)
        names = own_names(host, port, endpoint.hosts, tls=tls is not None, origins=endpoint.origins)
        shares = Shares(endpoint.limits)
        bounded = Bounds(app(server, names, shares, endpoint.documents), shares)
        known = CallerGuard(
            bounded, endpoint.authenticators, endpoint.attempts, open_to_all=frozenset(endpoint.documents)
        )
        whole = Peer(Health(NamesGuard(known, names), server), endpoint.trusted_proxies)
        with keep_alive(endpoint.limits.keep_alive_seconds):
            async with serving(whole, listener, server.close, tls, _of_connections(endpoint)):
                yield f"{'http' if tls is None else 'https'}://{host if port is None else authority(host, port)}"


def _of_connections(endpoint: Endpoint) -> Serving:
    """Return the limits without that of each address, where all come from a proxy's."""
    limits = endpoint.limits
    return msgspec.structs.replace(limits, address_connections=sys.maxsize) if endpoint.trusted_proxies else limits


def _listener(endpoint: Endpoint) -> AbstractContextManager[socket]:
    if endpoint.uds is not None:
        return listening_at(endpoint.uds)
    anywhere, seconds = bool(endpoint.authenticators), endpoint.limits.stalled_seconds
    return closing(listen(endpoint.host, endpoint.port, anywhere=anywhere, seconds=seconds))
