"""A client that speaks the first version of the protocol, by hand: no library that can be told to is left."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import httpx2
import pytest

from edge.joining import over_http
from edge.raw import start
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Message: TypeAlias = dict[str, Any]
    Wire: TypeAlias = tuple[Callable[[Message], Awaitable[None]], Callable[[], Awaitable[Message]]]

pytestmark = pytest.mark.anyio

VERSION = "2024-11-05"
SECONDS = 20
HELLO = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "by hand", "version": "1"}}


@asynccontextmanager
async def over_stdio(folder: Path) -> AsyncIterator[Wire]:
    async with start("stdio", folder) as server:
        yield server.send, server.receive
        await server.stdin.aclose()
        await server.end()


@asynccontextmanager
async def over_sse(folder: Path) -> AsyncIterator[Wire]:
    """Two requests at a time: one for the stream of what comes, one for each message that goes."""
    async with (
        over_http(FakeDynamo(folder)) as url,
        httpx2.AsyncClient(timeout=SECONDS) as client,
        client.stream("GET", f"{url}/sse") as stream,
    ):
        events = data_of(stream)
        endpoint = url + await anext(events)

        async def send(message: Message) -> None:
            assert (await client.post(endpoint, json=message)).status_code == 202

        async def receive() -> Message:
            message: Message = json.loads(await anext(events))
            return message

        yield send, receive


@asynccontextmanager
async def over_streams(folder: Path) -> AsyncIterator[Wire]:
    """The transport of the next version, which a client may use with the first one's messages all the same."""
    received: list[Message] = []
    headers = {"accept": "application/json, text/event-stream"}
    async with over_http(FakeDynamo(folder)) as url, httpx2.AsyncClient(timeout=SECONDS) as client:

        async def send(message: Message) -> None:
            async with client.stream("POST", f"{url}/mcp", json=message, headers=headers) as stream:
                assert stream.status_code in {200, 202}
                if "mcp-session-id" in stream.headers:
                    headers["mcp-session-id"] = stream.headers["mcp-session-id"]
                received.extend([json.loads(data) async for data in data_of(stream) if data])

        async def receive() -> Message:
            return received.pop(0)

        yield send, receive


async def data_of(stream: httpx2.Response) -> AsyncIterator[str]:
    """Yield what each event of a stream holds, of one line each."""
    async for line in stream.aiter_lines():
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


@pytest.mark.parametrize("over", [over_stdio, over_sse, over_streams])
async def test_a_client_of_the_first_version_lists_adds_and_creates_with_progress(
    over: Callable[[Path], Any], tmp_path: Path
) -> None:
    with anyio.fail_after(SECONDS):
        async with over(tmp_path) as (send, receive):
            number = 0
            told: list[Message] = []

            async def ask(method: str, **params: Any) -> Message:
                nonlocal number
                number += 1
                await send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
                while "id" not in (message := await receive()):
                    told.append(message)
                assert message["id"] == number
                result: Message = message["result"]
                return result

            hello = await ask("initialize", **HELLO)
            assert hello["protocolVersion"] == VERSION
            await send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            names = {tool["name"] for tool in (await ask("tools/list"))["tools"]}
            assert {"add_template", "create_project", "create_alpha"} <= names
            added = await ask("tools/call", name="add_template", arguments={"url": "https://example.com/gamma"})
            assert json.loads(added["content"][0]["text"])["name"] == "gamma"
            call = {"name": "create_gamma", "arguments": {"project_name": "P"}, "_meta": {"progressToken": "steps"}}
            created = await ask("tools/call", **call)
            assert not created.get("isError")
            progress = [each["params"] for each in told if each["method"] == "notifications/progress"]
            assert progress
            assert {each["progressToken"] for each in progress} == {"steps"}
            assert [each["progress"] for each in progress] == sorted(each["progress"] for each in progress)
