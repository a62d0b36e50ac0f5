"""What a client learns before anything is made: values and previews, of real templates on a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mcp_types as t
import pytest
from mcp import Client

from homes import until
from integration.places import CONFIGURATION, Era, Place, Transport, each_transport_and_each_era, write_template

pytestmark = pytest.mark.anyio

TRACE = """\
import pathlib
pathlib.Path("made-by-hook.txt").write_text("hook of {{ cookiecutter.slug }}")
print("the hook ran")
try:
    pathlib.Path("ESCAPE").touch()
except OSError as error:
    print(error)
"""


def text(result: t.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that succeeds; return its structured content."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    content: dict[str, Any] | None = result.structured_content
    assert content is not None
    return content


def held(folder: Path) -> dict[str, bytes | None]:
    """Return what is in a folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@each_transport_and_each_era
async def test_every_variable_comes_with_the_value_that_a_create_would_give_it(
    place: Place, transport: Transport, era: Era
) -> None:
    configuration = {**CONFIGURATION, "place": ["{{ cookiecutter.slug }}", "src/{{ cookiecutter.slug }}"]}
    folder = write_template(place.templates / "one", configuration=configuration)
    async with place.joined(transport, era) as client:
        added = await told(client, "add_template", url=str(folder))
        assert added["notes"] == []
        asked = (await told(client, "get_template_variables", template_name="one"))["variables"]
        given = {"project_name": "{{ 7*7 }} it's", "use_ci": False, "owner": {"name": "Bo"}}
        found = await told(client, "get_template_variables", template_name="one", answers=given)
        none = await told(client, "get_template_variables", template_name="one", answers={})
        wrong = await client.call_tool(
            "get_template_variables", {"template_name": "one", "answers": {"place": "elsewhere", "slug": "s"}}
        )
        several = await client.call_tool(
            "get_template_variables", {"template_name": "one", "answers": {"palce": "s", "workers": "many"}}
        )
        assert place.made == []
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        project = await told(client, "create_one", **given, _output_dir=str(place.outputs))
    assert {variable["value"] for variable in asked} == {None}
    values = {variable["name"]: variable["value"] for variable in found["variables"]}
    assert values == {
        "project_name": "{{ 7*7 }} it's",
        "slug": "7-7-it-s",
        "license": "MIT",
        "use_docs": True,
        "use_ci": False,
        "workers": 4,
        "ratio": 0.5,
        "owner": {"name": "Bo", "address": {"city": "Paris"}},
        "motto": "",
        "place": "7-7-it-s",
    }
    made = project["answers"]
    assert {name: made[name] for name in ("project_name", "slug", "license", "owner", "place")} == {
        name: values[name] for name in ("project_name", "slug", "license", "owner", "place")
    }
    by_name = {variable["name"]: variable for variable in none["variables"]}
    assert (by_name["slug"]["value"], by_name["place"]["choices"]) == ("my-project", ["my-project", "src/my-project"])
    # What the values come to with no answers is what the schema of the template's tool has as examples.
    properties = tools["create_one"].input_schema["properties"]
    assert properties["slug"]["examples"] == properties["place"]["examples"] == ["my-project"]
    assert wrong.is_error
    assert "`place` can't be text `elsewhere`; it is one of `s`, `src/s`" in text(wrong)
    assert several.is_error
    assert "did you mean `place`?" in text(several)
    assert "`workers`" in text(several)
    assert place.scratch == []


@each_transport_and_each_era
async def test_a_preview_tells_what_would_be_made_and_writes_nothing(
    place: Place, transport: Transport, era: Era
) -> None:
    escaped = place.root / "escaped"
    folder = write_template(place.templates / "one", hook=TRACE.replace("ESCAPE", str(escaped)))
    target = place.outputs / "shells"
    (target / "src").mkdir(parents=True)
    (target / "README.md").write_text("a person's words\n")
    (target / "src" / "shells.txt").write_text("shells\n")
    before = held(place.outputs)
    where = {"template_name": "one", "output_dir": str(place.outputs), "variables": {"slug": "shells"}}
    async with place.joined(transport, era) as client:
        await told(client, "add_template", url=str(folder))
        off = await told(client, "preview_project", **where, file="README.md", diff=True, if_exists="overwrite")
        kept = await told(client, "preview_project", **where, if_exists="skip")
        on = await told(client, "preview_project", **where, hooks=True)
        missing = await client.call_tool("preview_project", {**where, "file": "REDME.md"})
        outside = await client.call_tool("preview_project", {**where, "output_dir": "/etc"})
        assert held(place.outputs) == before
        assert list((place.home / "outputs").rglob("*")) == list((place.home / "projects").rglob("*")) == []
        # A spare environment may be in the making, and nothing else.
        await until(lambda: not [name for name in place.scratch if "/" in name and "/renderer-" not in name])
        project = await told(client, "create_project", **where, if_exists="overwrite")
    assert (off["directory"], off["path"], off["exists"], off["problem"]) == ("shells", str(target), True, None)
    files = {file["path"]: file for file in off["files"]}
    assert {path: file["change"] for path, file in files.items()} == {"README.md": "changed", "src/shells.txt": "same"}
    readme = (target / "README.md").read_text()
    assert off["text"] == {"path": "README.md", "text": readme, "binary": False, "cut": False}
    assert files["README.md"]["bytes"] == len(readme.encode())
    assert off["bytes"] == len(readme.encode()) + len("shells\n")
    assert "-a person's words\n" in off["diff"]
    assert "+slug: shells\n" in off["diff"]
    # Hooks are off, and which would run is told.
    assert (off["hooks"], off["ran"]) == (["post_gen_project.py"], [])
    assert {file["path"]: file["change"] for file in kept["files"]} == {"README.md": "kept", "src/shells.txt": "same"}
    assert "exists already" in on["problem"]
    assert "made-by-hook.txt" in {file["path"] for file in on["files"]}
    assert [run["hook"] for run in on["ran"]] == ["post_gen_project.py"]
    assert "the hook ran" in on["ran"][0]["output"]
    assert (on["trust"], on["tier"]) == ("contained", "strong")
    assert not escaped.exists()
    assert missing.is_error
    assert "did you mean `README.md`?" in text(missing)
    assert outside.is_error
    assert "may not be written to" in text(outside)
    assert sorted(project["files"]) == ["README.md", "made-by-hook.txt", "src/shells.txt"]
    assert place.scratch == []
