"""How a client talks that asks for the next messages again and again."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp import ClientSession
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, jsonrpc_message_adapter

from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.events import Log, Shelf
from edge.joining import over_http
from edge.older import call, create
from edge.test_http_resuming import STEPS, Named, Stepping
from edge.test_permission import ByScope
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "transports.md"
HELLO = call(0, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "x", "version": "1"})


async def opened(client: httpx2.AsyncClient, url: str, **headers: str) -> str:
    """Open a session and shake hands; returns its address."""
    answer = await client.post(f"{url}/poll", headers=headers)
    assert answer.status_code == 201
    address = f"{url}/poll/{answer.json()['id']}"
    for message in (HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"}):
        assert (await client.post(address, headers=headers, json=message)).status_code == 202
    return address


@asynccontextmanager
async def poll_client(client: httpx2.AsyncClient, url: str) -> AsyncIterator[tuple[Any, Any]]:
    """What the SDK's own session needs to speak by polling; every other answer is lost on its way."""
    address = f"{url}/poll/{(await client.post(f'{url}/poll')).json()['id']}"
    incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)

    async def hear() -> None:
        cursor = 0
        while True:
            answer = await client.get(address, params={"cursor": cursor})
            answer = await client.get(address, params={"cursor": cursor})
            for message in answer.json()["messages"]:
                await incoming.send(SessionMessage(jsonrpc_message_adapter.validate_python(message)))
            cursor = answer.json()["cursor"]

    async def say() -> None:
        async for each in outgoing:
            text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
            assert (await client.post(address, content=text)).status_code == 202

    async with incoming, read, write, outgoing, anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        tasks.start_soon(say)
        yield read, write
        tasks.cancel_scope.cancel()
    assert (await client.delete(address)).status_code == 204


