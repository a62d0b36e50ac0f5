"""Who hears of what: single templates and tasks, over every transport, in the era's own way."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import Request, Result

from dynamo_mcp.callers import LOCAL, Caller, current
from dynamo_mcp.tasks import EXTENSION
from edge.joining import Transport, join, over_every_transport
from edge.task_client import WithTasks, begin, ended, get, until
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mcp import Client

pytestmark = pytest.mark.anyio

GAMMA = {"url": "https://example.com/gamma"}


@over_every_transport
async def test_who_listens_for_one_template_hears_of_that_one_alone(transport: Transport, tmp_path: Path) -> None:
    async with (
        join(transport, "auto", tmp_path) as client,
        client.listen(resource_subscriptions=["templates://beta/info"]) as events,
    ):
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe
        await client.call_tool("add_template", GAMMA)
        await client.call_tool("remove_template", {"template_name": "beta"})
        with anyio.fail_after(10):
            async for event in events:
                assert getattr(event, "uri", event) == "templates://beta/info"
                break
        await client.call_tool("add_template", {"url": "https://example.com/beta"})
        with anyio.fail_after(10):
            async for event in events:
                assert getattr(event, "uri", event) == "templates://beta/info"
                break


@over_every_transport
async def test_a_client_of_an_older_version_subscribes_to_one_template_and_leaves_again(
    transport: Transport, tmp_path: Path
) -> None:
    told: list[str] = []
    complete = anyio.Event()

    async def note(message: Any) -> None:
        if type(message).__name__ == "ResourceUpdatedNotification":
            told.append(message.params.uri)
            complete.set()

    async with join(transport, "legacy", tmp_path, message_handler=note) as client:
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe
        await send(client, "resources/subscribe", uri="templates://new1/info")
        await send(client, "resources/subscribe", uri="templates://list")
        await send(client, "resources/unsubscribe", uri="templates://list")
        await send(client, "resources/unsubscribe", uri="templates://nothing/info")
        with anyio.fail_after(20):
            while not complete.is_set():
                # The client opens its stream for notifications some time after it connected.
                await client.call_tool("add_template", {"url": "https://example.com/new1"})
                await client.call_tool("add_template", {"url": "https://example.com/new2"})
                await client.call_tool("remove_template", {"template_name": "new1"})
                await client.call_tool("remove_template", {"template_name": "new2"})
                with anyio.move_on_after(0.2):
                    await complete.wait()
        assert set(told) == {"templates://new1/info"}


async def test_a_client_of_an_older_version_subscribes_to_so_many_and_no_more(tmp_path: Path) -> None:
    async with join("memory", "legacy", tmp_path) as client:
        for number in range(1000):
            await send(client, "resources/subscribe", uri=f"templates://t{number}/info")
        await send(client, "resources/subscribe", uri="templates://t1/info")
        for uri in ("templates://more/info", "x" * 10_000):
            with pytest.raises(MCPError, match="1000 resources may be subscribed to"):
                await send(client, "resources/subscribe", uri=uri)
        await send(client, "resources/unsubscribe", uri="templates://t1/info")
        await send(client, "resources/subscribe", uri="templates://more/info")


@asynccontextmanager
async def listening(client: Client, **wanted: Any) -> AsyncIterator[None]:
    """Listen, as the SDK's own client can't for tasks; what is heard is the extension's."""
    async with anyio.create_task_group() as group:
        group.start_soon(partial(listen, client, **wanted))
        yield
        group.cancel_scope.cancel()


async def until_heard(extension: WithTasks, status: str) -> dict[str, Any]:
    with anyio.fail_after(20):
        while not (found := [told for told in extension.told if told["status"] == status]):  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return found[-1]


@over_every_transport
async def test_who_listens_for_a_task_hears_what_asking_for_it_tells(transport: Transport, tmp_path: Path) -> None:
    extension = WithTasks()
    async with join(transport, "auto", tmp_path, extensions=[extension]) as client:
        silent = await begin(client, "create_beta", {})
        handle = await begin(client, "create_alpha", {"project_name": HELD})
        await until(client, silent.task_id, ended)
        async with listening(client, taskIds=[handle.task_id, "x" * 32]):
            await until_heard(extension, "working")
            await client.call_tool("update_template", {"template_name": "alpha"})  # lets the held create go on
            heard = await until_heard(extension, "completed")
        told = await get(client, handle.task_id)
        assert {each["taskId"] for each in extension.told} == {handle.task_id}
        for key in ("resultType", "_meta"):
            told.pop(key, None)
            heard.pop(key, None)
        assert heard == told


async def test_who_has_left_is_told_at_once_of_what_has_ended_meanwhile(tmp_path: Path) -> None:
    extension = WithTasks()
    async with join("memory", "auto", tmp_path, extensions=[extension]) as client:
        handle = await begin(client, "create_alpha", {})
        await until(client, handle.task_id, ended)
        async with listening(client, taskIds=[handle.task_id]):
            assert (await until_heard(extension, "completed"))["taskId"] == handle.task_id


async def test_nobody_hears_of_another_s_task(tmp_path: Path) -> None:
    extension = WithTasks()
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake, extensions=[extension]) as client:
        token = current.set(Caller("key:anna", LOCAL.scopes))
        hers = await begin(client, "create_alpha", {"project_name": HELD})
        current.reset(token)
        own = await begin(client, "create_alpha", {"project_name": HELD})
        async with listening(client, taskIds=[hers.task_id, own.task_id]):
            await until_heard(extension, "working")
            fake.release()
            await until_heard(extension, "completed")
        assert {told["taskId"] for told in extension.told} == {own.task_id}


async def test_tasks_are_for_who_declares_the_extension_and_a_list_of_names(tmp_path: Path) -> None:
    async with join("memory", "auto", tmp_path) as client:
        with pytest.raises(MCPError) as refused:
            await listen(client, taskIds=["x" * 32])
        assert refused.value.code == -32021
        assert refused.value.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    async with join("memory", "auto", tmp_path, extensions=[WithTasks()]) as client:
        for wrong in ("x", [1], {"a": 1}, ["x"] * 1001):
            with pytest.raises(MCPError) as refused:
                await listen(client, taskIds=wrong)
            assert refused.value.code == -32602


async def listen(client: Client, **wanted: Any) -> None:
    await send(client, "subscriptions/listen", notifications=wanted)


async def send(client: Client, method: str, **params: Any) -> None:
    request = Request[dict[str, Any], str](method=method, params=params)
    await client.session.send_request(request, Result, request_read_timeout_seconds=60)
