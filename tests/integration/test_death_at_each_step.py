"""At whichever step of an add or an update a server dies, what is registered is whole, and the next try works."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from mcp import Client

from dynamo_mcp.progress import STEPS_OF_ADD
from homes import commit
from integration.places import Place, kill_when, write_template

pytestmark = pytest.mark.anyio

Kind: TypeAlias = Literal["git", "archive"]
ALL = range(len(STEPS_OF_ADD))
FETCHED = range(ALL[STEPS_OF_ADD.index("fetch")], ALL[STEPS_OF_ADD.index("fetch")] + 2)
"""The steps in which it matters where a template comes from: while it is fetched, and just after."""
of_each_kind = pytest.mark.parametrize(("kind", "steps"), [("git", ALL), ("archive", FETCHED)])


class Source:
    """A template that comes from somewhere, and its newest text."""

    def __init__(self, place: Place, kind: Kind) -> None:
        self._kind = kind
        self._folder = write_template(place.templates / "one", hook=None)
        self._archive = place.templates / "one.tar.gz"
        self.text = ""
        self.write("first")

    @property
    def url(self) -> str:
        return f"file://{self._folder}" if self._kind == "git" else str(self._archive)

    def write(self, text: str) -> None:
        self.text = text
        (self._folder / "{{cookiecutter.slug}}" / "said").write_text(text)
        if self._kind == "git":
            commit(self._folder)
        else:
            with tarfile.open(self._archive, "w:gz") as made:
                made.add(self._folder, "one-1.0")


async def kill_at(place: Place, step: int, tool: str, arguments: dict[str, Any]) -> None:
    await kill_when(place, tool, arguments, lambda position, _: position >= step)


async def done(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def made(client: Client, place: Place, slug: str) -> str:
    """Return what a project of the template as it is registered says."""
    project = await done(client, "create_one", {"slug": slug, "_output_dir": str(place.outputs)})
    return (Path(project["path"]) / "said").read_text()


@of_each_kind
async def test_an_add_that_dies_at_any_step_is_whole_or_not_there(place: Place, kind: Kind, steps: range) -> None:
    source = Source(place, kind)
    add = {"url": source.url, "name": "one"}
    for step in steps:
        await kill_at(place, step, "add_template", add)
        async with place.joined("http", "2026-07-28") as client:
            if not (await done(client, "list_templates", {}))["templates"]:
                await done(client, "add_template", add)
            assert await made(client, place, f"add-{step}") == source.text
            await done(client, "remove_template", {"template_name": "one"})
        assert place.scratch == []


@of_each_kind
async def test_an_update_that_dies_at_any_step_leaves_old_or_new(place: Place, kind: Kind, steps: range) -> None:
    source = Source(place, kind)
    async with place.joined("http", "2026-07-28") as client:
        await done(client, "add_template", {"url": source.url, "name": "one"})
    update = {"template_name": "one"}
    for step in steps:
        old = source.text
        source.write(f"at {step}")
        await kill_at(place, step, "update_template", update)
        async with place.joined("http", "2026-07-28") as client:
            assert await made(client, place, f"after-{step}") in {old, source.text}
            await done(client, "update_template", update)
            assert await made(client, place, f"then-{step}") == source.text
        assert place.scratch == []
