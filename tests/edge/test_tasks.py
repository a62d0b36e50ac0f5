"""How long work is seen as tasks, over every transport, by clients that declare the extension and by others."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import msgspec
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from dynamo_mcp.callers import LOCAL, Caller, current
from dynamo_mcp.server import build
from dynamo_mcp.tasks import EXTENSION, Policy
from dynamo_mcp.transports import http
from dynamo_mcp.transports.transport import Endpoint
from edge.joining import Transport, join, over_every_transport, over_http
from edge.raw import META, request
from edge.task_client import WithTasks, answer, begin, cancel, ended, get, until
from fakes import BROKEN, HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from dynamo_mcp.server import DynamoServer

pytestmark = pytest.mark.anyio

ANNA, BERT = (Caller(f"key:{name}", LOCAL.scopes) for name in ("anna", "bert"))
WITH_TASKS = META | {"io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}}}


def text(result: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


@asynccontextmanager
async def served(fake: FakeDynamo) -> AsyncIterator[DynamoServer]:
    """A server that clients join in memory."""
    server = build(fake.dynamo)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.announce)
        yield server
        tasks.cancel_scope.cancel()


def joined(server: DynamoServer, **options: Any) -> Client:
    return Client(server, mode="auto", extensions=[WithTasks()], read_timeout_seconds=20, **options)


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Be somebody: in memory, a message is of who was current when it was sent."""
    token = current.set(caller)
    try:
        yield
    finally:
        current.reset(token)


@over_every_transport
async def test_a_call_is_answered_with_a_task_that_tells_how_far_it_is_and_has_the_result(
    transport: Transport, tmp_path: Path
) -> None:
    async with join(transport, "auto", tmp_path, extensions=[WithTasks()]) as client:
        assert client.server_capabilities.extensions == {EXTENSION: {}}
        handle = await begin(client, "create_alpha", {"project_name": HELD})
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", handle.task_id)
        assert handle.status == "working"
        assert handle.ttl_ms == 3_600_000
        assert handle.poll_interval_ms == 200
        told = await until(client, handle.task_id, lambda task: "half of publish" in task.get("statusMessage", ""))
        assert told["status"] == "working"
        assert told["statusMessage"] == "step 6/6: half of publish"
        assert told["resultType"] == "complete"
        assert told["createdAt"] == handle.created_at
        assert told["lastUpdatedAt"] >= told["createdAt"]
        await client.call_tool("update_template", {"template_name": "alpha"})  # lets the held create go on
        told = await until(client, handle.task_id, ended)
        assert told["status"] == "completed"
        assert told["result"]["structuredContent"]["answers"]["project_name"] == HELD
        assert told["result"]["isError"] is False


@over_every_transport
async def test_a_client_that_knows_of_no_tasks_gets_the_result_itself(transport: Transport, tmp_path: Path) -> None:
    for era in ("auto", "legacy"):
        async with join(transport, era, tmp_path / era) as client:
            result = await client.call_tool("create_alpha", {})
            assert isinstance(result, CallToolResult)
            assert not result.is_error
            with pytest.raises(MCPError) as refused:
                await get(client, "x" * 32)
            assert refused.value.code == -32021
            assert refused.value.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


async def test_only_long_work_of_tools_that_there_are_becomes_a_task(tmp_path: Path) -> None:
    async with served(FakeDynamo(tmp_path)) as server, joined(server) as client:
        for tool, arguments in (
            ("add_template", {"url": "https://example.com/gamma"}),
            ("update_template", {"template_name": "alpha"}),
            ("create_project", {"template_name": "alpha"}),
            ("create_alpha", {}),
        ):
            await begin(client, tool, arguments)
        for tool in ("list_templates", "discover_templates"):
            assert isinstance(await client.session.call_tool(tool, {}, allow_claimed=True), CallToolResult)
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.session.call_tool("create_nothing", {}, allow_claimed=True)


async def test_a_client_that_polls_by_itself_sees_no_difference(tmp_path: Path) -> None:
    async with served(FakeDynamo(tmp_path)) as server, joined(server) as client:
        result = await client.call_tool("create_alpha", {"port": 1})
    assert result.structured_content["answers"]["port"] == 1


async def test_what_a_tool_refuses_is_a_completed_task_and_a_protocol_error_a_failed_one(tmp_path: Path) -> None:
    class Server(type(build(FakeDynamo(tmp_path / "x").dynamo))):  # type: ignore[misc]
        async def act(self, ctx: Any, params: Any, sink: Any, send: Any = None) -> Any:
            if params.name == "list_templates":
                raise MCPError(-32001, "as the protocol says", data={"more": 1})
            if params.name == "discover_templates":
                raise ZeroDivisionError("a secret of the program")
            return await super().act(ctx, params, sink, send)

    server = Server(FakeDynamo(tmp_path).dynamo)
    for tool in ("list_templates", "discover_templates"):
        server.tasks.policies[tool] = Policy("nothing was done", "much may be done")
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.announce)
        async with joined(server) as client:
            refused = await until(client, (await begin(client, "create_alpha", {"nmae": 1})).task_id, ended)
            assert refused["status"] == "completed"
            assert refused["result"]["isError"] is True
            assert "`nmae` is not asked" in text(refused["result"])
            broken = await until(client, (await begin(client, "create_alpha", {"project_name": BROKEN})).task_id, ended)
            assert "through a fault of dynamo-mcp itself" in text(broken["result"])
            failed = await until(client, (await begin(client, "list_templates", {})).task_id, ended)
            assert failed["status"] == "failed"
            assert failed["error"] == {"code": -32001, "message": "as the protocol says", "data": {"more": 1}}
            fault = await until(client, (await begin(client, "discover_templates", {})).task_id, ended)
            assert fault["status"] == "failed"
            assert fault["error"]["code"] == -32603
            assert "secret" not in str(fault)
        tasks.cancel_scope.cancel()


