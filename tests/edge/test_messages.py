"""Connections that carry whole messages: WebSockets and gRPC streams, whatever comes over them."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import grpc.aio
import pytest
import uvicorn
from anyio.streams.buffered import BufferedByteReceiveStream
from google.protobuf.wrappers_pb2 import StringValue
from mcp import Client
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dynamo_mcp import background
from dynamo_mcp.auth.ways import way_of
from dynamo_mcp.errors import Failed, Refused
from dynamo_mcp.serving import Serving
from dynamo_mcp.settings import load
from dynamo_mcp.transports import transport, under_way
from dynamo_mcp.transports.attempts import FAILURES, Attempts
from dynamo_mcp.transports.connections import protocol
from dynamo_mcp.transports.running import run
from dynamo_mcp.transports.transport import Endpoint
from edge.framed import CONNECT, grpc_client, websocket_client
from edge.joining import over_grpc, over_http
from edge.raw import request
from edge.test_permission import ByScope
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

Kind: TypeAlias = Literal["websocket", "grpc"]
over_both = pytest.mark.parametrize("kind", ["websocket", "grpc"])
Say: TypeAlias = "Callable[[str], Awaitable[None]]"
Hear: TypeAlias = "Callable[[], Awaitable[dict[str, Any]]]"
SECONDS = 20


@asynccontextmanager
async def served(kind: Kind, fake: FakeDynamo, **where: Any) -> AsyncIterator[str]:
    over = over_http if kind == "websocket" else over_grpc
    async with over(fake, **where) as address:
        yield address


@asynccontextmanager
async def by_hand(kind: Kind, address: str, **headers: str) -> AsyncIterator[tuple[Say, Hear]]:
    """Say and hear text; headers are gRPC's metadata."""
    async with AsyncExitStack() as stack:
        if kind == "websocket":
            socket = await stack.enter_async_context(
                connect(
                    f"ws{address.removeprefix('http')}/ws",
                    subprotocols=["mcp"],  # type: ignore[list-item]
                    additional_headers=headers,
                )
            )

            async def hear() -> dict[str, Any]:
                return dict(json.loads(await socket.recv()))

            yield socket.send, hear
        else:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            call = channel.stream_stream(
                CONNECT, request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString
            )(metadata=tuple(headers.items()))

            async def say(text: str) -> None:
                await call.write(StringValue(value=text))

            async def listen() -> dict[str, Any]:
                message = await call.read()
                assert isinstance(message, StringValue)
                return dict(json.loads(message.value))

            yield say, listen
            call.cancel()


def call(number: int, tool: str, **arguments: Any) -> str:
    return json.dumps(request(number, "tools/call", name=tool, arguments=arguments))


@over_both
async def test_a_message_that_is_none_is_answered_and_the_next_one_counts(kind: Kind, tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with served(kind, FakeDynamo(tmp_path)) as address, by_hand(kind, address) as (say, hear):
            for nonsense in ("", "{", "[]", "[" * 100_000, '"x"', '{"jsonrpc": "2.0", "id": {}, "method": 1}', "\x00"):
                await say(nonsense)
            await say(call(1, "list_templates"))
            answer = await hear()
            while answer.get("id") != 1:
                assert "error" in answer
                answer = await hear()
            assert not answer["result"].get("isError")


@over_both
async def test_a_client_has_so_many_requests_under_way_and_no_more(kind: Kind, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with served(kind, fake) as address, by_hand(kind, address) as (say, hear):
            for number in range(under_way.UNDER_WAY):
                await say(call(number, "create_alpha", project_name=HELD))
            await say(call(1000, "list_templates"))
            answer = await hear()
            while answer.get("id") != 1000:
                answer = await hear()
            assert "are under way, as many as may be" in answer["error"]["message"]
            await say(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}}))
            tries = 1001
            while "error" in answer:  # until the cancelled one has ended
                await say(call(tries, "list_templates"))
                while answer.get("id") != tries:
                    answer = await hear()
                tries += 1
            assert answer["result"]["structuredContent"]["templates"]


