"""Clients for connections that carry whole messages: what the SDK's own client needs to speak over them."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Streams = tuple[Any, Any]

CONNECT = "/dynamo_mcp.v1.Mcp/Connect"


@asynccontextmanager
async def websocket_client(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Streams]:
    """Speak over the WebSocket at a URL that begins with `http`."""
    address = f"ws{url.removeprefix('http')}/ws"
    async with connect(address, subprotocols=["mcp"], additional_headers=headers) as socket:  # type: ignore[list-item]

        async def send(text: str) -> None:
            await socket.send(text)

        async with _streams(lambda: _heard(socket), send) as streams:
            yield streams


async def _heard(socket: ClientConnection) -> str | None:
    try:
        return str(await socket.recv())
    except ConnectionClosed:
        return None


@asynccontextmanager
async def grpc_client(address: str, metadata: Mapping[str, str] | None = None) -> AsyncIterator[Streams]:
    """Speak over gRPC to an address."""
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.stream_stream(
            CONNECT, request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString
        )
        call = method(metadata=tuple((metadata or {}).items()))

        async def receive() -> str | None:
            message = await call.read()
            return message.value if isinstance(message, StringValue) else None

        async def send(text: str) -> None:
            await call.write(StringValue(value=text))

        async with _streams(receive, send) as streams:
            yield streams
        call.cancel()


@asynccontextmanager
async def _streams(
    receive: Callable[[], Awaitable[str | None]], send: Callable[[str], Awaitable[None]]
) -> AsyncIterator[Streams]:
    heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, said = anyio.create_memory_object_stream[SessionMessage](0)

    async def hear() -> None:
        async with heard:
            with suppress(anyio.BrokenResourceError):
                while (text := await receive()) is not None:
                    await heard.send(SessionMessage(jsonrpc_message_adapter.validate_json(text)))

    async def say() -> None:
        async with said:
            async for each in said:
                await send(each.message.model_dump_json(by_alias=True, exclude_unset=True))

    async with anyio.create_task_group() as tasks, read, write:
        tasks.start_soon(hear)
        tasks.start_soon(say)
        yield read, write
        tasks.cancel_scope.cancel()
