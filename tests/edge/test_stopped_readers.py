"""What does a client cost that stops reading? Its own calls and its connection, a while later; others nothing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import grpc.aio
import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from dynamo_mcp.progress import Sink, Step, ignore
from dynamo_mcp.serving import Serving
from edge.joining import over_grpc, over_http
from edge.older import ACCEPTED, INITIALIZE, INITIALIZED, call, create, events, shake
from edge.raw import META, request
from edge.test_http_limits import HEAD, hello, serving, with_either_parser
from edge.test_http_polling import opened
from edge.test_messages import OPENING, by_hand, frame
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Say: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

pytestmark = pytest.mark.anyio

Way: TypeAlias = Literal["2025-11-25", "2025-03-26", "2026-07-28", "/messages/", "/poll", "/ws", "grpc"]
"""Those of dates are versions over `/mcp`."""
WAYS: tuple[Way, ...] = ("2025-11-25", "2025-03-26", "2026-07-28", "/messages/", "/poll", "/ws", "grpc")
HANDSHAKES: tuple[Way, ...] = ("2025-11-25", "2025-03-26")
MODERN = frozenset({"2026-07-28", "/ws", "grpc"})
SECONDS = 60
STALLED = 0.5
LONG = "x" * 1900
"""The name of a template, in each word of it."""
MOST = 12_000_000
"""Bytes that no kernel takes."""
KEPT = 3_000_000
"""Bytes that may wait for a client, and their overhead; what is told is a multiple."""
TOLD = 8_000_000


@asynccontextmanager
async def deaf(port: int, sent: bytes = b"", room: int = 4096) -> AsyncIterator[socket.socket]:
    """A connection of a client whose kernel takes little for it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(client, sent)
        yield client


async def until_left(client: socket.socket, asked: bytes) -> None:
    """Ask on and on, until the connection ends."""
    with suppress(ConnectionError):
        while True:
            await asyncio.get_running_loop().sock_sendall(client, asked)


