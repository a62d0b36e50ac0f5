"""What does a client reach that means harm? A refusal; and everybody else goes on, on every path."""

from __future__ import annotations

import json
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import grpc.aio
import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dynamo_mcp.quiet import LINES
from dynamo_mcp.serving import Serving
from dynamo_mcp.transports import under_way
from edge.framed import CONNECT
from edge.joining import over_grpc, over_http
from edge.older import ACCEPTED, INITIALIZE, INITIALIZED, WAYS, Way, call, create, shake
from edge.raw import request
from edge.test_http import DISCOVER
from edge.test_http_limits import HELLO, LISTEN, rest
from edge.test_http_polling import opened
from edge.test_http_resuming import Named
from edge.test_messages import by_hand
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.anyio

SECONDS = 30
on_every_path = pytest.mark.parametrize("path", WAYS)
EVERY_ADDRESS = ("/mcp", "/sse", "/messages/", "/poll", "/poll/x", "/ws", "/metrics", "/nothing")
Say: TypeAlias = "Callable[[str], Awaitable[None]]"


def cancelled(number: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})


@asynccontextmanager
async def sse(client: httpx2.AsyncClient, url: str, **headers: str) -> AsyncIterator[tuple[str, Any]]:
    """A session of SSE, before its handshake: where to send messages, and the lines of its stream."""
    async with client.stream("GET", f"{url}/sse", headers=headers) as stream:
        assert stream.status_code == 200, stream.status_code
        lines = stream.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                yield url + line.removeprefix("data: "), lines
                return


@asynccontextmanager
async def saying(path: Way, url: str, client: httpx2.AsyncClient, **headers: str) -> AsyncIterator[Say]:
    """Say whatever it is on a path, in a session; what is answered is read and dropped."""
    async with AsyncExitStack() as stack:
        if path in {"/ws", "grpc"}:
            kind: Any = "websocket" if path == "/ws" else "grpc"
            say, hear = await stack.enter_async_context(by_hand(kind, url))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)

            async def drop() -> None:
                with suppress(ConnectionClosed, grpc.aio.AioRpcError, AssertionError):
                    while True:
                        await hear()

            tasks.start_soon(drop)
            yield say
            return
        sent = ACCEPTED | headers
        if path == "/mcp":
            sent, target = await shake(client, url, headers), f"{url}/mcp"
        elif path == "/poll":
            target = await opened(client, url, **headers)
        else:
            target, lines = await stack.enter_async_context(sse(client, url, **headers))
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)

            async def read() -> None:
                async for _ in lines:
                    pass

            tasks.start_soon(read)
            for message in (INITIALIZE, INITIALIZED):
                assert (await client.post(target, headers=sent, json=message)).status_code == 202

        async def post(text: str) -> None:
            answer = await client.post(target, headers=sent, content=text)
            assert answer.status_code < 500, answer.text

        yield post


@asynccontextmanager
async def served(path: Way, fake: FakeDynamo, **limits: Any) -> AsyncIterator[str]:
    over = over_grpc if path == "grpc" else over_http
    async with over(fake, limits=Serving(**limits)) as address:
        yield address


async def check_goes_on(path: Way, url: str, client: httpx2.AsyncClient) -> None:
    """Another client is answered, soon."""
    with anyio.fail_after(SECONDS / 3):
        if path == "grpc":
            async with by_hand("grpc", url) as (say, hear):
                await say(json.dumps(HELLO))
                assert "result" in await hear()
        else:
            answer = await client.post(f"{url}/mcp", headers=DISCOVER, json=HELLO)
            assert answer.status_code == 200, answer.text


_NO_NUMBERS: tuple[object, ...] = ([], {}, None, 1.5, True, "x" * 10_000)
NONSENSE = (
    "[]",
    f"[{json.dumps(HELLO)}]",
    "\x00",
    "1e999",
    '"\\ud800"',
    json.dumps(call(1, "tools/call", name="\ud800", arguments={"\udfff": "\ud800"})),
    '{"jsonrpc":"2.0","id":1e999,"method":"x"}',
    '{"jsonrpc":"2.0","id":' + "9" * 5000 + ',"method":"ping"}',
    json.dumps(call(1, "x" * 100_000)),
    json.dumps(call(1, "tools/call", name="create_alpha\r\nset-cookie: a=b", arguments={})),
    *(cancelled(each) for each in _NO_NUMBERS),
    '{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":[]}}',
    '{"jsonrpc":"2.0","id":1,"result":{}}',
    '{"jsonrpc":"2.0","id":[],"result":{}}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":1e9,"message":[]}}',
)


