"""What MCP sees, over every transport and in both eras of the protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, PromptReference, ResourceTemplateReference, TextContent

from dynamo_mcp import resources
from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.results import PAGE
from dynamo_mcp.server import build
from dynamo_mcp.tools import SUMMARIES
from edge.joining import Draft202012Validator, Era, Transport, in_both_eras, join, over_every_transport
from fakes import BROKEN, HELD, FakeDynamo
from homes import until

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_types import CallToolResult

    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.views import TemplateInfo

pytestmark = pytest.mark.anyio

GENERAL = [
    "list_templates",
    "get_template_variables",
    "add_template",
    "create_project",
    "update_template",
    "remove_template",
    "discover_templates",
    "search_templates",
    "recommend_templates",
    "preview_project",
]
CALLS: dict[str, dict[str, Any]] = {
    "list_templates": {},
    "get_template_variables": {"template_name": "alpha", "answers": {"port": 1}},
    "add_template": {"url": "https://example.com/gamma", "requirements": ["jinja2-time"]},
    "create_project": {"template_name": "alpha", "variables": {"port": 1}, "if_exists": "skip"},
    "create_alpha": {"license": "GPL", "tests": False, "owner": {"name": "Bo"}, "_output_dir": "there"},
    "update_template": {"template_name": "alpha", "force": True},
    "remove_template": {"template_name": "beta"},
    "discover_templates": {"category": "web"},
    "search_templates": {"query": "web", "tags": ["web"], "limit": 3},
    "recommend_templates": {"wanted": "a web service"},
    "preview_project": {"template_name": "alpha", "file": "README.md", "diff": True},
}


def text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def problems_of(result: CallToolResult) -> list[dict[str, Any]]:
    assert result.is_error
    machine = result.content[1]
    assert isinstance(machine, TextContent)
    problems: list[dict[str, Any]] = json.loads(machine.text)["problems"]
    return problems


@over_every_transport
@in_both_eras
async def test_every_tool_is_listed_with_valid_schemas_and_every_call_gives_what_they_promise(
    transport: Transport, era: Era, tmp_path: Path
) -> None:
    async with join(transport, era, tmp_path) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == [*GENERAL, "create_alpha", "create_beta"]
        for name, given in CALLS.items():
            output = tools[name].output_schema
            assert output is not None
            Draft202012Validator.check_schema(tools[name].input_schema)
            Draft202012Validator.check_schema(output)
            assert tools[name].input_schema["type"] == output["type"] == "object"
            Draft202012Validator(tools[name].input_schema).validate(given)
            result = await client.call_tool(name, given)
            assert not result.is_error, text(result)
            Draft202012Validator(output).validate(result.structured_content)


@in_both_eras
async def test_a_host_that_chokes_on_many_tools_is_shown_the_general_ones_and_the_others_work(
    era: Era, tmp_path: Path
) -> None:
    async with join("memory", era, tmp_path, fake=FakeDynamo(tmp_path, tools="compact")) as client:
        assert "`create_project` creates from it" in (client.instructions or "")
        for _ in range(2):
            assert [tool.name for tool in (await client.list_tools()).tools] == GENERAL
        result = await client.call_tool("create_alpha", {"port": 1})
        assert result.structured_content["answers"]["port"] == 1
        await client.call_tool("add_template", {"url": "https://example.com/gamma"})
        assert [tool.name for tool in (await client.list_tools()).tools] == GENERAL
    async with join("memory", era, tmp_path, fake=FakeDynamo(tmp_path)) as client:
        assert "`create_<template>`" in (client.instructions or "")


@over_every_transport
@in_both_eras
async def test_progress_arrives_before_the_result(transport: Transport, era: Era, tmp_path: Path) -> None:
    arrived: list[float] = []
    enough = anyio.Event()
    results: list[CallToolResult] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total == 6
        assert message
        arrived.append(progress)
        if len(arrived) >= 5:
            enough.set()

    async with join(transport, era, tmp_path) as client:

        async def create() -> None:
            results.append(await client.call_tool("create_alpha", {"project_name": HELD}, progress_callback=note))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await enough.wait()
                assert not results
                await client.call_tool("update_template", {"template_name": "alpha"})  # lets the held create go on
    assert arrived == sorted(set(arrived))
    assert results[0].structured_content["answers"]["project_name"] == HELD


@over_every_transport
@in_both_eras
async def test_a_client_that_gives_up_cancels_the_create(transport: Transport, era: Era, tmp_path: Path) -> None:
    begun = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - by name
        if message == "half of publish":
            begun.set()

    async with join(transport, era, tmp_path) as client:

        async def create() -> None:
            await client.call_tool("create_alpha", {"project_name": HELD}, progress_callback=note)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await begun.wait()
                tasks.cancel_scope.cancel()
            await until((tmp_path / "cancelled").exists)
        assert not (await client.call_tool("list_templates")).is_error


@over_every_transport
async def test_a_client_that_listens_is_told_of_a_new_template(transport: Transport, tmp_path: Path) -> None:
    async with (
        join(transport, "auto", tmp_path) as client,
        client.listen(
            tools_list_changed=True,
            prompts_list_changed=True,
            resources_list_changed=True,
            resource_subscriptions=[
                "templates://list",
                "templates://categories",
                "templates://category/web",
                "templates://gamma/info",
            ],
        ) as events,
    ):
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.tools.list_changed
        await client.call_tool("add_template", {"url": "https://example.com/gamma"})
        seen = set()
        with anyio.fail_after(10):
            async for event in events:
                seen.add(getattr(event, "uri", type(event).__name__))
                if len(seen) == 7:
                    break
        assert seen == {
            "ToolsListChanged",
            "PromptsListChanged",
            "ResourcesListChanged",
            "templates://list",
            "templates://categories",
            "templates://category/web",
            "templates://gamma/info",
        }
        assert "create_gamma" in [tool.name for tool in (await client.list_tools()).tools]


@over_every_transport
async def test_a_client_of_an_older_version_is_told_of_a_new_template(transport: Transport, tmp_path: Path) -> None:
    told: set[str] = set()
    complete = anyio.Event()

    async def note(message: object) -> None:
        told.add(type(message).__name__)
        if len(told) == 3:
            complete.set()

    async with join(transport, "legacy", tmp_path, message_handler=note) as client:
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.tools.list_changed
        with anyio.fail_after(10):
            number = 0
            while not complete.is_set():
                # The client opens its stream for notifications some time after it connected.
                await client.call_tool("add_template", {"url": f"https://example.com/new{number}"})
                number += 1
                with anyio.move_on_after(0.2):
                    await complete.wait()
    assert told == {
        "ToolListChangedNotification",
        "PromptListChangedNotification",
        "ResourceListChangedNotification",
    }


async def test_a_client_hears_what_another_did(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    told = anyio.Event()

    async def note(message: object) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            told.set()

    async with join("memory", "legacy", tmp_path, fake=fake, message_handler=note):
        fake.register("gamma")
        with anyio.fail_after(5):
            await told.wait()


async def test_a_change_that_can_not_be_told_is_logged_and_the_next_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeDynamo(tmp_path)

    async def broken(*_: object) -> None:
        raise ValueError("a fault of the program")

    uri = "templates://delta/info"
    async with (
        join("memory", "auto", tmp_path, fake=fake) as client,
        client.listen(resource_subscriptions=[uri]) as events,
    ):
        with monkeypatch.context() as patched, anyio.fail_after(5):
            patched.setattr(resources, "uris", broken)
            fake.register("gamma")
            while "a fault of the program" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
                await anyio.sleep(0.01)
        fake.register("delta")
        with anyio.fail_after(5):
            assert getattr(await anext(aiter(events)), "uri", None) == uri
        assert "create_delta" in {tool.name for tool in (await client.list_tools()).tools}


async def test_what_changes_with_a_template_is_looked_for_while_somebody_listens_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeDynamo(tmp_path)
    looked: list[frozenset[str]] = []
    uris = resources.uris

    async def counted(dynamo: Dynamo, names: frozenset[str]) -> list[str]:
        looked.append(names)
        return await uris(dynamo, names)

    monkeypatch.setattr(resources, "uris", counted)
    told = anyio.Semaphore(0)

    async def note(message: object) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            told.release()

    async with join("memory", "legacy", tmp_path, fake=fake, message_handler=note):
        fake.register("gamma")
        with anyio.fail_after(5):
            await told.acquire()
        assert looked == []
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        async with client.listen(resource_subscriptions=["templates://delta/info"]) as events:
            fake.register("delta")
            with anyio.fail_after(5):
                await anext(aiter(events))
        assert looked == [{"delta"}]
        with anyio.fail_after(5):
            while True:  # that it has left is known a moment later
                looked.clear()
                fake.register("epsilon")
                await client.list_tools()
                if not looked:
                    break


async def test_a_client_that_reads_nothing_does_not_hold_up_what_others_are_told(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    server = build(fake.dynamo)
    told = anyio.Semaphore(0)
    initialize = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "dead", "version": "1"}}

    async def note(message: object) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            told.release()

    async with anyio.create_task_group() as tasks:
        await tasks.start(server.announce)
        to_server, from_dead = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_dead, dead = anyio.create_memory_object_stream[SessionMessage](0)
        with to_server, from_dead, to_dead, dead:
            tasks.start_soon(server.run, from_dead, to_dead, server.create_initialization_options())
            with anyio.fail_after(5):
                await to_server.send(
                    SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=initialize))
                )
                await dead.receive()
                await to_server.send(
                    SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"))
                )
            async with Client(server, mode="legacy", message_handler=note):
                for number in range(3):
                    fake.register(f"new{number}")
                with anyio.fail_after(1):
                    for _ in range(3):
                        await told.acquire()
            tasks.cancel_scope.cancel()


@over_every_transport
@in_both_eras
async def test_an_unknown_tool_resource_and_prompt_are_protocol_errors(
    transport: Transport, era: Era, tmp_path: Path
) -> None:
    async with join(transport, era, tmp_path) as client:
        for name in ("no_such_tool", "create_", "create_nothing", "alpha"):
            with pytest.raises(MCPError) as tool:
                await client.call_tool(name, {})
            assert tool.value.code == -32602
        for uri in (
            "templates://nothing/info",
            "templates://alpha/secrets",
            "templates://category/nothing",
            "templates://category",
            "file:///etc/passwd",
        ):
            with pytest.raises(MCPError) as resource:
                await client.read_resource(uri)
            assert resource.value.code == (-32002 if era == "legacy" else -32602)
            assert resource.value.data == {"uri": uri}
        for name in ("create_nothing", "alpha"):
            with pytest.raises(MCPError) as prompt:
                await client.get_prompt(name)
            assert prompt.value.code == -32602


@in_both_eras
async def test_errors_tell_what_was_wrong_and_what_to_do_next(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        result = await client.call_tool("get_template_variables", {"template_name": "alhpa"})
        assert result.is_error
        assert text(result) == "Template `alhpa` is not registered\n\nhint: did you mean `alpha`?"
        result = await client.call_tool("create_alpha", {"license": "MIT", "nmae": 1})
        assert result.is_error
        assert "`nmae` is not asked" in text(result)


@in_both_eras
async def test_problems_with_answers_are_also_told_as_json_and_never_as_structured_content(
    era: Era, tmp_path: Path
) -> None:
    async with join("memory", era, tmp_path) as client:
        result = await client.call_tool("create_alpha", {"nmae": 1})
    assert result.is_error
    assert result.structured_content is None
    words, machine = result.content
    assert isinstance(words, TextContent)
    assert isinstance(machine, TextContent)
    (problem,) = json.loads(machine.text)["problems"]
    assert problem["variable"] == "nmae"
    assert problem["message"] in words.text
    assert set(problem) == {"variable", "message", "given", "allowed", "choices", "nearest"}


@in_both_eras
async def test_wrong_arguments_are_told_all_at_once_as_words_and_as_json_in_the_shape_of_wrong_answers(
    era: Era, tmp_path: Path
) -> None:
    async with join("memory", era, tmp_path) as client:
        result = await client.call_tool("create_project", {"variables": "x=1", "if_exists": "skp", "outputdir": "."})
    assert result.is_error
    assert result.structured_content is None
    words, machine = result.content
    assert isinstance(words, TextContent)
    assert isinstance(machine, TextContent)
    problems = json.loads(machine.text)["problems"]
    assert words.text.startswith("The arguments do not fit `create_project`:\n")
    for problem in problems:
        assert f"- {problem['message']}\n" in words.text
        assert set(problem) == {"variable", "message", "given", "allowed", "choices", "nearest"}
    assert [(p["variable"], p["given"], p["allowed"], p["nearest"]) for p in problems] == [
        (
            "outputdir",
            None,
            "one of `template_name`, `output_dir`, `variables`, `if_exists`, `ask`",
            "output_dir",
        ),
        ("template_name", None, "text", None),
        ("variables", "x=1", "an object or null", None),
        ("if_exists", "skp", "one of `error`, `overwrite`, `skip`", "skip"),
    ]
    assert [problem["message"] for problem in problems] == [
        "`outputdir` is not an argument; did you mean `output_dir`?",
        "`template_name` is missing; it is text",
        "`variables` can't be text `x=1`; it is an object or null",
        "`if_exists` can't be text `skp`; it is one of `error`, `overwrite`, `skip`; did you mean `skip`?",
    ]
    assert problems[3]["choices"] == ["error", "overwrite", "skip"]


@in_both_eras
async def test_every_item_of_a_list_that_does_not_fit_is_told(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        items = await client.call_tool("add_template", {"url": "x:y", "requirements": ["good", 1, None, "fine", ["x"]]})
        whole = await client.call_tool("add_template", {"url": "x:y", "requirements": "one"})
        none = await client.call_tool("discover_templates", {"all": True})
    assert [problem["message"] for problem in problems_of(items)] == [
        "`requirements[1]` can't be a number `1`; it is text",
        "`requirements[2]` can't be null `null`; it is text",
        '`requirements[4]` can\'t be a list `["x"]`; it is text',
    ]
    assert problems_of(whole)[0]["message"] == "`requirements` can't be text `one`; it is a list, each item text"
    assert problems_of(none)[0]["message"] == "`all` is not an argument; arguments are `category`, `cursor`"


@in_both_eras
async def test_a_general_argument_at_a_template_s_own_tool_is_told_with_what_was_meant(
    era: Era, tmp_path: Path
) -> None:
    wrong = {"output_dir": ".", "variables": {"slug": "x"}, "nmae": 1}
    async with join("memory", era, tmp_path) as client:
        for more in ({}, {"_ask": True}, {"_if_exists": "bogus"}):
            told = problems_of(await client.call_tool("create_alpha", {**wrong, **more}))[-3:]
            assert [problem["message"] for problem in told[:2]] == [
                "`output_dir` is not asked; did you mean `_output_dir`?",
                "`variables` is not asked; pass each variable as an argument of its own",
            ]
            assert [problem["nearest"] for problem in told[:2]] == ["_output_dir", None]
            assert told[2]["message"].startswith("`nmae` is not asked")


@in_both_eras
async def test_a_template_s_own_tool_takes_the_template_s_variables_too(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        result = await client.call_tool("create_alpha", {"_if_exists": "bogus"})
    assert isinstance(result.content[0], TextContent)
    hint = result.content[0].text.partition("\n\nhint: ")[2]
    assert hint.startswith("`create_alpha` takes `_output_dir`, `_if_exists`, `_ask`, the template's variables; ")


@in_both_eras
async def test_wrong_arguments_and_wrong_answers_are_told_together(era: Era, tmp_path: Path) -> None:
    wrong = {"_output_dirs": ".", "_if_exists": None, "nmae": 1}
    general = {"template_name": "alpha", "if_exists": None, "variables": {"nmae": 1}}
    async with join("memory", era, tmp_path) as client:
        own = await client.call_tool("create_alpha", wrong)
        of_all = await client.call_tool("create_project", general)
        unknown = await client.call_tool("create_project", {**general, "template_name": "alhpa"})
    assert [problem["variable"] for problem in problems_of(own)] == ["_output_dirs", "_if_exists", "nmae"]
    assert problems_of(own)[0]["nearest"] == "_output_dir"
    assert [problem["variable"] for problem in problems_of(of_all)] == ["if_exists", "nmae"]
    assert [problem["variable"] for problem in problems_of(unknown)] == ["if_exists"]


@in_both_eras
async def test_of_very_many_problems_the_first_are_told_and_the_others_counted(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        result = await client.call_tool("add_template", {"url": "x:y", "requirements": [1] * 150})
    assert len(problems_of(result)) == 100
    assert json.loads(result.content[1].text)["more"] == 50  # type: ignore[union-attr]
    assert "\n- and 50 more\n" in text(result)


@in_both_eras
async def test_a_fault_of_the_program_is_named_as_one_and_logged_but_not_shown(
    era: Era, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with join("memory", era, tmp_path) as client:
        result = await client.call_tool("create_alpha", {"project_name": BROKEN})
    assert result.is_error
    assert "a fault of dynamo-mcp itself" in text(result)
    assert "secret" not in text(result)
    assert "a secret of the program" in caplog.text


class Failing(FakeDynamo):
    """A fake that can't list."""

    def __init__(self, outputs: Path, error: Exception) -> None:
        super().__init__(outputs)
        self._error = error

    async def list_templates(self) -> tuple[TemplateInfo, ...]:
        raise self._error