async def status(port: int) -> bytes:
    """Ask on a new connection."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        with suppress(anyio.BrokenResourceError):
            await stream.send(HEAD + b"\r\n")
        return (await stream.receive())[9:12]


async def until_there_is_room(port: int) -> None:
    """See that the one connection that may be is taken, and wait until it is left."""
    assert await status(port) == b"503"
    while await status(port) != b"200":
        pass


@with_either_parser
@pytest.mark.parametrize("then", [b"", b"connection: close\r\n"])
async def test_who_takes_nothing_of_a_whole_answer_is_left(then: bytes, httptools: bool) -> None:
    answered = anyio.Event()

    async def much(_scope: Any, _receive: Any, send: Any) -> None:
        whole = b"x" * (2 if answered.is_set() else MOST)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": whole})
        answered.set()

    async with (
        serving(much, httptools, stalled_seconds=STALLED, connections=1) as port,
        deaf(port, HEAD + then + b"\r\n"),
    ):
        with anyio.fail_after(SECONDS):
            await answered.wait()
            await until_there_is_room(port)


@with_either_parser
async def test_a_websocket_whose_client_takes_nothing_is_gone_when_its_session_is(httptools: bool) -> None:
    ended = anyio.Event()

    async def tell(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await hello(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        with anyio.move_on_after(STALLED):
            while True:
                await send({"type": "websocket.send", "text": "x" * 100_000})
        ended.set()

    async with (
        serving(tell, httptools, stalled_seconds=STALLED, connections=1) as port,
        deaf(port, OPENING.format(host="x", who="nobody").encode()),
    ):
        with anyio.fail_after(SECONDS):
            await ended.wait()
            await until_there_is_room(port)


@with_either_parser
@pytest.mark.parametrize("then", [b"", b"connection: close\r\n"])
async def test_who_takes_a_whole_answer_slowly_gets_all_of_it(then: bytes, httptools: bool) -> None:
    async def much(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * MOST})

    async with (
        serving(much, httptools, stalled_seconds=STALLED) as port,
        deaf(port, HEAD + then + b"\r\n", room=1 << 16) as client,
    ):
        found = 0
        with anyio.fail_after(SECONDS):
            while found < MOST:
                chunk = await asyncio.get_running_loop().sock_recv(client, 200_000)
                assert chunk
                found += chunk.count(b"x")
                await anyio.sleep(0.01)


@with_either_parser
async def test_what_a_client_asked_for_ends_with_its_connection_though_more_waits_behind_it(httptools: bool) -> None:
    begun, left = anyio.Event(), anyio.Event()

    async def stream(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def beat() -> None:
            while True:
                await send({"type": "http.response.body", "body": b": still here\n", "more_body": True})
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            begun.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()
        left.set()

    async with serving(stream, httptools) as port:
        with anyio.fail_after(SECONDS):
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                await client.send(HEAD + b"\r\n")
                await begun.wait()
                await client.send(HEAD + b"\r\n")
                await client.receive()
            await left.wait()


@with_either_parser
@pytest.mark.parametrize("size", [30, 4000])
async def test_of_what_is_asked_behind_an_answer_that_nobody_reads_no_more_than_one_read_waits(
    size: int, httptools: bool
) -> None:
    async def much(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 40_000})

    asked = HEAD + b"x: " + b"x" * size + b"\r\n\r\n"
    async with serving(much, httptools, stalled_seconds=STALLED) as port, deaf(port) as client:
        with anyio.fail_after(SECONDS), little_is_kept():
            await until_left(client, asked * 100)


@with_either_parser
async def test_a_connection_becomes_no_websocket_while_something_is_answered(httptools: bool) -> None:
    begun, left = anyio.Event(), anyio.Event()

    async def wait(_scope: Any, receive: Any, _send: Any) -> None:
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with serving(wait, httptools) as port:
        with anyio.fail_after(SECONDS):
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                await client.send(HEAD + b"\r\n")
                await begun.wait()
                await client.send(OPENING.format(host="x", who="nobody").encode())
                if httptools:
                    await left.wait()


class Talkative(FakeDynamo):
    """A fake whose creates report much."""

    STEPS = 3000
    CHARACTERS = 10_000

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.told = 0

    async def create_project(self, *given: Any, sink: Sink = ignore, **named: Any) -> Any:
        try:
            for number in range(1, self.STEPS + 1):
                await sink(Step("render", number, self.STEPS, f"{number} ".ljust(self.CHARACTERS, "x")))
                self.told = number
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise
        return await super().create_project(*given, **named)


def posted(port: int, path: str, body: dict[str, Any], headers: dict[str, str]) -> bytes:
    """A request as it is written."""
    text = json.dumps(body).encode()
    named = ACCEPTED | headers | {"host": f"127.0.0.1:{port}", "content-length": str(len(text))}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + text


def modern(message: dict[str, Any]) -> dict[str, str]:
    """The headers of a request of 2026-07-28."""
    named = {"mcp-protocol-version": "2026-07-28", "mcp-method": message["method"]}
    return named | ({"mcp-name": message["params"]["name"]} if "name" in message["params"] else {})


async def read(client: socket.socket, until: bytes) -> bytes:
    """Read until something has come, and no byte more."""
    found = b""
    while not found.endswith(until):
        one = await asyncio.get_running_loop().sock_recv(client, 1)
        assert one, found
        found += one
    return found


async def stopped(way: Way, url: str, stack: AsyncExitStack) -> Say:
    """A client that says things, and reads nothing more of what it is told."""
    port = int(url.rpartition(":")[2])
    client = await stack.enter_async_context(httpx2.AsyncClient(timeout=SECONDS))
    if way == "grpc":
        say, _ = await stack.enter_async_context(by_hand("grpc", url))
        return lambda message: say(json.dumps(message))
    if way == "2026-07-28" or way in HANDSHAKES:
        headers = {} if way == "2026-07-28" else await shake(client, url) | {"mcp-protocol-version": way}

        async def post(message: dict[str, Any]) -> None:
            given = headers or modern(message)
            await stack.enter_async_context(deaf(port, posted(port, "/mcp", message, given)))

        return post
    if way == "/ws":
        opening = OPENING.format(host=f"127.0.0.1:{port}", who="nobody")
        heard = await stack.enter_async_context(deaf(port, opening.encode()))
        await read(heard, b"\r\n\r\n")

        async def send(message: dict[str, Any]) -> None:
            await asyncio.get_running_loop().sock_sendall(heard, frame(0x81, json.dumps(message).encode()))

        return send
    if way == "/messages/":
        asked = f"GET /sse HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n"
        heard = await stack.enter_async_context(deaf(port, asked.encode()))
        told = await read(heard, b"\r\n\r\n") + await read(heard, b"\r\n\r\n")
        target = url + told.partition(b"data: ")[2].split()[0].decode()
    else:
        target = f"{url}/poll/{(await client.post(f'{url}/poll')).json()['id']}"

    async def hand_in(message: dict[str, Any]) -> None:
        assert (await client.post(target, headers=ACCEPTED, json=message)).status_code == 202

    for message in (INITIALIZE, INITIALIZED):
        await hand_in(message)
    return hand_in


@asynccontextmanager
async def served(way: Way, fake: FakeDynamo, **limits: Any) -> AsyncIterator[str]:
    usual = {"stalled_seconds": STALLED, "poll_idle_seconds": STALLED, "session_bytes": 1 << 20}
    over = over_grpc if way == "grpc" else over_http
    async with over(fake, limits=Serving(**(usual | limits))) as url:
        yield url


@contextmanager
def little_is_kept() -> Iterator[None]:
    """Fail if more is kept at any time than a client may have waiting."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < KEPT


