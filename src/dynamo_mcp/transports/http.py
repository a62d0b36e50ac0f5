"""How do clients talk to us over HTTP? Whatever of it they speak, at one address."""

from __future__ import annotations

from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import anyio

from dynamo_mcp.transports.guards import CallerGuard, NamesGuard, own_names
from dynamo_mcp.transports.listening import authority, listen
from dynamo_mcp.transports.routes import app
from dynamo_mcp.transports.web import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskStatus

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.transport import Endpoint


async def serve(server: DynamoServer, endpoint: Endpoint, *, task_status: TaskStatus[str]) -> None:
    """Serve until cancelled (`Transport`)."""
    async with opened(server, endpoint) as url:
        task_status.started(f"serves {url}/mcp (and /sse, /ws)")
        await anyio.sleep_forever()


@asynccontextmanager
async def opened(server: DynamoServer, endpoint: Endpoint) -> AsyncIterator[str]:
    """Serve while the caller stays in the context; yields the URL that the paths are below.

    On the way out clients that listen are told so, and calls that still run are cancelled.

    Raises:
        Refused: Other machines reach the address, and nobody is asked who they are.
        UsageError: The port can't be one.
        Failed: The port can't be had.
    """
    with closing(listen(endpoint.host, endpoint.port, anywhere=bool(endpoint.authenticators))) as listener:
        host, port = listener.getsockname()[:2]
        names = own_names(host, port, endpoint.hosts)
        served = app(server, names, endpoint.documents)
        guarded = NamesGuard(
            CallerGuard(served, endpoint.authenticators, endpoint.attempts, open_to_all=frozenset(endpoint.documents)),
            names,
        )
        async with serving(guarded, listener, server.close):
            yield f"http://{authority(host, port)}"
