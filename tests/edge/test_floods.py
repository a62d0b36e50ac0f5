"""What does a client reach that asks, cancels and opens without end? What it may have, and nobody has less for it."""

from __future__ import annotations

import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import grpc.aio
import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dynamo_mcp.serving import Serving
from dynamo_mcp.transports import under_way
from edge.joining import over_grpc, over_http
from edge.older import ACCEPTED, INITIALIZE, INITIALIZED, WAYS, Way, call, create, shake
from edge.raw import request
from edge.test_http_limits import HELLO
from edge.test_http_polling import opened
from edge.test_messages import by_hand
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

SECONDS = 60
over_every_way = pytest.mark.parametrize("way", WAYS)
MODERN = frozenset({"/ws", "grpc"})
"""Ways on which these tests speak 2026-07-28; on the others a version with sessions."""


def cancelled(number: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}


class Talk:
    """One connection or session of a client that reads what comes."""

    def __init__(self, way: Way, send: Callable[[str], Awaitable[None]]) -> None:
        self.modern = way in MODERN
        self._send = send
        self.said, self._answers = anyio.create_memory_object_stream[dict[str, Any]](100_000)

    async def say(self, message: object, *, size: int = 0) -> None:
        """Say something, and wait for no answer; white space fills it up to a size in bytes."""
        await self._send(json.dumps(message).ljust(size))

    async def create(self, number: Any) -> None:
        """Ask for a create that lasts until it is cancelled."""
        asked = request(0, "tools/call", name="create_alpha", arguments={"project_name": HELD})
        await self.say((asked if self.modern else create(0, HELD)) | {"id": number})

    async def ask(self, number: Any, *, size: int = 0) -> None:
        """Ask for something that is done at once."""
        await self.say(HELLO | {"id": number} if self.modern else call(0, "ping") | {"id": number}, size=size)

    async def answer(self, number: Any) -> dict[str, Any]:
        """What is answered to a request."""
        while (told := await self._answers.receive()).get("id") != number or "method" in told:
            pass
        return told

    async def until_answered(self, *, size: int = 0) -> None:
        """Ask until something is done, as it is once what was cancelled has ended."""
        number = 1_000_000
        answer: dict[str, Any] = {}
        while "result" not in answer:
            number += 1
            await self.ask(number, size=size)
            answer = await self.answer(number)

    async def aclose(self) -> None:
        await self.said.aclose()
        await self._answers.aclose()


@asynccontextmanager
async def talking(way: Way, url: str, client: httpx2.AsyncClient) -> AsyncIterator[Talk]:
    """A client in a session of its own."""
    open_one = _message_by_message if way in MODERN else _by_exchanges if way == "/mcp" else _by_posts
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        talk = await open_one(way, url, client, stack, tasks)
        stack.push_async_callback(talk.aclose)
        yield talk
        tasks.cancel_scope.cancel()


async def _message_by_message(
    way: Way, url: str, _client: object, stack: AsyncExitStack, tasks: anyio.abc.TaskGroup
) -> Talk:
    send, hear = await stack.enter_async_context(by_hand("grpc" if way == "grpc" else "websocket", url))

    async def listen() -> None:
        with suppress(ConnectionClosed, grpc.aio.AioRpcError, AssertionError):
            while True:
                talk.said.send_nowait(await hear())

    talk = Talk(way, send)
    tasks.start_soon(listen)
    return talk


async def _by_exchanges(
    way: Way, url: str, client: httpx2.AsyncClient, _stack: object, tasks: anyio.abc.TaskGroup
) -> Talk:
    headers = await shake(client, url)

    async def exchange(text: str) -> None:
        answer = await client.post(f"{url}/mcp", headers=headers, content=text)
        assert answer.status_code < 500, answer.text
        for line in answer.text.splitlines():
            if line.startswith("data: {"):
                talk.said.send_nowait(json.loads(line.removeprefix("data: ")))

    async def begin(text: str) -> None:
        if '"id"' in text:
            tasks.start_soon(exchange, text)
        else:
            await exchange(text)

    talk = Talk(way, begin)
    return talk