@over_both
async def test_a_message_that_is_too_large_ends_the_connection_and_no_other(kind: Kind, tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        limits = Serving(body_bytes=10_000)
        async with (
            served(kind, FakeDynamo(tmp_path), limits=limits) as address,
            by_hand(kind, address) as (say, hear),
        ):
            async with by_hand(kind, address) as (say_much, hear_nothing):
                with suppress(ConnectionClosed):  # while it is said still
                    await say_much(call(1, "create_alpha", project_name="x" * 10_000))
                with pytest.raises((ConnectionClosed, grpc.aio.AioRpcError, grpc.aio.UsageError)):
                    await hear_nothing()
            await say(call(1, "list_templates"))
            assert (await hear())["id"] == 1


@over_both
async def test_a_client_that_reads_no_more_is_left_and_nothing_is_kept_for_it(kind: Kind, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        limits = Serving(stalled_seconds=1)
        async with served(kind, fake, limits=limits) as address, by_hand(kind, address) as (say, _):

            async def say_on() -> None:
                for number in range(1000):  # each of 200 kB, and none of the answers is taken
                    await say(call(number, "create_alpha", project_name="x" * 100_000))
                    await anyio.sleep(0.02)

            await say(call(1000, "create_alpha", project_name=HELD))
            async with anyio.create_task_group() as tasks:
                background.start(tasks, "saying", say_on)
                await fake.cancelled.wait()
                tasks.cancel_scope.cancel()


@over_both
async def test_a_client_that_leaves_cancels_what_it_asked_for(kind: Kind, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with served(kind, fake) as address:
            async with by_hand(kind, address) as (say, _):
                await say(call(1, "create_alpha", project_name=HELD))
                await fake.held.acquire()
            await fake.cancelled.wait()


@over_both
async def test_who_calls_is_known_and_nobody_is_not_let_in(kind: Kind, tmp_path: Path) -> None:
    client_of = {"websocket": websocket_client, "grpc": grpc_client}[kind]
    key = {"websocket": "Authorization", "grpc": "authorization"}[kind]
    with anyio.fail_after(SECONDS):
        async with served(kind, FakeDynamo(tmp_path), authenticators=(ByScope(),)) as address:
            async with Client(client_of(address, {key: "Scopes ci templates:read"})) as client:
                refused = await client.call_tool("create_project", {"template_name": "alpha"})
                assert "which `ci` does not have" in str(refused.content)
            async with Client(client_of(address, {key: "Scopes me admin"})) as client:
                assert not (await client.call_tool("create_project", {"template_name": "alpha"})).is_error
            async with by_hand(kind, address) if kind == "grpc" else AsyncExitStack() as spoken:
                if kind == "grpc":
                    assert isinstance(spoken, tuple)
                    with pytest.raises(grpc.aio.AioRpcError) as refusal:
                        await spoken[1]()
                    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
                else:
                    with pytest.raises(InvalidStatus) as unknown:
                        await connect(f"ws{address.removeprefix('http')}/ws", subprotocols=["mcp"])  # type: ignore[list-item]
                    assert unknown.value.response.status_code == 401


@pytest.mark.parametrize(
    ("origin", "host", "status"), [("http://evil.example", "127.0.0.1", 403), (None, "evil.example", 421)]
)
async def test_a_web_page_of_somebody_else_gets_no_socket(tmp_path: Path, origin: Any, host: str, status: int) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://{host}:{port}/ws",
                host="127.0.0.1",
                port=port,
                origin=origin,
                subprotocols=["mcp"],  # type: ignore[list-item]
            )
        assert refused.value.response.status_code == status


async def test_a_socket_of_another_subprotocol_is_told_which_one_is_spoken(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws{url.removeprefix('http')}/ws", subprotocols=["graphql-ws"])  # type: ignore[list-item]
        assert refused.value.response.status_code == 400
        assert b"`mcp`" in refused.value.response.body


async def test_bytes_are_no_message(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url:
        async with connect(f"ws{url.removeprefix('http')}/ws", subprotocols=["mcp"]) as socket:  # type: ignore[list-item]
            await socket.send(b"{}")
            with pytest.raises(ConnectionClosed) as closed, anyio.fail_after(SECONDS):
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


async def test_an_address_that_others_reach_is_refused_to_grpc_too(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a loopback address"):
        await run(FakeDynamo(tmp_path).dynamo, ["grpc"], Endpoint(host="0.0.0.0"))  # noqa: S104 - it is refused


async def test_a_transport_whose_packages_are_missing_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dynamo_mcp.transports.grpc", raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(Failed, match="needs the package `grpc`") as raised:
        transport.transport_of("grpc")
    assert "dynamo-mcp[grpc]" in raised.value.hint


async def test_who_fails_too_often_is_not_heard_over_grpc_either(tmp_path: Path) -> None:
    attempts = Attempts(lambda: 0.0)
    for _ in range(FAILURES):
        attempts.failed("127.0.0.1", "it was wrong")
    way = way_of("keys", load({}, home=tmp_path / "home"))
    async with (
        over_grpc(FakeDynamo(tmp_path), authenticators=(way.authenticator,), attempts=attempts) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        call: Any = channel.stream_stream(CONNECT)(metadata=(("authorization", "Bearer dmcp_0"),))
        with anyio.fail_after(20), pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


OPENING = (
    "GET /ws HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mcp\r\nauthorization: {who}\r\n\r\n"
)
TEXT, MORE, CLOSE, FINAL, PING = 0x1, 0x0, 0x8, 0x80, 0x89


@asynccontextmanager
async def half(
    url: str, *frames: bytes, who: str = "nobody", local_host: str | None = None
) -> AsyncIterator[anyio.abc.SocketStream]:
    """A WebSocket that has sent frames by hand; yields what it hears after the handshake."""
    port = int(url.rpartition(":")[2])
    async with await anyio.connect_tcp("127.0.0.1", port, local_host=local_host) as stream:
        await stream.send(OPENING.format(host=f"127.0.0.1:{port}", who=who).encode())
        buffered = BufferedByteReceiveStream(stream)
        assert b"101" in await buffered.receive_until(b"\r\n\r\n", 10_000)
        for each in frames:
            await stream.send(each)
        yield stream


def frame(opcode: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame of a client, masked by zeros; of which there may be less than it says there is."""
    size = len(payload) if length is None else length
    sizes = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([opcode]) + sizes + bytes(4) + payload


async def closed(stream: anyio.abc.SocketStream) -> bytes:
    """Return what is said until the end."""
    found = b""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            found += await stream.receive()
    return found


@pytest.mark.parametrize(
    "kept",
    [
        (frame(FINAL | TEXT, b"x" * 900, 1000),),
        (frame(TEXT, b"x" * 450), frame(MORE, b"x" * 450)),
    ],
    ids=["a frame", "fragments"],
)
async def test_what_is_half_sent_counts_and_is_given_back_when_its_client_leaves(
    kept: tuple[bytes, ...], tmp_path: Path
) -> None:
    with anyio.fail_after(SECONDS):
        async with over_http(FakeDynamo(tmp_path), limits=Serving(total_body_bytes=1500)) as url:
            async with (
                half(url, *kept) as one,
                half(url, *kept) as other,
                anyio.create_task_group() as either,  # whichever of them is heard last
            ):

                async def wait(stream: anyio.abc.SocketStream) -> None:
                    assert b"too much is under way" in await closed(stream)
                    either.cancel_scope.cancel()

                either.start_soon(wait, one)
                either.start_soon(wait, other)
            answer: dict[str, Any] = {}
            while "result" not in answer:
                with suppress(ConnectionClosed):
                    async with by_hand("websocket", url) as (say, hear):
                        await say(call(1, "list_templates").ljust(1000))
                        answer = await hear()


@pytest.mark.parametrize("sent", [frame(TEXT, b"x"), frame(FINAL | TEXT, b"{", 1000), b"\x81"], ids=range(3))
async def test_a_message_that_does_not_arrive_in_time_ends_its_socket(sent: bytes, tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with over_http(FakeDynamo(tmp_path), limits=Serving(body_seconds=0.3)) as url, half(url, sent) as stream:
            assert b"did not arrive within 0.3 seconds" in await closed(stream)


class Written(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def get_write_buffer_size(self) -> int:
        return 0

    def __init__(self) -> None:
        super().__init__()
        self.text = b""

    def write(self, data: Any) -> None:
        self.text += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


@asynccontextmanager
async def socket_of(
    heard: list[str], take: anyio.Event | None = None, **limits: Any
) -> AsyncIterator[tuple[Any, Written]]:
    """A server's end of a WebSocket, which has been opened, and what it has written.

    Args:
        heard: Is told its messages, once they are taken.
        take: When that is; None for at once.
        limits: Of `Serving`.
    """
    if take is None:
        take = anyio.Event()
        take.set()
    opened = anyio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        opened.set()
        await take.wait()
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(message["text"])

    made: Any = protocol(Serving(**limits))
    socket = made.websockets(uvicorn.Config(app, log_config=None), ServerState(), {})
    transport = Written()
    socket.connection_made(transport)
    socket.data_received(OPENING.format(host="x", who="nobody").encode())
    await opened.wait()
    transport.text = b""
    yield socket, transport
    socket.connection_lost(None)


async def test_fragments_are_one_message_and_empty_ones_take_no_memory() -> None:
    heard: list[str] = []
    with anyio.fail_after(SECONDS):
        async with socket_of(heard) as (socket, _):
            socket.data_received(frame(TEXT, b"a") + frame(MORE, b"b") + frame(MORE) * 10_000)
            assert list(map(len, socket.frames)) == [2]
            socket.data_received(frame(FINAL | MORE, b"c"))
            while not heard:
                await anyio.lowlevel.checkpoint()
    assert heard == ["abc"]


async def test_who_reads_no_answers_to_pings_is_owed_the_last() -> None:
    with anyio.fail_after(SECONDS):
        async with socket_of([]) as (socket, transport):
            socket.data_received(frame(PING, b"first"))
            socket.pause_writing()
            for number in range(1000):
                socket.data_received(frame(PING, b"%d" % number))
            assert transport.text == b"\x8a\x05first"
            socket.resume_writing()
            assert transport.text == b"\x8a\x05first\x8a\x03999"


async def test_a_client_that_leaves_after_a_ping_while_it_reads_nothing_is_told_that_it_was_heard() -> None:
    with anyio.fail_after(SECONDS):
        async with socket_of([]) as (socket, transport):
            socket.pause_writing()
            socket.data_received(frame(PING, b"ping") + frame(FINAL | CLOSE, (1000).to_bytes(2, "big")))
            assert transport.text == b"\x8a\x04ping\x88\x02\x03\xe8"
            socket.resume_writing()
            assert transport.text == b"\x8a\x04ping\x88\x02\x03\xe8"


async def test_a_message_has_all_of_its_time_again_once_the_one_before_it_is_taken() -> None:
    heard: list[str] = []
    take = anyio.Event()
    with anyio.fail_after(SECONDS):
        async with socket_of(heard, take, body_seconds=1) as (socket, transport):
            socket.data_received(frame(FINAL | TEXT, b"a") + frame(TEXT, b"b"))
            await anyio.sleep(0.8)  # of its time, in which nothing could be sent
            taken = anyio.current_time()
            take.set()
            while b"did not arrive within 1 seconds" not in transport.text:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.01)
            assert heard == ["a"]
            assert anyio.current_time() - taken >= 1


async def test_a_message_that_could_not_go_on_is_not_late() -> None:
    take = anyio.Event()
    with anyio.fail_after(SECONDS):
        async with socket_of([], take, body_seconds=0.1) as (socket, transport):
            socket.data_received(frame(FINAL | TEXT, b"a") + frame(TEXT, b"b"))
            await anyio.sleep(0.3)
            assert transport.text == b""
