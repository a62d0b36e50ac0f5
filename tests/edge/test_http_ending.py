"""What do those who watch over the server learn, and how much time have calls when it is told to end?"""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import TextContent

from dynamo_mcp.server import build
from dynamo_mcp.tasks import EXTENSION
from dynamo_mcp.transports import http
from dynamo_mcp.transports.transport import Endpoint
from edge.joining import over_http
from edge.raw import META, Raw, request, start
from edge.test_http_resuming import Named
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mcp_types import CallToolResult

pytestmark = pytest.mark.anyio

WITH_TASKS = META | {"io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}}}


async def test_whoever_watches_asks_without_saying_who_they_are(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake, authenticators=(Named(),)) as url, httpx2.AsyncClient() as client:
        for path, word in (("healthz", "alive\n"), ("readyz", "ready\n")):
            for headers in ({}, {"host": "10.0.0.7"}, {"origin": "http://elsewhere.example"}):
                answer = await client.get(f"{url}/{path}", headers=headers)
                assert (answer.status_code, answer.text) == (200, word)
            assert (await client.head(f"{url}/{path}")).status_code == 200
            assert (await client.post(f"{url}/{path}")).status_code == 401


async def test_a_server_whose_home_is_gone_is_alive_and_not_ready(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake) as url, httpx2.AsyncClient() as client:
        fake.settings.home.rename(tmp_path / "elsewhere")
        answer = await client.get(f"{url}/readyz")
        assert (answer.status_code, answer.text) == (503, "not ready\n")
        assert (await client.get(f"{url}/healthz")).status_code == 200


async def test_who_ends_takes_no_more_calls_and_lets_those_that_run_finish(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    server = build(fake.dynamo)
    answers: list[CallToolResult] = []
    async with http.opened(server, Endpoint()) as url, httpx2.AsyncClient() as watcher, Client(f"{url}/mcp") as client:

        async def call(name: str) -> None:
            answers.append(await client.call_tool("create_alpha", {"project_name": name}))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, HELD)
                await fake.held.acquire()
                tasks.start_soon(server.finish, 60)
                while (await watcher.get(f"{url}/readyz")).status_code != 503:
                    await anyio.lowlevel.checkpoint()
                await call("late")
                assert len(answers) == 1
                fake.release()
    refused, finished = answers
    assert isinstance(refused.content[0], TextContent)
    assert "`create_alpha` was not begun, since the server is ending" in refused.content[0].text
    assert not finished.is_error
    assert len(fake.created) == 1


async def hold(server: Raw) -> None:
    meta = META | {"progressToken": 2}
    arguments = {"project_name": HELD}
    await server.send(request(2, "tools/call", name="create_alpha", arguments=arguments, _meta=meta))
    last: dict[str, Any] = {}
    while last.get("params", {}).get("message") != "half of publish":
        last = await server.receive()


async def test_a_signal_waits_for_a_call_that_runs_and_a_second_one_does_not(tmp_path: Path) -> None:
    async with start("stdio", tmp_path, grace=60) as server:
        with anyio.fail_after(30):
            await hold(server)
            server.process.send_signal(signal.SIGTERM)
            refused: dict[str, Any] = {}
            number = 3
            while "not begun" not in str(refused):
                await server.send(request(number, "tools/call", name="list_templates", arguments={}))
                refused = await server.receive()
                number += 1
            server.process.send_signal(signal.SIGTERM)
            await server.end()
    assert {path.name for path in tmp_path.iterdir()} == {"cancelled", "ended"}


async def ask(server: Raw, number: int, method: str, **params: Any) -> dict[str, Any]:
    """Ask as a client that declares the extension for tasks; return the answer."""
    await server.send(request(number, method, **params, _meta=WITH_TASKS))
    while (answer := await server.receive()).get("id") != number:
        pass
    result: dict[str, Any] = answer["result"]
    return result


async def hold_task(server: Raw) -> str:
    arguments = {"project_name": HELD}
    task = (await ask(server, 2, "tools/call", name="create_alpha", arguments=arguments))["taskId"]
    number = 3
    while (await ask(server, number, "tasks/get", taskId=task)).get("statusMessage") != "step 6/6: half of publish":
        number += 1
    assert isinstance(task, str)
    return task


async def until_ending(server: Raw) -> None:
    number = 1000
    while "not begun" not in str(await ask(server, number, "tools/call", name="create_alpha", arguments={})):
        number += 1


def record(outputs: Path, task: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        outputs.with_name(f"{outputs.name}-home").joinpath(f"tasks/{task}.json").read_bytes()
    )
    return told


@asynccontextmanager
async def ending(outputs: Path) -> AsyncIterator[tuple[Raw, str]]:
    """A server that was told to end while it does a task."""
    outputs.mkdir()
    async with start("stdio", outputs, grace=60) as server:
        with anyio.fail_after(30):
            task = await hold_task(server)
            server.process.send_signal(signal.SIGTERM)
            await until_ending(server)
            yield server, task


async def test_a_signal_waits_for_a_task_that_runs_and_begins_no_other(tmp_path: Path) -> None:
    async with ending(tmp_path / "outputs") as (server, task):
        assert (await ask(server, 9999, "tasks/get", taskId=task))["status"] == "working"
        await server.end(signal.SIGUSR1)
    told = record(tmp_path / "outputs", task)
    assert (told["status"], told["result"]["isError"]) == ("completed", False)
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["ended"]


async def test_a_second_signal_waits_for_no_task_which_says_what_became_of_it(tmp_path: Path) -> None:
    async with ending(tmp_path / "outputs") as (server, task):
        await server.end(signal.SIGTERM)
    told = record(tmp_path / "outputs", task)
    assert told["status"] == "cancelled"
    assert told["message"] == "the server is ending; the project may be in its place, and is complete if it is"


async def test_a_call_that_takes_longer_than_it_may_is_cancelled(tmp_path: Path) -> None:
    async with start("stdio", tmp_path, grace=0.1) as server:
        with anyio.fail_after(30):
            await hold(server)
            await server.end(signal.SIGTERM)
    assert {path.name for path in tmp_path.iterdir()} == {"cancelled", "ended"}
