"""How a test joins a server: each transport, in each era of the protocol."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from dynamo_mcp.server import build
from dynamo_mcp.transports import grpc, http
from dynamo_mcp.transports.transport import Endpoint
from edge.framed import grpc_client, websocket_client
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Transport: TypeAlias = Literal["memory", "stdio", "http", "sse", "websocket", "grpc"]
Era: TypeAlias = Literal["auto", "2026-07-28", "legacy"]

SERVE_FAKE = Path(__file__).with_name("serve_fake.py")

in_both_eras = pytest.mark.parametrize("era", ["auto", "legacy"])
over_every_transport = pytest.mark.parametrize("transport", ["memory", "stdio", "http", "sse", "websocket", "grpc"])


@asynccontextmanager
async def join(
    transport: Transport, era: Era, outputs: Path, *, fake: FakeDynamo | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Serve a fake and connect the SDK's own client to it.

    Args:
        transport: How they are connected; over stdio the server is another process, with a fake of its own.
        era: The client's mode.
        outputs: A folder for the fake.
        fake: What is served, where it is served in this process.
        options: Further ones of the client.
    """
    async with AsyncExitStack() as stack:
        target: Any
        if transport == "stdio":
            target = StdioServerParameters(command=sys.executable, args=[str(SERVE_FAKE), "stdio", str(outputs)])
        elif transport == "memory":
            target = build((fake or FakeDynamo(outputs)).dynamo)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            await tasks.start(target.announce)
        elif transport == "grpc":
            target = grpc_client(await stack.enter_async_context(over_grpc(fake or FakeDynamo(outputs))))
        else:
            url = await stack.enter_async_context(over_http(fake or FakeDynamo(outputs)))
            if transport == "http":
                target = f"{url}/mcp"
            else:
                target = sse_client(f"{url}/sse") if transport == "sse" else websocket_client(url)
        yield await stack.enter_async_context(Client(target, mode=era, read_timeout_seconds=20, **options))


@asynccontextmanager
async def over_http(fake: FakeDynamo, **where: Any) -> AsyncIterator[str]:
    """Serve a fake over HTTP, as its changes are told; yields the URL that the paths are below.

    Args:
        fake: What is served.
        where: Of the endpoint.
    """
    server = build(fake.dynamo)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.announce)
        async with http.opened(server, Endpoint(**where)) as url:
            yield url
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def over_grpc(fake: FakeDynamo, **where: Any) -> AsyncIterator[str]:
    """Serve a fake over gRPC; yields the address.

    Args:
        fake: What is served.
        where: Of the endpoint.
    """
    server = build(fake.dynamo)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.announce)
        words = await tasks.start(grpc.serve, server, Endpoint(**where))
        yield words.removeprefix("serves gRPC at ").removesuffix(", by TLS")
        server.close()
        tasks.cancel_scope.cancel()


__all__ = [
    "SERVE_FAKE",
    "Draft202012Validator",
    "Era",
    "Transport",
    "in_both_eras",
    "join",
    "over_every_transport",
    "over_grpc",
    "over_http",
]