async def listening(way: Way, url: str, stack: AsyncExitStack) -> None:
    """A client that is told what changes, and reads nothing of it."""
    uri = f"templates://{LONG}/info"
    if way not in HANDSHAKES:
        say = await stopped(way, url, stack)
        wanted = {"toolsListChanged": True, "resourceSubscriptions": [uri]}
        listen = request(1, "subscriptions/listen", notifications=wanted)
        await say(listen if way in MODERN else call(1, "resources/subscribe", uri=uri))
        return
    client = await stack.enter_async_context(httpx2.AsyncClient(timeout=SECONDS))
    headers = await shake(client, url) | {"mcp-protocol-version": way}
    await client.post(f"{url}/mcp", headers=headers, json=call(1, "resources/subscribe", uri=uri))
    port = int(url.rpartition(":")[2])
    named = "".join(f"{name}: {value}\r\n" for name, value in (headers | {"host": f"127.0.0.1:{port}"}).items())
    heard = await stack.enter_async_context(deaf(port, f"GET /mcp HTTP/1.1\r\n{named}\r\n".encode()))
    assert b" 200 " in await read(heard, b"\r\n\r\n")


async def opens(way: Way, url: str) -> bool:
    """Whether one more may listen."""
    with suppress(InvalidStatus, grpc.aio.AioRpcError):
        async with by_hand("grpc" if way == "grpc" else "websocket", url) as (say, hear):
            await say(json.dumps(request(1, "server/discover")))
            return "result" in await hear()
    return False


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_waits_for_who_stops_reading_and_then_ends_and_others_are_answered(
    way: Way, tmp_path: Path
) -> None:
    fake = Talkative(tmp_path)
    asked = request(1, "tools/call", name="create_alpha", arguments={}, _meta=META | {"progressToken": 1})
    with anyio.fail_after(SECONDS):
        async with served(way, fake) as url, AsyncExitStack() as stack:
            say = await stopped(way, url, stack)
            other = by_hand("grpc" if way == "grpc" else "websocket", url)
            ask, answer = await stack.enter_async_context(other)
            with little_is_kept():
                await say(asked if way in MODERN else create(1, "mine"))
                number = 1
                # A client of a session may come back, and its call goes on until then.
                while not (fake.created if way in HANDSHAKES else fake.cancelled.is_set()):
                    number += 1
                    await ask(json.dumps(request(number, "server/discover")))
                    assert (await answer())["id"] == number


