"""What an update changed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.changes import Difference, Look, difference, look, look_back, together
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.types import Location, Template
from dynamo_mcp.views import VariableChange, VariableInfo
from homes import write_template

pytestmark = pytest.mark.anyio

NOTHING = Look({}, {})


def template(path: Path, **fields: object) -> Template:
    location = Location("local", str(path))
    plain = Template("one", "One", location, path, path, "digest", "2026-01-01T00:00:00+00:00")
    return msgspec.structs.replace(plain, **fields)


def question(default: object) -> VariableInfo:
    return VariableInfo("slug", "Slug", default, None, required=False, type="string")


def test_another_version_of_a_package_is_removed_and_added(tmp_path: Path) -> None:
    old, new = (template(tmp_path, requirements=each) for each in (("a>=1", "b"), ("a>=2", "b", "c")))
    told = difference(old, new, NOTHING, NOTHING)
    assert (told.requirements_added, told.requirements_removed) == (("a>=2", "c"), ("a>=1",))


async def test_of_a_live_folder_hooks_are_not_told_since_it_is_not_known_what_they_were(tmp_path: Path) -> None:
    folder = write_template(tmp_path / "one", post_gen_project="1")
    live = template(folder, location=Location("local", str(folder), live=True), asked={"slug": "1"})
    schemas = SchemaCache()
    before = await look_back(live, schemas)
    now = msgspec.structs.replace(live, asked={"slug": "2"})
    told = difference(live, now, before, await look(now, schemas))
    assert before is None
    assert told == Difference(variables_changed=("slug",))


async def test_what_can_not_be_read_is_not_there_and_a_link_counts_as_where_it_leads(tmp_path: Path) -> None:
    folder = write_template(tmp_path / "one", pre_gen_project="1")
    (folder / "hooks" / "link").symlink_to("pre_gen_project.py")
    schemas = SchemaCache()
    first = await look(template(folder), schemas)
    assert sorted(first.hooks) == ["link", "pre_gen_project.py"]
    (folder / "hooks" / "link").unlink()
    (folder / "hooks" / "link").symlink_to("elsewhere")
    (folder / "cookiecutter.json").write_text("{")
    second = await look(template(folder), schemas)
    assert second.variables == {}
    assert difference(template(folder), template(folder), first, second).hooks_changed == ("link",)


def test_what_differs_in_several_templates_is_told_with_the_name_of_each() -> None:
    how = VariableChange("slug", ("default",), question("a"), question("b"))
    of_one = Difference(variables_changed=("slug",), variable_changes=(how,), hooks_added=("x.py",))
    told = together([("all.one", of_one), ("all.two", Difference(variables_added=("new",)))])
    assert told.variables_changed == ("all.one: slug",)
    assert told.variables_added == ("all.two: new",)
    assert told.hooks_added == ("all.one: x.py",)
    assert [each.name for each in told.variable_changes] == ["all.one: slug"]
