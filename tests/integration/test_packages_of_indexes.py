"""Templates that come from a package index, from the shell and from an agent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from integration.places import SECONDS, Place
from sources.index_server import TEMPLATE, Index, inside, sdist, serving, wheel

pytestmark = pytest.mark.anyio

FILES = {**TEMPLATE, "hooks/post_gen_project.py": "print('the hook ran')"}


@pytest.fixture
def index(place: Place) -> Iterator[Index]:
    with serving() as index:
        place.environment["UV_INDEX"] = index.url.replace("//", "//me:swordfish@")
        yield index


async def test_a_package_is_added_created_from_and_updated(place: Place, index: Index) -> None:
    index.put("web_template-1.0-py3-none-any.whl", wheel(FILES, name="web_template"), package="web-template")
    said, steps = await place.run("add", "pypi:Web_Template", "--json")
    added = json.loads(said)
    assert (added["name"], added["url"], added["revision"]) == ("web", "pypi:web-template", "1.0")
    assert added["origin"].partition("#sha256=")[0].endswith("/files/web_template-1.0-py3-none-any.whl")
    pinned = json.loads((await place.run("add", "pypi:web-template==1.0", "--name", "pinned", "--json"))[0])
    assert pinned["digest"] == added["digest"]
    await place.run("create", "web", "-o", "made")
    assert (place.root / "made" / "x" / "README.md").read_text() == "# x\n"
    newer = {**FILES, "cookiecutter.json": '{"slug": "x", "more": "y"}'}
    index.put("web_template-2.0.tar.gz", sdist(newer, name="web_template", version="2.0"), package="web-template")
    change = json.loads((await place.run("update", "web", "--json"))[0])
    assert (change["from_revision"], change["to_revision"], change["variables_added"]) == ("1.0", "2.0", ["more"])
    assert not json.loads((await place.run("update", "pinned", "--json"))[0])["changed"]
    # What an update can't have leaves the template as it was.
    index.ways["/simple/web-template/"] = ["404"]
    assert "No index has a package" in (await place.run("update", "web", code=1))[1]
    await place.run("create", "web", "-o", "again")
    records = "".join(path.read_text() for path in (place.home / "templates").iterdir())
    assert "swordfish" not in said + steps + records
    assert index.asked[0][1] is not None


async def test_a_package_of_several_templates_is_one_of_them_or_all(place: Place, index: Index) -> None:
    several = {**inside("pkg/one"), **inside("pkg/two")}
    index.put("tmpl-1.0-py3-none-any.whl", wheel(several))
    said = " ".join((await place.run("add", "pypi:tmpl", code=1))[1].split())
    assert "in the folders `pkg/one`, `pkg/two`" in said
    assert "`--directory`" in said
    assert json.loads((await place.run("add", "pypi:tmpl", "--directory", "pkg/two", "--json"))[0])["name"] == "two"
    listing = {"templates": {name: {"path": f"./{name}", "title": name} for name in ("one", "two")}}
    index.put(
        "all-1.0-py3-none-any.whl",
        wheel({**several, "pkg/cookiecutter.json": json.dumps(listing)}, name="all"),
        package="all",
    )
    added = json.loads((await place.run("add", "pypi:all", "--json"))[0])
    assert [child["name"] for child in added["children"]] == ["all.one", "all.two"]
    await place.run("update", "all")


async def test_an_add_that_is_killed_in_the_middle_leaves_nothing_and_is_done_again(place: Place, index: Index) -> None:
    index.put("tmpl-1.0-py3-none-any.whl", wheel(FILES))
    index.ways["/files/tmpl-1.0-py3-none-any.whl"] = ["hang", "hang", ""]
    command = [sys.executable, "-m", "dynamo_mcp", "add", "pypi:tmpl"]
    async with await anyio.open_process(command, env=place.environment, cwd=place.root) as adding:
        with anyio.fail_after(SECONDS):
            assert await anyio.to_thread.run_sync(index.stalled.wait, SECONDS)
        adding.kill()
    assert json.loads((await place.run("list", "--json"))[0])["templates"] == []
    assert place.scratch == []
    assert json.loads((await place.run("add", "pypi:tmpl", "--json"))[0])["revision"] == "1.0"


async def test_an_agent_adds_a_package(place: Place, index: Index) -> None:
    index.put("tmpl-1.0-py3-none-any.whl", wheel(FILES))
    async with place.joined("stdio", "2026-07-28") as client:
        added = await client.call_tool("add_template", {"url": "pypi:tmpl", "checkout": "1.0"})
        assert not added.is_error, added
        made = await client.call_tool("create_tmpl", {"slug": "sea", "_output_dir": str(place.outputs)})
        assert not made.is_error, made
        refused = await client.call_tool("add_template", {"url": "pypi:tmpl>=1", "name": "other"})
        assert refused.is_error
    assert place.made == ["sea"]
