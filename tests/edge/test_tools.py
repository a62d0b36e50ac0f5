"""The general tools and those of templates: what reaches `Dynamo`, and what comes back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ClientCapabilities, ResourceLink, TextContent, TextResourceContents

from dynamo_mcp.errors import InvalidTemplate, StorageFailed, UsageError
from dynamo_mcp.listed import MOST, Listed
from dynamo_mcp.project_views import Project
from dynamo_mcp.results import PAGE, PAGE_BYTES, created, page
from dynamo_mcp.server import build
from dynamo_mcp.template_tools import TemplateTools
from dynamo_mcp.tools import GENERAL_TOOLS
from edge.joining import Draft202012Validator, Era, in_both_eras, join
from fakes import FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

    from dynamo_mcp.views import VariableInfo

pytestmark = pytest.mark.anyio


async def test_create_project_passes_everything_on_and_takes_defaults_for_the_rest(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        await client.call_tool("create_project", {"template_name": "alpha"})
        await client.call_tool("create_project", {"template_name": "alpha", "output_dir": None, "variables": None})
        await client.call_tool(
            "create_project",
            {"template_name": "beta", "output_dir": "x", "variables": {"project_name": "P"}, "if_exists": "overwrite"},
        )
    default: dict[str, Any] = {"template": "alpha", "output_dir": None, "variables": {}, "if_exists": "error"}
    assert fake.created == [
        default,
        default,
        {"template": "beta", "output_dir": "x", "variables": {"project_name": "P"}, "if_exists": "overwrite"},
    ]


async def test_preview_project_passes_everything_on(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    given = {"output_dir": "x", "variables": {"port": 1}, "if_exists": "skip", "file": "a", "diff": True, "hooks": True}
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        result = await client.call_tool("preview_project", {"template_name": "alpha", **given})
        await client.call_tool("preview_project", {"template_name": "alpha"})
    assert fake.previewed == [
        {"template": "alpha", **given},
        {
            "template": "alpha",
            "output_dir": None,
            "variables": {},
            "if_exists": "error",
            "file": None,
            "diff": False,
            "hooks": False,
        },
    ]
    assert fake.created == []
    assert isinstance(result.content[0], TextContent)
    assert result.content[0].text == (
        f"`{tmp_path}/x/my-project` would be made from template `alpha` (3 files; 12 bytes; a create would refuse, see "
        "`problem`); nothing was written"
    )


async def test_the_tool_of_a_template_keeps_its_own_arguments_apart_from_the_variables(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        await client.call_tool("create_beta", {"project_name": "P", "_output_dir": "x", "_if_exists": "skip"})
        await client.call_tool("create_beta")
    assert fake.created == [
        {"template": "beta", "output_dir": "x", "variables": {"project_name": "P"}, "if_exists": "skip"},
        {"template": "beta", "output_dir": None, "variables": {}, "if_exists": "error"},
    ]


async def test_a_created_project_is_told_to_a_person_to_a_machine_and_as_a_link() -> None:
    project = Project(
        id="1",
        path="/out/my project",
        files=("a",),
        answers={},
        template="alpha",
        revision="r",
        trust="contained",
        tier="strong",
        mechanisms=(),
        hooks=(),
        left_out=("b: a link that leaves the project",),
        kept=("c",),
        seconds={},
    )
    line, machine, link = created(project).content
    assert isinstance(line, TextContent)
    assert line.text == (
        "Created `/out/my project` from template `alpha` (1 file; trust contained, confinement strong; "
        "1 existing kept; 1 left out, see `left_out`)"
    )
    assert isinstance(machine, TextContent)
    assert msgspec.json.decode(machine.text, type=Project) == project
    assert isinstance(link, ResourceLink)
    assert link.uri == "file:///out/my%20project"


class Huge(FakeDynamo):
    """A fake that makes, and keeps, more files than a model can read."""

    async def create_project(self, *given: Any, **options: Any) -> Project:
        project = await super().create_project(*given, **options)
        files = tuple(f"{number:05}" for number in range(20_000))
        return msgspec.structs.replace(project, files=files, kept=files[:501], notes=("one of the project",))


@in_both_eras
async def test_of_very_many_files_the_first_are_listed_and_the_others_counted(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path, fake=Huge(tmp_path)) as client:
        schema = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}["create_beta"]
        result = await client.call_tool("create_beta", {"_ask": True})
    project = result.structured_content
    Draft202012Validator(schema or {}).validate(project)
    assert project["files"] == [f"{number:05}" for number in range(500)]
    assert (project["more_files"], len(project["kept"]), project["more_kept"]) == (19_500, 500, 1)
    assert project["notes"] == [
        "one of the project",
        "`files` lists the first 500 of 20000; the others are below `path` too",
        "`kept` lists the first 500 of 501; the others are below `path` too",
        "the client can't show a form: the defaults were taken for `project_name`",
    ]
    assert isinstance(result.content[0], TextContent)
    assert "(20000 files;" in result.content[0].text
    assert "501 existing kept; 3 worth knowing, see `notes`)" in result.content[0].text


async def test_a_tool_says_what_it_reads_changes_and_reaches(tmp_path: Path) -> None:
    async with join("memory", "auto", tmp_path) as client:
        tools = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
    assert all(tools.values())
    flags = {
        name: (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        for name, hints in tools.items()
        if hints is not None
    }
    assert flags == {
        "list_templates": (True, False, True, True),
        "get_template_variables": (True, False, True, False),
        "add_template": (False, False, False, True),
        "create_project": (False, True, False, False),
        "update_template": (False, False, True, True),
        "remove_template": (False, True, False, False),
        "discover_templates": (True, False, True, False),
        "search_templates": (True, False, True, False),
        "recommend_templates": (True, False, True, False),
        "preview_project": (True, False, True, False),
        "create_alpha": (False, True, False, False),
        "create_beta": (False, True, False, False),
    }


async def test_newer_revisions_are_told_when_asked(tmp_path: Path) -> None:
    async with join("memory", "auto", tmp_path) as client:
        told = (await client.call_tool("list_templates", {"check": True})).structured_content
        assert told is not None
        assert [each["newer"]["state"] for each in told["templates"]] == ["newer", "newer"]
        told = (await client.call_tool("list_templates", {})).structured_content
        assert told is not None
        assert [each["newer"] for each in told["templates"]] == [None, None]
        for uri, state in (("templates://alpha/info", None), ("templates://alpha/info?check=true", "newer")):
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            newer = json.loads(content.text)["newer"]
            assert (newer and newer["state"]) == state


async def test_templates_whose_records_can_not_be_read_are_told_on_the_first_page(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        told = (await client.call_tool("list_templates", {})).structured_content
        assert told is not None
        assert told["notes"] == []
        fake.damaged = tuple(f"broken-{number}\x1b[2J" for number in range(7))
        for number in range(50):
            fake.register(f"more-{number:02}")
        told = (await client.call_tool("list_templates", {})).structured_content
        assert told is not None
        assert len(told["notes"]) == 6
        assert told["notes"][0].startswith("`broken-0")
        assert "`dynamo-mcp remove broken-0" in told["notes"][0].replace("(", "")
        assert told["notes"][-1] == "and 2 more are left out"
        assert "\x1b" not in "".join(told["notes"])
        following = (await client.call_tool("list_templates", {"cursor": told["next_cursor"]})).structured_content
        assert following is not None
        assert following["notes"] == []


async def test_a_template_that_can_not_be_used_now_has_no_tool_and_no_prompt(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    fake.register("beta", active=False)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        assert "create_beta" not in [tool.name for tool in (await client.list_tools()).tools]
        assert "create_beta" not in [prompt.name for prompt in (await client.list_prompts()).prompts]


class Broken(FakeDynamo):
    """A fake whose `beta` broke since it was listed."""

    async def get_template_variables(self, template_name: str, *given: Any, **options: Any) -> tuple[VariableInfo, ...]:
        if template_name == "beta":
            raise InvalidTemplate("`cookiecutter.json` is no JSON", hint="mend it")
        return await super().get_template_variables(template_name, *given, **options)


async def test_a_template_that_broke_hides_no_other_and_says_so_when_it_is_called(tmp_path: Path) -> None:
    async with join("memory", "auto", tmp_path, fake=Broken(tmp_path)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools][len(GENERAL_TOOLS) :] == ["create_alpha"]
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["create_alpha"]
        result = await client.call_tool("create_beta")
        assert result.is_error
        assert isinstance(result.content[0], TextContent)
        assert result.content[0].text == "`cookiecutter.json` is no JSON\n\nhint: mend it"


async def test_a_tool_is_built_anew_only_when_its_template_changed(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    tools = TemplateTools(fake.dynamo)
    before = await tools.tools()
    again = await tools.tools()
    assert [id(tool) for tool in again] == [id(tool) for tool in before]
    fake.register("beta", variables=())
    after = await tools.tools()
    assert after[0] is before[0]
    assert list(after[1].input_schema["properties"]) == ["_output_dir", "_if_exists", "_ask"]
    assert tools.schema("create_beta") == after[1].input_schema
    await fake.remove_template("beta")
    assert [tool.name for tool in await tools.tools()] == ["create_alpha"]
    assert tools.schema("create_beta") is None


class Counted(FakeDynamo):
    """A fake that gives the same schema of a template as long as it is the same, as `Dynamo` does."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(outputs)
        self.schemas: dict[str, dict[str, Any]] = {}

    async def json_schema(self, template_name: str) -> dict[str, Any]:
        if template_name not in self.schemas:
            self.schemas[template_name] = await super().json_schema(template_name)
        return self.schemas[template_name]