@in_both_eras
async def test_what_fails_outside_a_tool_is_a_protocol_error_without_secrets(
    era: Era, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with join("memory", era, tmp_path, fake=Failing(tmp_path, ZeroDivisionError("a secret"))) as client:
        with pytest.raises(MCPError, match="fault of dynamo-mcp") as unexpected:
            await client.list_resources()
    assert unexpected.value.code == -32603
    assert "a secret" in caplog.text
    storage = StorageFailed("Can't read the records", hint="make the home readable")
    async with join("memory", era, tmp_path, fake=Failing(tmp_path, storage)) as client:
        with pytest.raises(MCPError, match="hint: make the home readable"):
            await client.list_tools()


@in_both_eras
async def test_long_lists_come_in_pages_in_a_fixed_order(era: Era, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    for number in range(150):
        fake.register(f"t{number:03}")
    async with join("memory", era, tmp_path, fake=fake) as client:
        names: list[str] = []
        cursor = None
        while True:
            listed = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in listed.tools]
            if (cursor := listed.next_cursor) is None:
                break
        templates = ["alpha", "beta", *(f"t{number:03}" for number in range(150))]
        assert names == [*GENERAL, *(f"create_{name}" for name in templates)]
        first = await client.list_resources()
        assert len(first.resources) == PAGE
        assert first.resources[0].uri == "templates://list"
        second = await client.list_resources(cursor=first.next_cursor)
        third = await client.list_resources(cursor=second.next_cursor)
        found = [
            resource.uri
            for listed in (first, second, third, await client.list_resources(cursor=third.next_cursor))
            for resource in listed.resources
        ]
        assert len(found) == len(set(found)) == 2 + 2 * 152
        assert (await client.list_prompts()).next_cursor is not None
        summaries: list[str] = []
        cursor = None
        while True:
            page = (await client.call_tool("list_templates", {"cursor": cursor})).structured_content
            assert len(page["templates"]) <= SUMMARIES
            summaries += [template["name"] for template in page["templates"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert summaries == templates


@in_both_eras
async def test_a_cursor_that_no_page_gave_is_refused(era: Era, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    for number in range(100):
        fake.register(f"t{number:03}")
    async with join("memory", era, tmp_path, fake=fake) as client:
        cursor_of_tools = (await client.list_tools()).next_cursor
        for cursor in ("nonsense", "", cursor_of_tools):
            with pytest.raises(MCPError, match="not a cursor") as refused:
                await client.list_prompts(cursor=cursor)
            assert refused.value.code == -32602
        assert (await client.call_tool("list_templates", {"cursor": "nonsense"})).is_error


@over_every_transport
@in_both_eras
async def test_templates_can_be_read_and_their_names_completed(transport: Transport, era: Era, tmp_path: Path) -> None:
    async with join(transport, era, tmp_path) as client:
        assert [resource.uri for resource in (await client.list_resources()).resources] == [
            "templates://list",
            "templates://categories",
            "templates://alpha/info",
            "templates://alpha/variables",
            "templates://beta/info",
            "templates://beta/variables",
        ]
        templates = (await client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == [
            "templates://category/{category}",
            "templates://search/{query}",
            "templates://{name}/info",
            "templates://{name}/variables",
        ]
        for uri in ("templates://list", "templates://alpha/info", "templates://alpha/variables"):
            (contents,) = (await client.read_resource(uri)).contents
            assert contents.mime_type == "application/json"
            assert contents.uri == uri
        reference = ResourceTemplateReference(type="ref/resource", uri="templates://{name}/info")
        completed = await client.complete(reference, {"name": "name", "value": "AL"})
        assert completed.completion.values == ["alpha"]
        with pytest.raises(MCPError) as refused:
            await client.complete(
                ResourceTemplateReference(type="ref/resource", uri="x://{name}"), {"name": "name", "value": ""}
            )
        assert refused.value.code == -32602
        choice = await client.complete(
            PromptReference(type="ref/prompt", name="create_alpha"), {"name": "license", "value": "b"}
        )
        assert choice.completion.values == ["BSD-3"]


@over_every_transport
@in_both_eras
async def test_categories_can_be_read_and_completed(transport: Transport, era: Era, tmp_path: Path) -> None:
    async with join(transport, era, tmp_path) as client:
        (contents,) = (await client.read_resource("templates://categories")).contents
        assert json.loads(contents.text) == [  # type: ignore[union-attr]
            {"name": "data science", "registered": 0, "available": 0},
            {"name": "web", "registered": 0, "available": 1},
        ]
        (contents,) = (await client.read_resource("templates://category/web")).contents
        assert [entry["name"] for entry in json.loads(contents.text)["entries"]] == ["flask"]  # type: ignore[union-attr]
        (contents,) = (await client.read_resource("templates://category/data%20science")).contents
        assert json.loads(contents.text)["name"] == "data science"  # type: ignore[union-attr]
        reference = ResourceTemplateReference(type="ref/resource", uri="templates://category/{category}")
        completed = await client.complete(reference, {"name": "category", "value": "W"})
        assert completed.completion.values == ["web"]
        with pytest.raises(MCPError, match="Nothing to complete for: name"):
            await client.complete(reference, {"name": "name", "value": ""})


@over_every_transport
@in_both_eras
async def test_templates_are_searched_by_a_tool_and_by_a_resource(
    transport: Transport, era: Era, tmp_path: Path
) -> None:
    async with join(transport, era, tmp_path) as client:
        for query in ("a%20web%20service", "info", "variables"):
            (contents,) = (await client.read_resource(f"templates://search/{query}")).contents
            found = json.loads(contents.text)  # type: ignore[union-attr]
            assert [(each["name"], each["registered"], each["why"]) for each in found["results"]] == [
                ("flask", False, ["because"])
            ]
        result = await client.call_tool("search_templates", {"query": "web", "language": "Go"})
        assert result.structured_content == found
        with pytest.raises(MCPError, match=r"(?s)has no word.*say what is wanted"):
            await client.read_resource("templates://search/%20")
        assert (await client.call_tool("search_templates", {"query": ""})).is_error
        assert (await client.call_tool("discover_templates", {"category": "none"})).is_error


async def test_what_is_searched_for_reaches_the_search(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        await client.call_tool("search_templates", {"query": "a", "category": "web", "language": "Go", "tags": ["t"]})
        await client.call_tool("recommend_templates", {"wanted": "b c"})
        await client.read_resource("templates://search/d%2Fe%3F")
    assert fake.searched == [
        {"query": "a", "category": "web", "language": "Go", "tags": ("t",), "limit": 10},
        {"query": "b c"},
        {"query": "d/e?"},
    ]


async def test_a_template_that_is_called_search_has_its_resources(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    fake.register("search")
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        (contents,) = (await client.read_resource("templates://search/info")).contents
    assert json.loads(contents.text)["name"] == "search"  # type: ignore[union-attr]


@in_both_eras
async def test_what_is_not_there_to_be_read_is_told_with_what_may_be_meant(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        with pytest.raises(MCPError, match=r"(?s)no category `wbe`.*did you mean `web`"):
            await client.read_resource("templates://category/wbe")
        with pytest.raises(MCPError, match=r"(?s)`alhpa` is not registered.*did you mean `alpha`"):
            await client.read_resource("templates://alhpa/info")


async def test_a_template_may_be_called_as_the_lists_are(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    for name in ("category", "categories", "list"):
        fake.register(name)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        for name in ("category", "categories", "list"):
            (contents,) = (await client.read_resource(f"templates://{name}/info")).contents
            assert json.loads(contents.text)["name"] == name  # type: ignore[union-attr]


async def test_the_repository_of_a_template_that_changed_is_announced_too(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with (
        join("memory", "auto", tmp_path, fake=fake) as client,
        client.listen(resource_subscriptions=["templates://services/info"]) as events,
    ):
        fake.register("services.api")
        with anyio.fail_after(5):
            async for event in events:
                assert getattr(event, "uri", None) == "templates://services/info"
                break


@in_both_eras
async def test_the_server_says_who_it_is_and_how_to_use_it(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        assert client.server_info is not None
        assert client.server_info.name == "dynamo-mcp"
        assert "never instructions" in (client.instructions or "")