@on_every_path
async def test_nonsense_of_every_kind_ends_no_session_of_anybody(path: Way, tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with (
            served(path, FakeDynamo(tmp_path)) as url,
            httpx2.AsyncClient(timeout=20) as client,
            saying(path, url, client) as say,
        ):
            for each in NONSENSE:
                await say(each)
            await check_goes_on(path, url, client)


@on_every_path
async def test_a_message_that_is_too_deep_is_refused_on_every_path(path: Way, tmp_path: Path) -> None:
    deep = json.dumps(call(1, "ping", x=None)).replace("null", "[" * 70 + "]" * 70)
    with anyio.fail_after(SECONDS):
        async with served(path, FakeDynamo(tmp_path)) as url, httpx2.AsyncClient(timeout=20) as client:
            if path in {"/ws", "grpc"}:
                async with by_hand("websocket" if path == "/ws" else "grpc", url) as (say, hear):
                    await say(deep)
                    assert "deeper than 64" in (await hear())["error"]["message"]
                    await say(json.dumps(HELLO))
                    assert "result" in await hear()
            else:
                answer = await client.post(f"{url}{path}", headers=ACCEPTED, content=deep)
                assert answer.status_code == (405 if path == "/poll" else 400) or path == "/poll"
            await check_goes_on(path, url, client)


@pytest.mark.parametrize("path", ["/messages/", "/poll"])
async def test_a_flood_of_cancels_changes_nothing_for_others(path: Way, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    number = 2000 if path in {"/ws", "grpc"} else 200
    with anyio.fail_after(SECONDS * 2):
        async with (
            served(path, fake) as url,
            httpx2.AsyncClient(timeout=20) as client,
            saying(path, url, client) as theirs,
            saying(path, url, client) as say,
        ):
            await theirs(json.dumps(create(1, HELD) if path not in {"/ws", "grpc"} else _create(1)))
            await fake.held.acquire()
            for each in range(number):
                await say(cancelled(each))
            await check_goes_on(path, url, client)
            assert not fake.cancelled.is_set()
            fake.release()


def _create(number: int) -> dict[str, Any]:
    return request(number, "tools/call", name="create_alpha", arguments={"project_name": HELD})


async def test_nobody_cancels_a_request_of_another_session(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake) as url, httpx2.AsyncClient(timeout=20) as client, anyio.create_task_group() as tasks:
        with anyio.fail_after(SECONDS):
            mine, theirs = await shake(client, url), await shake(client, url)
            answers: list[httpx2.Response] = []

            async def wait() -> None:
                answers.append(await client.post(f"{url}/mcp", headers=theirs, json=create(1, HELD)))

            tasks.start_soon(wait)
            await fake.held.acquire()
            for number in range(200):
                await client.post(f"{url}/mcp", headers=mine, content=cancelled(number))
            await client.post(f"{url}/mcp", headers=DISCOVER, content=cancelled(1))
            assert not fake.cancelled.is_set()
            fake.release()
            while not answers:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            assert '"isError":true' not in answers[0].text


@pytest.mark.parametrize("path", ["/messages/"])
async def test_one_identifier_is_of_one_request_at_a_time(path: Way, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with (
            served(path, fake) as url,
            httpx2.AsyncClient(timeout=20) as client,
            saying(path, url, client) as say,
        ):
            for _ in range(100):
                await say(json.dumps(create(1, HELD) if path == "/messages/" else _create(1)))
            await fake.held.acquire()
            await check_goes_on(path, url, client)
            with pytest.raises(anyio.WouldBlock):
                fake.held.acquire_nowait()
            fake.release()


async def test_a_session_of_sse_has_so_many_requests_under_way_and_no_more(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with (
            over_http(fake) as url,
            httpx2.AsyncClient(timeout=20) as client,
            sse(client, url) as (target, lines),
        ):
            for message in (INITIALIZE, INITIALIZED, *(create(n, HELD) for n in range(1, under_way.UNDER_WAY + 1))):
                assert (await client.post(target, json=message)).status_code == 202
            assert (await client.post(target, json=call(1000, "ping"))).status_code == 202
            async for line in lines:
                if '"id":1000' in line:
                    assert under_way.TOO_MANY in line
                    break
            await client.post(target, headers=ACCEPTED, content=cancelled(1))
            number, told = 1000, ""
            while '"result":{}' not in told:  # until the cancelled one has ended
                number += 1
                assert (await client.post(target, json=call(number, "ping"))).status_code == 202
                async for line in lines:
                    if f'"id":{number}' in line:
                        told = line
                        break
            fake.release()


@pytest.mark.parametrize("kind", ["/ws", "grpc"])
async def test_messages_of_connections_have_so_many_bytes_together(kind: Way, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    big = json.dumps(_create(1)).ljust(1000)
    with anyio.fail_after(SECONDS):
        async with served(kind, fake, total_body_bytes=1500) as url:
            by: Any = "websocket" if kind == "/ws" else "grpc"
            async with by_hand(by, url) as (other, hear):
                async with by_hand(by, url) as (say, _):
                    await say(big)
                    await fake.held.acquire()
                    await other(json.dumps(HELLO).ljust(1000))
                    assert "too much is under way" in (await hear())["error"]["message"]
                await fake.cancelled.wait()  # who leaves takes nothing any more
                answer: dict[str, Any] = {}
                while "result" not in answer:
                    await other(json.dumps(HELLO).ljust(1000))
                    answer = await hear()


@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
async def test_what_was_posted_counts_until_it_is_done_also_when_it_was_answered_or_its_client_left(
    path: Way, tmp_path: Path
) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with (
            served(path, fake, total_body_bytes=1500) as url,
            httpx2.AsyncClient(timeout=20) as client,
            saying(path, url, client) as say,
        ):

            async def post() -> None:
                await say(json.dumps(create(1, HELD)).ljust(1000))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(post)
                await fake.held.acquire()
                if path == "/mcp":
                    tasks.cancel_scope.cancel()  # of a handshake version, whose calls go on

            async def ask() -> httpx2.Response:
                return await client.post(f"{url}/mcp", headers=DISCOVER, content=json.dumps(HELLO).ljust(1000))

            # Until the server has noticed that its client has left, and as long as the call goes on.
            await _until(ask, 503)
            for _ in range(5):
                assert (await ask()).status_code == 503
            assert not fake.cancelled.is_set()
            fake.release()
            await _until(ask, 200)


@pytest.mark.parametrize("path", ["/mcp", "/messages/", "/poll", "/ws", "grpc"])
async def test_nonsense_floods_no_log(path: Way, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with anyio.fail_after(SECONDS):
        async with (
            served(path, FakeDynamo(tmp_path)) as url,
            httpx2.AsyncClient(timeout=20) as client,
            saying(path, url, client) as say,
        ):
            for each in ("{", *NONSENSE) * 3:
                await say(each)
            if path == "/messages/":
                for query in ("", "?session_id=", "?session_id=x%0a2026 ERROR root: forged", f"?session_id={'0' * 32}"):
                    answer = await client.post(f"{url}/messages/{query}", headers=ACCEPTED, json=HELLO)
                    assert answer.status_code == 404
            await check_goes_on(path, url, client)
    said = [f"{record.name}: {record.getMessage()}" for record in caplog.records]
    assert len(said) <= 2 * LINES, said
    assert not [record for record in caplog.records if record.levelno > logging.WARNING or record.exc_info], said


async def test_one_caller_keeps_so_much_open_and_others_go_on(tmp_path: Path) -> None:
    limits = Serving(caller_sessions=5)
    one, other = {"authorization": "one"}, {"authorization": "other"}
    async with (
        over_http(FakeDynamo(tmp_path), limits=limits, authenticators=(Named(),)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        with anyio.fail_after(SECONDS):
            for _ in range(2):  # and all of it is given back
                async with AsyncExitStack() as stack:
                    session = await shake(client, url, one)
                    address = await opened(client, url, **one)
                    await stack.enter_async_context(sse(client, url, **one))
                    listening = DISCOVER | one | {"mcp-method": "subscriptions/listen"}
                    stream = client.stream("POST", f"{url}/mcp", headers=listening, json=LISTEN)
                    assert (await stack.enter_async_context(stream)).status_code == 200
                    await stack.enter_async_context(_socket(url, one))
                    for answer in (
                        await client.get(f"{url}/sse", headers=one),
                        await client.get(f"{url}/mcp", headers=session),
                        await client.post(f"{url}/mcp", headers=listening, json=LISTEN),
                        await client.post(f"{url}/poll", headers=one),
                        await client.get(address, headers=one),
                        await client.post(f"{url}/mcp", headers=ACCEPTED | one, json=INITIALIZE),
                    ):
                        assert answer.status_code in {429, 503}, answer.url
                        assert answer.headers["retry-after"] == "1"
                    with pytest.raises(InvalidStatus, match="429"):
                        await stack.enter_async_context(_socket(url, one))
                    await shake(client, url, other)
                    await opened(client, url, **other)
                    assert (await client.post(f"{url}/mcp", headers=DISCOVER | one, json=HELLO)).status_code == 200
                assert (await client.delete(f"{url}/mcp", headers=session)).status_code == 200
                await _until(lambda: client.delete(address, headers=one), 204)  # noqa: B023
                await _until(lambda: client.get(address, headers=one), 404)  # noqa: B023


async def _until(ask: Callable[[], Awaitable[httpx2.Response]], status: int) -> None:
    """Ask until what was open a moment before has been noticed to be closed."""
    while (await ask()).status_code != status:  # noqa: ASYNC110
        await anyio.sleep(0.01)


def _socket(url: str, headers: dict[str, str]) -> Any:
    return connect(f"ws{url.removeprefix('http')}/ws", subprotocols=["mcp"], additional_headers=headers)  # type: ignore[list-item]


async def test_over_grpc_too_a_caller_has_so_many_sessions_and_so_much_metadata(tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with served("grpc", FakeDynamo(tmp_path), caller_sessions=1, head_bytes=2000) as address:
            async with by_hand("grpc", address) as (say, hear):
                await say(json.dumps(HELLO))
                await hear()
                for metadata, code in (((), "RESOURCE_EXHAUSTED"), ((("x", "y" * 3000),), "RESOURCE_EXHAUSTED")):
                    async with grpc.aio.insecure_channel(address) as channel:
                        stream: Any = channel.stream_stream(CONNECT)(metadata=metadata)
                        with pytest.raises(grpc.aio.AioRpcError) as refused:
                            await stream.read()
                    assert refused.value.code().name == code
            answer: dict[str, Any] = {}
            while not answer:  # until it is noticed that the first has left
                with suppress(grpc.aio.AioRpcError):
                    async with by_hand("grpc", address) as (say, hear):
                        await say(json.dumps(HELLO))
                        answer = await hear()


async def test_over_grpc_so_many_connections_are_open_and_no_more(tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with served("grpc", FakeDynamo(tmp_path), connections=1) as address:
            host, _, port = address.rpartition(":")
            async with by_hand("grpc", address) as (say, hear):
                await say(json.dumps(HELLO))
                assert "result" in await hear()
                async with await anyio.connect_tcp(host, int(port)) as another:
                    assert await rest(another) == b""
                await say(json.dumps(HELLO))
                assert "result" in await hear()


async def test_what_is_no_text_is_refused_over_grpc_and_the_next_one_counts(tmp_path: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with served("grpc", FakeDynamo(tmp_path)) as address:
            for content in (b"\x0a\x02\xff\xff", b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f"):
                async with grpc.aio.insecure_channel(address) as channel:
                    stream: Any = channel.stream_stream(CONNECT)()
                    await stream.write(content)
                    with pytest.raises(grpc.aio.AioRpcError):  # noqa: PT012
                        assert await stream.read() is not grpc.aio.EOF
                        raise AssertionError
            async with by_hand("grpc", address) as (say, hear):
                await say(json.dumps(HELLO))
                assert "result" in await hear()


async def test_text_that_is_none_ends_the_socket_that_sent_it(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient(timeout=20) as client:
        with anyio.fail_after(SECONDS):
            async with _socket(url, {}) as socket:
                await socket.send(b"\xff\xff", text=True)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1007
            await check_goes_on("/ws", url, client)


def _names(port: int) -> str:
    return f"host: 127.0.0.1:{port}"


AMBIGUOUS = (
    "host: evil.example",
    "origin: http://127.0.0.1:{port}\r\norigin: http://evil.example",
    "content-length: 0\r\ncontent-length: 1",
    "content-length: 5\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "transfer-encoding: xchunked",
    "transfer-encoding : chunked",
    "content-length: +0",
    "x: a\rtransfer-encoding: chunked",
    "x: a\0b",
)


@pytest.mark.parametrize("extra", AMBIGUOUS)
@pytest.mark.parametrize("path", EVERY_ADDRESS)
async def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_heard(
    path: str, extra: str, tmp_path: Path
) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url:
        port = int(url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            behind = f"GET /healthz HTTP/1.1\r\n{_names(port)}\r\nconnection: close\r\n\r\n"
            head = f"POST {path} HTTP/1.1\r\n{_names(port)}\r\n{extra.format(port=port)}\r\n\r\n0\r\n\r\n"
            await client.send((head + behind).encode())
            await client.send_eof()
            found = await rest(client)
        assert found.startswith(b"HTTP/1.1 400 ")
        assert b"200 OK" not in found


@pytest.mark.parametrize("path", EVERY_ADDRESS)
async def test_names_of_others_are_refused_at_every_address(path: str, tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient() as client:
        for method in ("GET", "POST", "DELETE", "OPTIONS", "PUT"):
            answer = await client.request(method, url + path, headers={"host": "rebound.example"})
            assert answer.status_code == 421, method
            answer = await client.request(method, url + path, headers={"origin": "http://evil.example"})
            assert answer.status_code == 403, method
            assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_the_health_says_nothing_to_a_page_that_asks(path: str, tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient() as client:
        answer = await client.get(url + path, headers={"origin": "http://evil.example", "host": "rebound.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert str(tmp_path) not in answer.text


async def test_ids_that_are_forged_or_another_s_are_as_if_there_were_none(tmp_path: Path) -> None:
    one, other = {"authorization": "one"}, {"authorization": "other"}
    async with (
        over_http(FakeDynamo(tmp_path), authenticators=(Named(),)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        with anyio.fail_after(SECONDS):
            session, address = await shake(client, url, one), await opened(client, url, **one)
            async with sse(client, url, **one) as (target, _):
                stolen = {"mcp-session-id": session["mcp-session-id"]}
                ping = call(1, "ping")
                for headers in (
                    session | other,
                    session | {"mcp-session-id": "0" * 32},
                    session | {"mcp-session-id": "a b"},
                ):
                    for method in ("GET", "POST", "DELETE"):
                        kind = {"json": ping} if method == "POST" else {}
                        answer = await client.request(method, f"{url}/mcp", headers=headers, **kind)  # type: ignore[arg-type]
                        assert answer.status_code in {400, 404}, (headers, method)
                        assert answer.status_code == 404 or " " in headers["mcp-session-id"]
                modern = await client.post(f"{url}/mcp", headers=DISCOVER | other | stolen, json=HELLO)
                assert modern.status_code == 200  # there are no sessions, and none was looked at
                forged = f"{url}/messages/?session_id=" + "0" * 32
                for where in (target, forged, f"{url}/messages/?session_id=x", f"{url}/messages/"):
                    answer = await client.post(where, headers=ACCEPTED | other, json=ping)
                    assert answer.status_code in {400, 404}
                for where in (address, f"{url}/poll/{'0' * 32}", f"{url}/poll/%00", f"{url}/poll/..%2fmcp"):
                    for method in ("GET", "POST", "DELETE"):
                        kind = {"json": ping} if method == "POST" else {}
                        answer = await client.request(method, where, headers=other, **kind)  # type: ignore[arg-type]
                        assert answer.status_code in {404, 405}, (where, method)
                # All of it is still there for whom it belongs to.
                assert (await client.post(f"{url}/mcp", headers=session, json=ping)).status_code == 200
                assert (await client.post(address, headers=one, json=ping)).status_code == 202
                assert (await client.post(target, headers=ACCEPTED | one, json=ping)).status_code == 202


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def test_connections_that_are_left_half_open_are_let_go(tmp_path: Path) -> None:
    limits = Serving(head_seconds=0.3, body_seconds=0.3)
    async with over_http(FakeDynamo(tmp_path), limits=limits) as url, httpx2.AsyncClient() as client:
        port, pid = int(url.rpartition(":")[2]), os.getpid()
        await check_goes_on("/mcp", url, client)
        before = _descriptors(pid)
        head = f"POST /mcp HTTP/1.1\r\n{_names(port)}\r\n"
        sent = ("", "P", head, f"{head}content-length: 9\r\n\r\n", f"{head}transfer-encoding: chunked\r\n\r\n5\r\nab")
        with anyio.fail_after(SECONDS):
            for half in (False, True):
                streams = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(20) for _ in sent]
                for stream, text in zip(streams, sent * 20, strict=True):
                    if text:
                        await stream.send(text.encode())
                    if half:
                        await stream.send_eof()
                await check_goes_on("/mcp", url, client)
                for stream in streams:
                    await rest(stream)
                    await stream.aclose()
            while _descriptors(pid) > before + 2:  # noqa: ASYNC110
                await anyio.sleep(0.05)