@over_every_transport
async def test_a_task_is_cancelled_and_cleaned_up(transport: Transport, tmp_path: Path) -> None:
    async with join(transport, "auto", tmp_path, extensions=[WithTasks()]) as client:
        handle = await begin(client, "create_alpha", {"project_name": HELD})
        await until(client, handle.task_id, lambda task: "half of publish" in task.get("statusMessage", ""))
        assert (await cancel(client, handle.task_id))["resultType"] == "complete"
        told = await until(client, handle.task_id, ended)
        assert told["status"] == "cancelled"
        assert told["statusMessage"].startswith("it was cancelled; the project may be in its place")
        assert (tmp_path / "cancelled").exists()
        assert (await cancel(client, handle.task_id))["resultType"] == "complete"  # what has ended stays as it is
        assert (await get(client, handle.task_id))["status"] == "cancelled"


@pytest.mark.parametrize("transport", ["http", "sse", "memory"])
async def test_a_task_goes_on_when_its_client_has_left(transport: Transport, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with served(fake) as server, http.opened(server, Endpoint()) as url:

        def connect() -> Client:
            target: Any = {"http": f"{url}/mcp", "sse": sse_client(f"{url}/sse"), "memory": server}[transport]
            return joined(target)

        async with connect() as client:
            handle = await begin(client, "create_alpha", {"project_name": HELD})
        with anyio.fail_after(20):
            await fake.held.acquire()
        fake.release()
        async with connect() as client:
            assert (await until(client, handle.task_id, ended))["status"] == "completed"
    assert not fake.cancelled.is_set()


@over_every_transport
async def test_a_task_waits_for_what_a_person_has_to_say(transport: Transport, tmp_path: Path) -> None:
    async def never(*_: object) -> Any:
        raise AssertionError("the form is for who asks for the task")

    async with join(transport, "auto", tmp_path, extensions=[WithTasks()], elicitation_callback=never) as client:
        handle = await begin(client, "create_alpha", {"_ask": True, "port": 1})
        told = await until(client, handle.task_id, lambda task: task["status"] != "working")
        assert told["status"] == "input_required"
        ((key, form),) = told["inputRequests"].items()
        assert form["method"] == "elicitation/create"
        assert "project_name" in form["params"]["requestedSchema"]["properties"]
        wrong: Any
        for wrong in ({"action": "perhaps"}, {"content": {}}, "yes", None):
            with pytest.raises(MCPError) as refused:
                await answer(client, handle.task_id, **{key: wrong})
            assert refused.value.code == -32602
        await answer(client, handle.task_id, nobody={"action": "decline"})
        assert (await get(client, handle.task_id))["status"] == "input_required"
        await answer(client, handle.task_id, **{key: {"action": "accept", "content": {"project_name": "Said"}}})
        told = await until(client, handle.task_id, ended)
        assert told["result"]["structuredContent"]["answers"]["project_name"] == "Said"
        await answer(client, handle.task_id, **{key: {"action": "decline"}})  # is passed over
        assert (await get(client, handle.task_id))["status"] == "completed"


async def test_a_form_that_is_declined_or_not_answered_in_time_ends_the_task_with_words(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with served(fake) as server, joined(server, elicitation_callback=_nobody) as client:
        handle = await begin(client, "create_alpha", {"_ask": True})
        told = await until(client, handle.task_id, lambda task: task["status"] == "input_required")
        await answer(client, handle.task_id, **{key: {"action": "decline"} for key in told["inputRequests"]})
        assert "The person declined" in text((await until(client, handle.task_id, ended))["result"])
        fake.settings = msgspec.structs.replace(fake.settings, ask_seconds=0.1)
        handle = await begin(client, "create_alpha", {"_ask": True})
        assert "Nobody answered the form" in text((await until(client, handle.task_id, ended))["result"])
        assert fake.created == []


async def _nobody(*_: object) -> Any:
    raise AssertionError("the form is for who asks for the task")


async def test_a_task_is_its_caller_s_and_to_others_it_is_as_if_there_were_none(tmp_path: Path) -> None:
    async with served(FakeDynamo(tmp_path)) as server, joined(server) as client, joined(server) as another:
        with calling(ANNA):
            handle = await begin(client, "create_alpha", {"project_name": HELD})
        unknown = "".join(reversed(handle.task_id))
        for other in (BERT, LOCAL):
            for attempt in (get, cancel, answer):
                refusals = []
                for name in (handle.task_id, unknown):
                    with calling(other), pytest.raises(MCPError) as refused:
                        await attempt(client, name)
                    assert refused.value.code == -32602
                    refusals.append((refused.value.message.replace(name, "…"), refused.value.data))
                assert refusals[0] == refusals[1]
        with calling(ANNA):
            assert (await get(another, handle.task_id))["status"] == "working"
        shared = await begin(client, "create_alpha", {})
        assert (await until(another, shared.task_id, ended))["status"] == "completed"


@pytest.mark.parametrize("name", ["", "../alpha", "x" * 32, "a/b", "\x00" * 32, "é" * 32, "x" * 10_000])
async def test_a_name_that_can_be_no_task_s_is_an_unknown_one(name: str, tmp_path: Path) -> None:
    async with served(FakeDynamo(tmp_path)) as server, joined(server) as client:
        with pytest.raises(MCPError) as refused:
            await get(client, name)
    assert refused.value.code == -32602


async def test_too_many_tasks_are_refused_with_what_to_do_and_other_callers_are_not(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    fake.settings = msgspec.structs.replace(fake.settings, caller_tasks=2, tasks=3, task_seconds=1.0)
    async with served(fake) as server, joined(server) as client:
        with calling(ANNA):
            handles = [await begin(client, "create_alpha", {"project_name": HELD}) for _ in range(2)]
            assert await refusal(client) == (
                "You have 2 tasks, and no caller may have more\n\nhint: one is forgotten 1 seconds after it has ended; "
                "`DYNAMO_MCP_CALLER_TASKS` allows more; or call without the extension for tasks"
            )
        with calling(BERT):
            await begin(client, "create_alpha", {"project_name": HELD})
            assert (await refusal(client)).startswith("The server has 3 tasks, and may have no more")
        fake.release()
        with calling(ANNA):
            await until(client, handles[0].task_id, ended)
            await until_forgotten(client, handles[0].task_id)
            await begin(client, "create_alpha", {})


async def refusal(client: Client) -> str:
    refused = await client.session.call_tool("create_alpha", {}, allow_claimed=True)
    assert isinstance(refused, CallToolResult)
    assert refused.is_error
    assert isinstance(refused.content[0], TextContent)
    return refused.content[0].text


async def until_forgotten(client: Client, task: str) -> None:
    with anyio.fail_after(20):
        while True:
            try:
                await get(client, task)
            except MCPError:
                return
            await anyio.sleep(0.05)


async def test_a_server_that_ends_cancels_its_tasks_and_says_so(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with served(fake) as server, joined(server) as client:
        handle = await begin(client, "create_alpha", {"project_name": HELD})
        with anyio.fail_after(20):
            await fake.held.acquire()
        server.close()
        told = await until(client, handle.task_id, ended)
        assert told["status"] == "cancelled"
        assert told["statusMessage"].startswith("the server is ending; the project may be in its place")
        handle = await begin(client, "create_alpha", {"project_name": HELD})
        with anyio.fail_after(20):
            await fake.held.acquire()
    async with served(fake) as server, joined(server) as client:  # another one of the same home
        told = await get(client, handle.task_id)
        assert told["status"] == "cancelled"
        assert told["statusMessage"].startswith("the server is ending")


async def test_the_audit_log_has_a_task_as_any_call_also_one_that_the_end_has_cancelled(
    tmp_path: Path,
) -> None:
    fake = FakeDynamo(tmp_path)
    async with served(fake) as server, joined(server) as client:
        await until(client, (await begin(client, "create_beta", {})).task_id, ended)
        await begin(client, "create_alpha", {"project_name": HELD})
        with anyio.fail_after(20):
            await fake.held.acquire()
    lines = [line for path in (fake.settings.home / "audit").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    logged = {entry["what"]: entry["outcome"] for entry in map(msgspec.json.decode, lines)}
    assert logged == {"create_beta": "done", "create_alpha": "cancelled"}


async def test_over_http_a_request_has_to_say_which_task_it_is_about_in_its_header(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient(timeout=20) as client:

        async def send(method: str, name: str | None, params: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            headers = {
                "content-type": "application/json",
                "accept": "application/json, text/event-stream",
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": method,
            } | ({"mcp-name": name} if name is not None else {})
            body = request(1, method, _meta=WITH_TASKS, **params)
            answered = await client.post(f"{url}/mcp", headers=headers, json=body)
            return answered.status_code, answered.json()

        _, created = await send("tools/call", "create_alpha", {"name": "create_alpha", "arguments": {}})
        task = created["result"]["taskId"]
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            params = {"taskId": task} | ({"inputResponses": {}} if method == "tasks/update" else {})
            for name in (None, "other", task.swapcase()):
                status, told = await send(method, name, params)
                assert (status, told["error"]["code"]) == (400, -32020)
            assert (await send(method, task, params))[0] == 200