@in_both_eras
async def test_a_list_of_tools_is_made_once_as_long_as_no_tool_has_changed(era: Era, tmp_path: Path) -> None:
    fake = Counted(tmp_path)
    for number in range(PAGE):
        fake.register(f"t{number:03}", variables=())
    made: list[str] = []

    async def count(ctx: Any, call_next: Any) -> Any:
        made.append(ctx.method)
        return await call_next(ctx)

    server = build(fake.dynamo)
    server.middleware.append(count)  # asked only for what is made
    async with Client(server, mode=era, read_timeout_seconds=20) as client:

        async def listed() -> tuple[list[str], int]:
            made.clear()
            first = await client.list_tools(cache_mode="bypass")
            second = await client.list_tools(cursor=first.next_cursor, cache_mode="bypass")
            names = [tool.name for page in (first, second) for tool in page.tools]
            return names, made.count("tools/list")

        names, asked = await listed()
        assert asked == 2
        assert len(names) == len(set(names)) == PAGE + len(GENERAL_TOOLS) + 2
        assert await listed() == (names, 0)
        fake.register("t000", description="Another", variables=())
        assert await listed() == (names, 2)
        await fake.remove_template("t000")
        assert await listed() == ([name for name in names if name != "create_t000"], 2)
        with pytest.raises(MCPError, match="is not a cursor"):
            await client.list_tools(cursor="nonsense", cache_mode="bypass")