async def _data(stream: httpx2.Response) -> AsyncIterator[str]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")


async def _by_posts(
    way: Way, url: str, client: httpx2.AsyncClient, stack: AsyncExitStack, tasks: anyio.abc.TaskGroup
) -> Talk:
    async def post(text: str) -> None:
        assert (await client.post(target, headers=ACCEPTED, content=text)).status_code == 202

    async def poll() -> None:
        cursor = 0
        while True:
            answer = (await client.get(target, params={"cursor": cursor})).json()
            cursor = answer["cursor"]
            for told in answer["messages"]:
                talk.said.send_nowait(told)

    async def read() -> None:
        async for line in data:
            talk.said.send_nowait(json.loads(line))

    talk = Talk(way, post)
    if way == "/poll":
        target = await opened(client, url)
        tasks.start_soon(poll)
        return talk
    stream = await stack.enter_async_context(client.stream("GET", f"{url}/sse"))
    data = _data(stream)
    target = url + await anext(data)
    for message in (INITIALIZE, INITIALIZED):
        await post(json.dumps(message))
    tasks.start_soon(read)
    return talk


@asynccontextmanager
async def served(way: Way, fake: FakeDynamo, **limits: Any) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    async with (
        over_grpc(fake, limits=Serving(**limits))
        if way == "grpc"
        else over_http(fake, limits=Serving(**limits)) as url,
        httpx2.AsyncClient(timeout=SECONDS, limits=httpx2.Limits(max_connections=None)) as client,
    ):
        yield url, client


