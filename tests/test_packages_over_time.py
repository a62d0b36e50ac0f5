"""What becomes of a template of a package index when its author withdraws a version, or a file pins one?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, InvalidLocation
from dynamo_mcp.manifest import Entry, Manifest
from dynamo_mcp.syncing import act, plan
from homes import Home, base_environments
from sources.index_server import TEMPLATE, Index, serving, wheel

pytestmark = pytest.mark.anyio

README = "{{cookiecutter.slug}}/README.md"
NEWER = "tmpl-2.0-py3-none-any.whl"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as index:
        index.put("tmpl-1.0-py3-none-any.whl", wheel({**TEMPLATE, README: "one"}))
        yield index


async def sync(dynamo: Dynamo, entry: Entry) -> str:
    (action,) = plan(Manifest(1, (entry,)), dynamo.export(), prune=False, settings=dynamo.settings)
    return (await act(dynamo, action, vouched=False)).did


async def test_a_version_that_is_withdrawn_stays_only_where_it_was_named(home: Home, index: Index) -> None:
    newer = index.put(NEWER, wheel({**TEMPLATE, README: "two"}, version="2.0"))
    async with home.open({"UV_INDEX": index.url}, person=True) as dynamo:
        await dynamo.add_template("pypi:tmpl", name="newest")
        await dynamo.add_template("pypi:tmpl==2.0", name="named")
        newer["yanked"] = "harms"
        assert not (await dynamo.update_template("named")).changed
        change = await dynamo.update_template("newest")
        assert (change.from_revision, change.to_revision) == ("2.0", "1.0")
        index.pages["tmpl"][0]["yanked"] = True
        with pytest.raises(InvalidLocation, match="withdrawn by its author"):
            await dynamo.update_template("newest")
        assert (await dynamo.template_info("newest")).revision == "1.0"
        for name in ("newest", "named"):
            await dynamo.create_project(name, str(home.outputs), {"slug": name})
    made = {name: (home.outputs / name / "README.md").read_text() for name in home.made}
    assert made == {"named": "two", "newest": "one"}


async def test_a_file_brings_a_package_to_the_version_that_it_pins_and_updates_follow_the_newest(
    home: Home, index: Index
) -> None:
    async with home.open({"UV_INDEX": index.url}, person=True) as dynamo:
        await dynamo.add_template("pypi:tmpl", name="one")
        (entry,) = dynamo.export().template
        assert (entry.location, entry.checkout, entry.revision) == ("pypi:tmpl", None, "1.0")
        index.put(NEWER, wheel({**TEMPLATE, README: "two"}, version="2.0"))
        assert await sync(dynamo, entry) == "keep"
        assert (await dynamo.update_template("one")).to_revision == "2.0"
        assert await sync(dynamo, entry) == "update"
        assert (await dynamo.template_info("one")).revision == "1.0"
        await dynamo.remove_template("one")
        index.pages["tmpl"][0]["yanked"] = "old"
        assert await sync(dynamo, entry) == "add"
        assert dynamo.export().template == (entry,)
        del index.pages["tmpl"][0]
        await dynamo.remove_template("one")
        with pytest.raises(DynamoError, match="no version `1.0`"):  # noqa: RUF043 - it is that text
            await sync(dynamo, entry)
        assert dynamo.export().template == ()
