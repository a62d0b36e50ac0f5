"""A repository that holds several templates, and one that makes itself, over MCP and from a shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference

from integration.places import CONFIGURATION, Place, write_template
from integration.test_main_job import Told, add_and_hear, repository

pytestmark = pytest.mark.anyio

REWRITES = """\
import json
asked = json.load(open("cookiecutter.json"))
asked["colour"] = ["red", "blue"]
json.dump(asked, open("cookiecutter.json", "w"))
print("rewritten")
"""


def write_repository(folder: Path) -> Path:
    """Write a repository of two templates that work and one that is not there."""
    write_template(folder / "services" / "api", configuration={"slug": "an-api", "port": 80})
    write_template(folder / "cli", configuration={"slug": "a-shell"})
    templates = {
        "api": {"path": "./services/api", "title": "API", "description": "A service"},
        "cli": {"path": "./cli"},
        "gone": {"path": "./gone"},
    }
    (folder / "cookiecutter.json").write_text(json.dumps({"templates": templates}))
    for child in (folder / "services" / "api", folder / "cli"):
        (child / "{{cookiecutter.slug}}" / "README.md").write_text("{{cookiecutter.slug}}")
    return folder


async def tools(client: Client) -> dict[str, Any]:
    return {tool.name: tool for tool in (await client.list_tools()).tools}


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; return what it gave, which fits its own schema."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    given: dict[str, Any] | None = result.structured_content
    assert given is not None
    Draft202012Validator((await tools(client))[name].output_schema).validate(given)
    return given


@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
async def test_a_repository_of_several_templates_becomes_several_tools_and_is_removed_as_one(
    place: Place, era: Any
) -> None:
    url = repository(write_repository(place.templates / "services"))
    told = Told()
    async with place.joined("http", era, message_handler=told) as client:
        before = set(await tools(client))
        added = (await add_and_hear(client, told, url=url)).structured_content
        assert added is not None
        assert (added["name"], added["tool"], added["variables_cache"]) == ("services", "", None)
        assert [(child["name"], child["tool"], child["problem"]) for child in added["children"]] == [
            ("services.api", "create_services.api", None),
            ("services.cli", "create_services.cli", None),
            ("services.gone", None, "there is no folder `./gone`"),
        ]
        found = await tools(client)
        assert set(found) - before == {"create_services.api", "create_services.cli"}
        assert set(found["create_services.api"].input_schema["properties"]) == {
            "slug", "port", "_output_dir", "_if_exists", "_ask",
        }  # fmt: skip
        assert '"API: A service"' in found["create_services.api"].description
        project = await call(client, "create_services.api", port=81, _output_dir=str(place.outputs))
        assert project["files"] == ["README.md", "made-by-hook.txt", "src/an-api.txt"]
        listed = (await call(client, "list_templates"))["templates"]
        assert [(info["name"], info["group"]) for info in listed] == [
            ("services.api", "services"),
            ("services.cli", "services"),
        ]
        for tool in ("create_project", "preview_project", "get_template_variables"):
            missed = await client.call_tool(tool, {"template_name": "services"})
            assert missed.is_error
            assert "name one of them: `services.api`, `services.cli`" in missed.content[0].text  # type: ignore[union-attr]
        (whole,) = (await client.read_resource("templates://services/info")).contents
        children = json.loads(whole.text)["children"]  # type: ignore[union-attr]
        assert [child["name"] for child in children] == ["services.api", "services.cli"]
        reference = ResourceTemplateReference(type="ref/resource", uri="templates://{name}/info")
        completed = await client.complete(reference, {"name": "name", "value": "ser"})
        assert completed.completion.values == ["services", "services.api", "services.cli"]
        with pytest.raises(MCPError, match="Unknown prompt"):
            await client.get_prompt("create_services")
        change = await call(client, "update_template", template_name="services")
        assert not change["changed"]
        assert "`services.api`, `services.cli`" in (
            await call(client, "remove_template", template_name="services")
        )["message"]  # fmt: skip
        assert set(await tools(client)) == before
    assert place.scratch == []


async def test_a_hook_that_rewrites_the_questions_gives_a_tool_that_asks_the_rewritten_ones(place: Place) -> None:
    folder = write_template(place.templates / "painted", configuration={**CONFIGURATION, "slug": "painted"})
    (folder / "hooks" / "pre_prompt.py").write_text(REWRITES)
    (folder / "{{cookiecutter.slug}}" / "colour").write_text("{{cookiecutter.colour}}")
    async with place.joined("stdio", "2026-07-28") as client:
        added = await call(client, "add_template", url=str(folder))
        assert "colour" in [variable["name"] for variable in added["variables_cache"]]
        tool = (await tools(client))["create_painted"]
        assert tool.input_schema["properties"]["colour"]["enum"] == ["red", "blue"]
        project = await call(client, "create_painted", colour="blue", _output_dir=str(place.outputs))
        assert [(run["hook"], run["output"]) for run in project["hooks"]] == [
            ("pre_prompt.py", "rewritten\n"),
            ("post_gen_project.py", "the hook ran\n"),
        ]
        (folder / "hooks" / "pre_prompt.py").write_text("print('no colours left'); raise SystemExit(2)")
        failed = await client.call_tool("update_template", {"template_name": "painted"})
        assert failed.is_error
        assert "no colours left" in failed.content[0].text  # type: ignore[union-attr]
        assert "create_painted" in await tools(client)
    assert (place.outputs / "painted" / "colour").read_text() == "blue"


async def test_a_shell_says_what_of_a_repository_can_be_used(place: Place) -> None:
    folder = write_repository(place.templates / "services")
    said, _ = await place.run("add", str(folder))
    assert said.startswith(f"added 2 of the 3 templates of {folder}\n")
    assert "can't be used: there is no folder `./gone`" in said
    assert "dynamo-mcp create services.api -o FOLDER" in said
    assert f"{folder} in services/api" in (await place.run("list"))[0]
    await place.run("create", "services.cli", "-o", "made")
    for command in ("create", "preview", "variables"):
        _, shown = await place.run(command, "services", code=3)
        assert "name one of them: `services.api`, `services.cli`" in shown
    (folder / "gone").mkdir()
    (folder / "services" / "api" / "cookiecutter.json").write_text('{"slug": "s", "more": "m"}')
    said, _ = await place.run("update", "services")
    assert "variables added: services.api: more" in said
    assert "services.gone can't be used as it is there" in said
    assert "`services.api`, `services.cli`" in (await place.run("remove", "services"))[0]
    _, shown = await place.run("add", str(place.templates), code=1)
    assert "but in the folders `services`, `services/cli`, `services/services/api`" in shown