@pytest.mark.parametrize("way", WAYS)
async def test_who_listens_and_stops_reading_is_left_and_others_are_told(way: Way, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    places = 3 if way in HANDSHAKES else 2
    with anyio.fail_after(SECONDS):
        async with served(way, fake, caller_sessions=places) as url, AsyncExitStack() as stack:
            listener = await stack.enter_async_context(AsyncExitStack())
            await listening(way, url, listener)
            other = by_hand("grpc" if way == "grpc" else "websocket", url)
            say, hear = await stack.enter_async_context(other)
            wanted = {"resourceSubscriptions": ["templates://other/info"]}
            await say(json.dumps(request(1, "subscriptions/listen", notifications=wanted)))
            await hear()
            assert not await opens(way, url)
            told = 0
            with little_is_kept():
                while told < TOLD or not (way == "grpc" or await opens(way, url)):
                    for _ in range(500):
                        fake.register(LONG)
                        told += len(LONG)
                        await anyio.lowlevel.checkpoint()
                    fake.register("other")
                    assert (await hear())["method"] == "notifications/resources/updated"
            if way == "grpc":  # whose stream nobody can end but its client
                await anyio.sleep(STALLED)
                assert not await opens(way, url)
                await listener.aclose()
                while not await opens(way, url):
                    pass


@pytest.mark.parametrize("way", HANDSHAKES)
@pytest.mark.parametrize("kept", [True, False])
async def test_who_stopped_reading_comes_back_and_has_missed_nothing_that_was_kept(
    way: Way, kept: bool, tmp_path: Path
) -> None:
    fake = Talkative(tmp_path)
    limits = {"session_events": 10_000, "session_bytes": 1 << 26} if kept else {"session_events": 100}
    with anyio.fail_after(SECONDS):
        async with served(way, fake, **limits) as url, httpx2.AsyncClient(timeout=SECONDS) as client:
            headers = await shake(client, url) | {"mcp-protocol-version": way}
            port = int(url.rpartition(":")[2])
            async with deaf(port, posted(port, "/mcp", create(1, "mine"), headers)) as heard:
                told = (await read(heard, b'"progress":1,')).decode()
                while not fake.created:
                    # Others of its session are held up no longer than itself.
                    await client.post(f"{url}/mcp", headers=headers, json=call(2, "ping"))
                last = re.findall(r"id: (\S+)", told)[-1]
                resumed = headers | {"last-event-id": last}
                async with client.stream("GET", f"{url}/mcp", headers=resumed) as response:
                    rest = [event.message async for event in events(response)]
            answer = await client.post(f"{url}/mcp", headers=headers, json=call(3, "tools/list"))
            assert "create_alpha" in answer.text
    if kept:
        assert [each["params"]["progress"] for each in rest[:-1]] == list(range(2, fake.STEPS + 1))
        assert rest[-1]["result"]["structuredContent"]["id"] == "7"
    else:
        assert rest == []


@pytest.mark.parametrize("way", ["2025-11-25", "2025-03-26", "2026-07-28", "/poll"])
async def test_who_asks_on_and_on_and_reads_nothing_is_left(way: Way, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with served(way, fake) as url, httpx2.AsyncClient(timeout=SECONDS) as client:
            port = int(url.rpartition(":")[2])
            listing = request(1, "tools/list") if way == "2026-07-28" else call(1, "tools/list")
            headers = modern(listing)
            if way in HANDSHAKES:
                headers = await shake(client, url) | {"mcp-protocol-version": way}
            asked = posted(port, "/mcp", listing, headers)
            if way == "/poll":
                address = await opened(client, url)
                await client.post(address, json=listing)
                target = address.removeprefix(url)
                asked = f"GET {target}?cursor=1 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
            with little_is_kept():
                async with deaf(port) as plain:
                    await until_left(plain, asked)
            answer = await client.post(f"{url}/mcp", headers=ACCEPTED | headers, json=listing)
            assert way == "/poll" or "create_alpha" in answer.text