async def test_a_list_that_is_known_is_refused_as_the_sdk_refuses_it_and_few_are_kept() -> None:
    made: list[Any] = []
    failing = False

    async def tools() -> tuple[Any, ...]:
        if failing:
            raise StorageFailed("The records can't be read", hint="mend them")
        return ()

    async def make(ctx: Any) -> dict[str, Any]:
        made.append(ctx.params)
        return {"tools": []}

    listed = Listed(tools, tools, lambda _tool, _arguments: pytest.fail("it was no call"))

    async def ask(params: Any, capabilities: ClientCapabilities | None = ClientCapabilities()) -> int:  # noqa: B008
        made.clear()
        session = SimpleNamespace(client_capabilities=capabilities)
        ctx: Any = SimpleNamespace(method="tools/list", params=params, protocol_version="2025-11-25", session=session)
        await listed(ctx, make)
        return len(made)

    assert [await ask(None), await ask(None), await ask({})] == [1, 0, 0]
    assert [await ask({"cursor": 7}), await ask({"cursor": 7})] == [1, 1]
    assert await ask(None, None) == 1  # there was no handshake
    for number in range(MOST):
        await ask({"cursor": str(number)})
    assert await ask(None) == 1
    failing = True
    assert await ask(None) == 1


def test_a_page_neither_repeats_nor_skips_when_the_list_changes_in_between() -> None:
    names = [f"t{number:03}" for number in range(0, 400, 2)]
    first, cursor = page(names, None, of="tests", key=str)
    changed = sorted({*names, "t001", "t003", "t301"} - {first[-1]})
    second, following = page(changed, cursor, of="tests", key=str)
    assert list(second) == [name for name in changed if name > first[-1]][:PAGE]
    assert "t301" in second
    assert following is not None


def test_the_last_page_has_no_cursor_even_when_it_is_full() -> None:
    names = [f"t{number:03}" for number in range(PAGE)]
    assert page(names, None, of="tests", key=str) == (names, None)
    assert page([], None, of="tests", key=str) == ([], None)


def test_a_page_ends_before_it_is_too_large_and_is_never_empty() -> None:
    items = ["a" * (PAGE_BYTES // 2), "b" * (PAGE_BYTES // 2 - 9), "c" * (2 * PAGE_BYTES), "d", "e"]
    pages: list[list[str]] = []
    cursor = None
    while not pages or (cursor is not None and len(pages) < len(items)):
        found, cursor = page(items, cursor, of="tests", key=lambda item: item[0])
        pages.append([item[0] for item in found])
    assert pages == [["a", "b"], ["c"], ["d", "e"]]


def test_a_cursor_of_another_list_is_refused() -> None:
    names = [f"t{number:03}" for number in range(PAGE + 1)]
    _, cursor = page(names, None, of="tests", key=str)
    with pytest.raises(UsageError, match="not a cursor of the list of others"):
        page(names, cursor, of="others", key=str)
