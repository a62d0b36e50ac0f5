"""What happens to requests that are too large, too deep, too slow, too many; and to who reads no more?"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.bounds import too_deep
from dynamo_mcp.transports.connections import protocol
from dynamo_mcp.transports.shares import Shares, TooMuch
from edge.framed import websocket_client
from edge.joining import over_http
from edge.older import create, shake
from edge.raw import META, request
from edge.test_http import DISCOVER
from edge.test_http_resuming import Named
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

with_either_parser = pytest.mark.parametrize("httptools", [True, False])
HELLO = request(1, "server/discover")
LISTEN = request(1, "subscriptions/listen", notifications={"toolsListChanged": True})
HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app: Any, httptools: bool, **limits: Any) -> AsyncIterator[int]:
    """Serve an app with bounded connections; yields the port."""
    made: Any = protocol(Serving(**limits), httptools=httptools)
    config = uvicorn.Config(app, log_config=None, timeout_keep_alive=5)
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: made(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]
        for connection in list(state.connections):
            connection.transport.abort()


async def rest(stream: anyio.abc.ByteReceiveStream) -> bytes:
    """Return what comes until the connection ends."""
    found = b""
    with anyio.fail_after(20):
        try:
            async for chunk in stream:
                found += chunk
        except anyio.BrokenResourceError:
            pass
    return found


@with_either_parser
@pytest.mark.parametrize("sent", [b"", b"G", HEAD, HEAD + b"\r\n" + HEAD])
async def test_a_head_that_does_not_arrive_ends_the_connection(sent: bytes, httptools: bool) -> None:
    async with (
        serving(hello, httptools, head_seconds=0.2) as port,
        await anyio.connect_tcp("127.0.0.1", port) as client,
    ):
        if sent:
            await client.send(sent)
        assert (await rest(client)).count(b"200 OK") == sent.count(b"\r\n\r\n")


@with_either_parser
async def test_a_websocket_lasts_longer_than_a_head_may_take(httptools: bool) -> None:
    async def repeat(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    async with serving(repeat, httptools, head_seconds=0.2) as port, connect(f"ws://127.0.0.1:{port}") as client:
        await anyio.sleep(0.5)
        await client.send("still here")
        assert await client.recv() == "still here"


@with_either_parser
async def test_a_websocket_with_a_line_in_its_head_that_is_too_long_is_told_so(httptools: bool) -> None:
    with anyio.fail_after(20):
        async with serving(hello, httptools) as port:
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://127.0.0.1:{port}", additional_headers={"x": "y" * 10_000}):
                    pass
            assert refused.value.response.status_code == 431


@with_either_parser
async def test_one_that_is_too_long_is_refused_before_it_ends(httptools: bool) -> None:
    async with (
        serving(hello, httptools, head_bytes=1000) as port,
        await anyio.connect_tcp("127.0.0.1", port) as client,
    ):
        with anyio.fail_after(20):
            try:
                while True:
                    await client.send(b"GET / HTTP/1.1\r\nx: ".ljust(600, b"y"))
                    await anyio.lowlevel.checkpoint()
            except anyio.BrokenResourceError:
                pass


@with_either_parser
async def test_a_header_ends_where_its_value_does(httptools: bool) -> None:
    async def tell(scope: Any, _receive: Any, send: Any) -> None:
        said = dict(scope["headers"])[b"said"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"<" + said + b">"})

    async with serving(tell, httptools) as port, await anyio.connect_tcp("127.0.0.1", port) as client:
        await client.send(HEAD + b"said: \t a b \t \r\n\r\n")
        assert b"<a b>" in await rest(client)


@with_either_parser
async def test_so_many_connections_are_open_and_no_more(httptools: bool) -> None:
    async with serving(hello, httptools, connections=2) as port:
        streams = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(3)]
        answer = await rest(streams[2])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        await streams[0].aclose()
        await streams[1].send(HEAD + b"\r\n")
        with anyio.fail_after(20):
            assert (await streams[1].receive()).startswith(b"HTTP/1.1 200 ")
        for stream in streams:
            await stream.aclose()


@with_either_parser
async def test_one_address_has_so_many_connections_and_others_get_in(httptools: bool) -> None:
    async with serving(hello, httptools, address_connections=2) as port, AsyncExitStack() as stack:

        async def connected(address: str) -> anyio.abc.SocketStream:
            return await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port, local_host=address))

        one, two = await connected("127.0.0.2"), await connected("127.0.0.2")
        for _ in range(3):
            answer = await rest(await connected("127.0.0.2"))
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer
        for stream in (one, two, await connected("127.0.0.3")):
            await stream.send(HEAD + b"\r\n")
            with anyio.fail_after(20):
                assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")
        await one.aclose()
        with anyio.fail_after(20):  # until it is noticed
            while not (await rest_of(await connected("127.0.0.2"))).startswith(b"HTTP/1.1 200 "):
                pass


async def rest_of(stream: anyio.abc.SocketStream) -> bytes:
    """Ask once, and return all that is answered."""
    with suppress(anyio.BrokenResourceError):
        await stream.send(HEAD + b"connection: close\r\n\r\n")
    return await rest(stream)


@pytest.mark.parametrize(("proxies", "refused"), [((), True), (("127.0.0.1",), False)])
async def test_websockets_of_one_address_count_and_none_do_behind_a_proxy(
    proxies: tuple[str, ...], refused: bool, tmp_path: Path
) -> None:
    limits = Serving(address_connections=1)
    async with over_http(FakeDynamo(tmp_path), limits=limits, trusted_proxies=proxies) as url:
        port = int(url.rpartition(":")[2])
        async with websocket_client(url), await anyio.connect_tcp("127.0.0.1", port) as stream:
            answer = await rest_of(stream)
            assert answer.startswith(b"HTTP/1.1 503 ") == refused, answer
        with anyio.fail_after(20):  # and one that has ended counts no more
            while True:
                async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                    if not (await rest_of(stream)).startswith(b"HTTP/1.1 503 "):
                        break


async def test_over_a_unix_socket_nobody_has_an_address_that_could_be_limited(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with (
        over_http(FakeDynamo(tmp_path), limits=Serving(address_connections=1), uds=path),
        await anyio.connect_unix(path),
        await anyio.connect_unix(path) as stream,
    ):
        await stream.send(HEAD.replace(b"x", b"localhost") + b"connection: close\r\n\r\n")
        assert (await rest(stream)).startswith(b"HTTP/1.1 404 ")


@with_either_parser
async def test_who_reads_no_more_is_left_and_little_waits_for_them(httptools: bool) -> None:
    sent = 0
    left = anyio.Event()

    async def flood(_scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def write() -> None:
            nonlocal sent
            while True:
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
                sent += 10_000
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()
        left.set()

    async with serving(flood, httptools, stalled_seconds=0.2) as port:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(client, HEAD + b"\r\n")
        with anyio.fail_after(20):
            await left.wait()
        client.close()
    assert 0 < sent < 8_000_000  # what the kernel takes, and no more


@with_either_parser
async def test_who_reads_slowly_gets_everything(httptools: bool) -> None:
    whole = 12_000_000

    async def much(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * whole, "more_body": True})
        await send({"type": "http.response.body", "body": b"the end"})

    async with serving(much, httptools, stalled_seconds=0.5) as port:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.setblocking(False)  # noqa: FBT003
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, HEAD + b"connection: close\r\n\r\n")
        found = b""
        with anyio.fail_after(30):
            while chunk := await loop.sock_recv(client, 200_000):
                found += chunk
                await anyio.sleep(0.01)
        client.close()
    assert b"the end" in found
    assert found.count(b"x") >= whole


async def test_a_body_that_does_not_arrive_in_time_is_refused(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path), limits=Serving(body_seconds=0.2, head_seconds=0.5)) as url:
        port = int(url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 9\r\n\r\n{{".encode())
            assert (await rest(client)).startswith(b"HTTP/1.1 408 ")


async def test_what_is_too_large_or_too_deep_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    limits = Serving(body_bytes=2000, head_bytes=1500, body_depth=10)
    deep = json.dumps(HELLO | {"x": None}).replace("null", "[" * 10 + "]" * 10)
    strings = json.dumps(HELLO | {"x": '[{"\\' * 50})

    async def chunked() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    async with over_http(FakeDynamo(tmp_path), limits=limits) as url, httpx2.AsyncClient(timeout=20) as client:
        for path in ("/mcp", "/poll/x", "/messages/"):
            for content, headers, status in (
                (b" " * 2001, {}, 413),
                (chunked(), {}, 413),
                (deep, {}, 400),
                (b"", {"x": "y" * 1600}, 431),
            ):
                answer = await client.post(url + path, headers=DISCOVER | headers, content=content)
                assert answer.status_code == status, (path, status)
                assert "error" in answer.json()
        answer = await client.post(f"{url}/mcp", headers=DISCOVER, content=strings)
        assert answer.status_code == 200


async def test_bodies_have_so_many_bytes_together(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    limits = Serving(total_body_bytes=1500)
    creates = DISCOVER | {"mcp-method": "tools/call", "mcp-name": "create_alpha"}
    call = request(1, "tools/call", name="create_alpha", arguments={"project_name": HELD}, _meta=META)
    async with over_http(fake, limits=limits) as url, httpx2.AsyncClient(timeout=20) as client:
        body = json.dumps(call).ljust(1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.post(f"{url}/mcp", headers=creates, content=body))
            with anyio.fail_after(20):
                await fake.held.acquire()
                answer = await client.post(f"{url}/mcp", headers=DISCOVER, content=json.dumps(HELLO).ljust(1000))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                fake.release()
        answer = await client.post(f"{url}/mcp", headers=DISCOVER, content=json.dumps(HELLO).ljust(1000))
        assert answer.status_code == 200


async def test_each_caller_has_a_share_of_requests(tmp_path: Path) -> None:
    limits = Serving(caller_requests_per_second=0.5)
    async with (
        over_http(FakeDynamo(tmp_path), limits=limits, authenticators=(Named(),)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        headers = DISCOVER | {"authorization": "one"}
        answers = [await client.post(f"{url}/mcp", headers=headers, json=HELLO) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
        other = DISCOVER | {"authorization": "other"}
        assert (await client.post(f"{url}/mcp", headers=other, json=HELLO)).status_code == 200


async def test_websockets_are_counted_too(tmp_path: Path) -> None:
    limits = Serving(caller_requests_per_second=0.1)
    async with over_http(FakeDynamo(tmp_path), limits=limits) as url, websocket_client(url):
        with pytest.raises(InvalidStatus, match="429"):
            async with websocket_client(url):
                pass


async def test_each_caller_has_so_many_requests_under_way_and_may_listen_besides(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    limits = Serving(caller_requests=2)
    async with over_http(fake, limits=limits) as url, httpx2.AsyncClient(timeout=20) as client:
        headers = await shake(client, url)
        listening = DISCOVER | {"mcp-method": "subscriptions/listen"}
        with anyio.fail_after(20):
            async with (
                client.stream("GET", f"{url}/mcp", headers=headers) as older,
                client.stream("POST", f"{url}/mcp", headers=listening, json=LISTEN) as newer,
                client.stream("POST", f"{url}/mcp", headers=headers, json=create(1, HELD)) as creating,
                client.stream("POST", f"{url}/mcp", headers=headers, json=create(2, HELD)) as another,
            ):
                assert {older.status_code, newer.status_code, creating.status_code} == {200}
                for _ in range(2):
                    await fake.held.acquire()
                answer = await client.post(f"{url}/mcp", headers=DISCOVER, json=HELLO)
                assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
                fake.release()
                for stream in (creating, another):
                    async for _ in stream.aiter_raw():
                        pass
            answer = await client.post(f"{url}/mcp", headers=DISCOVER, json=HELLO)
            assert answer.status_code == 200


async def test_too_many_sessions_are_told_when_to_come_back(tmp_path: Path) -> None:
    async with (
        over_http(FakeDynamo(tmp_path), limits=Serving(sessions=1)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        await shake(client, url)
        with pytest.raises(AssertionError, match="Too many open sessions"):
            await shake(client, url)
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
        accept = {"accept": "application/json, text/event-stream"}
        assert (await client.post(f"{url}/mcp", headers=accept, json=hello)).headers["retry-after"] == "1"


async def test_a_share_fills_again_and_few_are_remembered() -> None:
    shares = Shares(Serving(caller_requests_per_second=100))
    with pytest.raises(TooMuch):  # noqa: PT012 - how many fit depends on the time they take
        for _ in range(1_000_000):
            shares.spend("one")
    for number in range(20_000):
        shares.spend(f"caller {number}")
    shares.spend("one")  # it is forgotten, and begins anew
    assert len(shares._rates) <= 10_000  # noqa: SLF001


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(
    st.recursive(
        st.none() | st.text('[]{}"\\a'),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\a'), inner, max_size=3),
    ),
    st.integers(0, 6),
)
def test_depth_is_known_without_parsing(value: Any, most: int) -> None:
    assert too_deep(json.dumps(value, ensure_ascii=False).encode(), most) == (depth(value) > most)
