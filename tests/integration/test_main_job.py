"""The main job: a template becomes a tool, and a call becomes a project."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from jsonschema import Draft202012Validator
from mcp import Client

from integration.places import ANSWERS, RENDERED, SECONDS, Era, Place, Transport, write_template

pytestmark = pytest.mark.anyio


def repository(folder: Path) -> str:
    """Turn a template into a git repository; return its URL."""
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True, timeout=SECONDS)
    return folder.as_uri()


class Told:
    """Remembers that the list of tools was said to have changed, in whichever era."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    async def __call__(self, message: Any) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            self.event.set()


async def add_and_hear(client: Client, told: Told, **arguments: Any) -> t.CallToolResult:
    """Add a template; return when the client has been told that there is a new tool."""
    with anyio.fail_after(SECONDS):
        if client.protocol_version == "2026-07-28":
            async with client.listen(tools_list_changed=True) as changes:
                result = await client.call_tool("add_template", arguments)
                assert not result.is_error, result.content
                async for _ in changes:
                    return result
        told.event = anyio.Event()
        result = await client.call_tool("add_template", arguments)
        assert not result.is_error, result.content
        await told.event.wait()
    return result


@pytest.mark.parametrize("transport", ["stdio", "http", "sse"])
@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
async def test_templates_from_git_and_from_a_folder_become_tools_and_calls_become_projects(
    place: Place, transport: Transport, era: Era
) -> None:
    folder = write_template(place.templates / "folder-one")
    url = repository(write_template(place.templates / "git-one"))
    told = Told()
    async with place.joined(transport, era, message_handler=told) as client:
        assert (client.protocol_version == "2026-07-28") == (era == "2026-07-28")
        before = {tool.name for tool in (await client.list_tools()).tools}
        for address, name in ((str(folder), "folder-one"), (url, "git-one")):
            added = await add_and_hear(client, told, url=address)
            assert added.structured_content is not None
            assert added.structured_content["name"] == name
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) - before == {f"create_{name}"}
            before = set(tools)
            await create_with_every_kind_of_variable(client, tools[f"create_{name}"], place.outputs / name)
    assert place.scratch == []


async def create_with_every_kind_of_variable(client: Client, tool: t.Tool, folder: Path) -> None:
    Draft202012Validator(tool.input_schema).validate(ANSWERS)
    assert list(tool.input_schema["properties"])[:4] == ["project_name", "slug", "license", "use_docs"]
    assert tool.input_schema["properties"]["license"]["enum"] == ["MIT", "BSD-3-Clause", "Apache-2.0"]
    reported: list[float] = []
    done = False

    async def progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        assert not done
        reported.append(progress)

    result = await client.call_tool(tool.name, {**ANSWERS, "_output_dir": str(folder)}, progress_callback=progress)
    done = True
    assert not result.is_error, result.content
    assert len(reported) >= 5
    assert reported == sorted(set(reported))
    project = result.structured_content
    assert project is not None
    assert tool.output_schema is not None
    Draft202012Validator(tool.output_schema).validate(project)
    path = Path(project["path"])
    assert path == folder / "literal-slug"
    assert project["files"] == ["README.md", "made-by-hook.txt", "src/literal-slug.txt"]
    assert (path / "README.md").read_text() == RENDERED
    assert (path / "made-by-hook.txt").read_text() == "hook of literal-slug"
    assert project["answers"]["use_ci"] == "n"
    assert project["hooks"][0]["output"] == "the hook ran\n"
    assert (project["trust"], project["tier"]) == ("contained", "strong")


@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
async def test_an_edit_of_a_live_template_changes_its_tool_without_a_restart(place: Place, era: Era) -> None:
    folder = write_template(place.templates / "living")
    told = Told()
    async with place.joined("http", era, message_handler=told) as client:
        await add_and_hear(client, told, url=str(folder), live=True)
        tool = {tool.name: tool for tool in (await client.list_tools()).tools}["create_living"]
        assert "colour" not in tool.input_schema["properties"]
        with anyio.fail_after(SECONDS):
            if era == "legacy":
                told.event = anyio.Event()
                (folder / "cookiecutter.json").write_text('{"slug": "s", "colour": ["red", "blue"]}')
                await told.event.wait()
            else:
                async with client.listen(tools_list_changed=True) as changes:
                    (folder / "cookiecutter.json").write_text('{"slug": "s", "colour": ["red", "blue"]}')
                    async for _ in changes:
                        break
        tool = {tool.name: tool for tool in (await client.list_tools()).tools}["create_living"]
        assert tool.input_schema["properties"]["colour"]["enum"] == ["red", "blue"]


async def test_what_a_command_in_a_shell_adds_and_removes_is_announced_to_clients(place: Place) -> None:
    folder = write_template(place.templates / "other")
    told = Told()
    async with place.joined("stdio", "legacy", message_handler=told) as client:
        await client.list_tools()
        await place.run("add", str(folder))
        with anyio.fail_after(SECONDS):
            await told.event.wait()
        assert "create_other" in {tool.name for tool in (await client.list_tools()).tools}
        told.event = anyio.Event()
        await place.run("remove", "other")
        with anyio.fail_after(SECONDS):
            await told.event.wait()
        assert "create_other" not in {tool.name for tool in (await client.list_tools()).tools}