async def test_the_sdk_creates_with_progress_by_polling_though_answers_are_lost(tmp_path: Path) -> None:
    fake = Stepping(tmp_path)
    for _ in range(STEPS):
        fake.let.release()
    told: list[float] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        told.append(progress)

    with anyio.fail_after(30):
        async with (
            over_http(fake) as url,
            httpx2.AsyncClient(timeout=30) as client,
            poll_client(client, url) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            result = await session.call_tool("create_alpha", {"project_name": "mine"}, progress_callback=tell)
    assert not result.is_error
    assert told == list(range(1, STEPS + 1))
    assert len(fake.created) == 1


async def test_what_was_told_is_told_again_until_a_cursor_says_that_it_arrived(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient(timeout=20) as client:
        address = await opened(client, url)
        first = (await client.get(address)).json()
        assert first == (await client.get(f"{address}?cursor=0")).json()
        assert first["messages"][0]["result"]["serverInfo"]["name"] == "dynamo-mcp"
        await client.post(address, json=call(1, "ping"))
        following = (await client.get(f"{address}?cursor={first['cursor']}")).json()
        assert [message["id"] for message in following["messages"]] == [1]
        assert (await client.get(f"{address}?cursor=0")).status_code == 410


async def test_a_wait_ends_without_messages_and_a_session_that_nobody_uses_ends(tmp_path: Path) -> None:
    limits = Serving(poll_seconds=0.05, poll_idle_seconds=0.3)
    async with over_http(FakeDynamo(tmp_path), limits=limits) as url, httpx2.AsyncClient(timeout=20) as client:
        address = f"{url}/poll/{(await client.post(f'{url}/poll')).json()['id']}"
        answer = await client.get(address)
        assert (answer.status_code, answer.json()) == (200, {"cursor": 0, "messages": []})
        with anyio.fail_after(20):
            status = 200
            while status != 404:
                await anyio.sleep(0.5)  # each request keeps it
                status = (await client.get(address)).status_code


async def test_nobody_but_its_opener_finds_a_session(tmp_path: Path) -> None:
    async with (
        over_http(FakeDynamo(tmp_path), authenticators=(Named(),)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        address = await opened(client, url, authorization="mine")
        for who, status in (("theirs", 404), ("mine", 200)):
            assert (await client.get(address, headers={"authorization": who})).status_code == status
        theirs = {"authorization": "theirs"}
        assert (await client.post(address, headers=theirs, json=call(1, "ping"))).status_code == 404
        assert (await client.delete(address, headers=theirs)).status_code == 404
        assert (await client.delete(address, headers={"authorization": "mine"})).status_code == 204
        assert (await client.get(address, headers={"authorization": "mine"})).status_code == 404


async def test_who_has_other_scopes_by_now_does_not_go_on_with_those_that_a_session_was_opened_with(
    tmp_path: Path,
) -> None:
    async with (
        over_http(FakeDynamo(tmp_path), authenticators=(ByScope(),)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        before, by_now = "Scopes anna admin", "Scopes anna templates:read"
        address = await opened(client, url, authorization=before)
        message = call(1, "tools/call", name="remove_template", arguments={"template_name": "alpha"})
        for who, status in ((by_now, 404), (before, 202)):
            assert (await client.post(address, headers={"authorization": who}, json=message)).status_code == status


async def test_ending_a_session_cancels_what_runs(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake) as url, httpx2.AsyncClient(timeout=20) as client:
        address = await opened(client, url)
        await client.post(address, json=create(1, HELD))
        with anyio.fail_after(20):
            await fake.held.acquire()
            await client.delete(address)
            await fake.cancelled.wait()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"jsonrpc":"2.0"}', b"\xff", b'"x"'])
async def test_what_is_no_message_is_refused(body: bytes, tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient(timeout=20) as client:
        address = await opened(client, url)
        assert (await client.post(address, content=body)).status_code == 400
        for cursor in ("x", "-1", "1.5", "9" * 30, "٣"):
            assert (await client.get(address, params={"cursor": cursor})).status_code == 400
        assert (await client.get(f"{address}?cursor=99")).status_code == 410
        assert (await client.get(f"{url}/poll/nothing")).status_code == 404


async def test_so_many_sessions_are_open_and_no_more(tmp_path: Path) -> None:
    async with (
        over_http(FakeDynamo(tmp_path), limits=Serving(sessions=2)) as url,
        httpx2.AsyncClient(timeout=20) as client,
    ):
        statuses = [(await client.post(f"{url}/poll")).status_code for _ in range(3)]
        assert statuses == [201, 201, 503]


async def test_who_says_more_than_is_taken_waits() -> None:
    log = Log(Shelf(Serving(session_events=10)), waits=True)
    sent = 0

    async def say() -> None:
        nonlocal sent
        for number in range(100):
            await log.room()
            await log.store_event("poll", JSONRPCNotification(jsonrpc="2.0", method="x", params={"data": number}))
            sent += 1

    numbers: list[int] = []
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say)
            await anyio.wait_all_tasks_blocked()
            assert sent == 11
            cursor = 0
            while cursor < 100:
                for event in await log.after(cursor) or ():
                    cursor = event.number
                    numbers.append(json.loads(event.message)["params"]["data"])
                log.forget(cursor)
    assert numbers == list(range(100))


async def test_the_commands_of_the_documentation_do_what_it_says(tmp_path: Path) -> None:
    block = re.search(r"## Long polling.*?```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    commands = re.sub(r"^#.*\n", "", block[1], flags=re.MULTILINE)
    first, rest = commands.split("\n", 1)

    def run(command: str, identifier: str = "") -> str:
        return subprocess.run(
            ["sh", "-ec", command], check=True, capture_output=True, text=True, timeout=60, env={"ID": identifier}
        ).stdout

    async with over_http(FakeDynamo(tmp_path)) as url:
        told = await anyio.to_thread.run_sync(run, first.replace("http://127.0.0.1:3000", url))
        assert json.loads(told).keys() == {"id", "wait_seconds", "idle_seconds"}
        rest = rest.replace("http://127.0.0.1:3000", url)
        answer = json.loads(await anyio.to_thread.run_sync(run, rest, json.loads(told)["id"]))
    assert answer["cursor"] == 1
    assert answer["messages"][0]["result"]["serverInfo"]["name"] == "dynamo-mcp"