class Lingering(FakeDynamo):
    """A fake whose creates, when they are cancelled, end as soon as `let` is set."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.let = anyio.Event()
        self.running = self.most = 0

    async def create_project(self, *given: Any, **named: Any) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super().create_project(*given, **named)
        finally:
            with anyio.CancelScope(shield=True):
                await self.let.wait()
            self.running -= 1


OF_EVERY_KIND: tuple[object, ...] = ([], {}, None, True, False, 1.0, 1.5, [1], {"1": 1}, -1, "", "01x", "x" * 10_000)


@over_every_way
async def test_a_flood_of_cancels_ends_nothing_but_what_they_name(way: Way, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with (
            served(way, fake) as (url, client),
            talking(way, url, client) as theirs,
            talking(way, url, client) as mine,
        ):
            for talk in (theirs, mine):
                await talk.create(1)
                await fake.held.acquire()
            for number in range(300 if way in MODERN else 3):
                for other in OF_EVERY_KIND:
                    await mine.say(cancelled(other))
                await mine.say(cancelled(number + 2))
            await mine.say(cancelled(None) | {"params": None})
            await mine.ask(2)
            assert "result" in await mine.answer(2)
            await theirs.ask(2)
            assert "result" in await theirs.answer(2)
            assert not fake.cancelled.is_set()
            await mine.say(cancelled(1))
            await fake.cancelled.wait()
            fake.release()
            assert not (await theirs.answer(1))["result"].get("isError")


@pytest.mark.parametrize("way", [way for way in WAYS if way != "/mcp"])  # where each request is counted by itself
async def test_who_asks_and_cancels_over_and_over_has_no_more_under_way_than_who_does_not(
    way: Way, tmp_path: Path
) -> None:
    fake = Lingering(tmp_path)
    total = 100_000
    with anyio.fail_after(SECONDS):
        async with (
            served(way, fake, total_body_bytes=total) as (url, client),
            talking(way, url, client) as talk,
        ):
            for number in range(1, under_way.UNDER_WAY + 20):
                await talk.create(number)
                await talk.say(cancelled(number))
            refused = await talk.answer(number)
            assert refused["error"]["message"] == under_way.TOO_MANY
            assert fake.most == under_way.UNDER_WAY
            fake.let.set()
            # And nothing of them is counted any more: as much is free as before.
            await talk.until_answered(size=total - 1000 if way in MODERN else total // 2 - 1000)
            assert not fake.running


@pytest.mark.parametrize("way", [way for way in WAYS if way != "/mcp"])
async def test_an_identifier_is_free_when_its_request_has_ended_and_not_when_something_like_it_is_cancelled(
    way: Way, tmp_path: Path
) -> None:
    fake = Lingering(tmp_path)
    with anyio.fail_after(SECONDS):
        async with served(way, fake) as (url, client), talking(way, url, client) as talk:
            for _ in range(10):
                for number in (1, "1", " 1"):
                    await talk.create(number)
                await talk.say(cancelled(bool(1)))
                await talk.say(cancelled(1.0))
            await talk.say(cancelled("1"))
            await talk.create(1)
            await talk.ask(2)
            assert "result" in await talk.answer(2)
            assert fake.most == 1
            fake.let.set()
            await talk.until_answered()


async def unread(way: Way, url: str, stack: AsyncExitStack) -> Callable[[str], Awaitable[None]]:
    """A client that speaks and reads nothing of what it is told."""
    if way in MODERN:
        send, _ = await stack.enter_async_context(by_hand("grpc" if way == "grpc" else "websocket", url))
        return send
    port = int(url.rpartition(":")[2])
    plain = stack.enter_context(socket.socket())
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await anyio.to_thread.run_sync(plain.connect, ("127.0.0.1", port))
    plain.sendall(f"GET /sse HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
    told = b""
    while b"session_id=" not in told or not told.endswith(b"\r\n\r\n"):
        told += await anyio.to_thread.run_sync(plain.recv, 100)
    target = url + told.partition(b"data: ")[2].split()[0].decode()
    client = await stack.enter_async_context(httpx2.AsyncClient(timeout=SECONDS))

    async def post(text: str) -> None:
        await client.post(target, headers=ACCEPTED, content=text)

    for message in (INITIALIZE, INITIALIZED):
        await post(json.dumps(message))
    return post


async def opens(way: Way, url: str, client: httpx2.AsyncClient) -> bool:
    """Whether a connection is taken by now."""
    with suppress(InvalidStatus, grpc.aio.AioRpcError):
        if way == "/messages/":
            async with client.stream("GET", f"{url}/sse") as stream:
                return stream.status_code == 200
        async with by_hand("grpc" if way == "grpc" else "websocket", url) as (say, hear):
            await say(json.dumps(HELLO))
            return "result" in await hear()
    return False


@pytest.mark.parametrize("way", ["/messages/", "/ws", "grpc"])
async def test_who_floods_and_reads_no_refusal_is_left_and_others_are_answered_meanwhile(
    way: Way, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeDynamo(tmp_path)
    total = 4_000_000
    with anyio.fail_after(SECONDS):
        async with (
            served(way, fake, stalled_seconds=0.5, caller_sessions=2, total_body_bytes=total) as (url, client),
            talking(way, url, client) as other,
            AsyncExitStack() as stack,
        ):
            send = await unread(way, url, stack)
            flooding = Talk(way, send)

            async def flood() -> None:
                with suppress(ConnectionClosed, grpc.aio.AioRpcError, grpc.aio.UsageError):
                    for number in range(under_way.UNDER_WAY):
                        await flooding.create(number)
                    while not fake.cancelled.is_set():
                        await flooding.ask("x" * 20_000)  # which each refusal has in it
                        await flooding.say(cancelled([]))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flood)
                number = 0
                while not fake.cancelled.is_set():
                    number += 1
                    await other.ask(number)
                    assert "result" in await other.answer(number)
                tasks.cancel_scope.cancel()
            await flooding.aclose()
            # What it had is free again; of a WebSocket, what had not been sent whole, too.
            await other.until_answered(size=total - 1000 if way == "grpc" else total // 2 - 1000)
            while not await opens(way, url, client):
                pass
    # What gRPC logs of a status that nobody takes is its own.
    assert [each.getMessage() for each in caplog.records if each.exc_info and not each.name.startswith("grpc")] == []
