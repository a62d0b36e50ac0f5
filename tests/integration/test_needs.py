"""A template says what it needs when it is added, and what can be had is there at the first create."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.requirements import MOST_TOLD
from integration.places import Place, write_template

pytestmark = pytest.mark.anyio

UNKNOWN = "no_module_of_this_name_dynamo_mcp"


def _template(place: Place, hook: str) -> str:
    """Write a template with a hook."""
    folder: Path = write_template(place.templates / "one")
    (folder / "hooks" / "post_gen_project.py").write_text(hook)
    return str(folder)


async def _added(place: Place, *words: str) -> dict[str, Any]:
    said, _ = await place.run("add", *words, "--json")
    added: dict[str, Any] = json.loads(said)
    return added


@pytest.mark.parametrize(("module", "how"), [("termcolor", "table"), ("iniconfig", "index")])
async def test_what_a_hook_imports_is_there_at_the_first_create_without_a_word(
    place: Place, module: str, how: str
) -> None:
    template = _template(place, f"import {module}\nprint('got', {module}.__name__)\n")
    added = await _added(place, template)
    where = "hooks/post_gen_project.py, line 1"
    assert added["needs"]["requirements"] == [
        {"requirement": module, "module": module, "found": where, "how": how, "always": True}
    ]
    assert added["is_active"]
    said, _ = await place.run("create", "one", "-o", "made", "--json")
    assert f"got {module}\n" in json.loads(said)["hooks"][0]["output"]


async def test_a_module_that_nobody_holds_is_told_when_the_template_is_added(place: Place) -> None:
    more = "".join(f"subprocess.run(['t-{number:03}'])\n" for number in range(MOST_TOLD + 1))
    template = _template(place, f"import subprocess\nimport {UNKNOWN}\nsubprocess.run(['no-such-tool'])\n{more}")
    said, _ = await place.run("add", template)
    where = "hooks/post_gen_project.py, line"
    assert f"missing: module `{UNKNOWN}` ({where} 2)" in said
    assert "was not found in the package registry" in said
    assert f"absent: executable `no-such-tool` ({where} 3); install it where jobs look" in said
    assert "executables: 2 more than are listed" in said
    (listed,) = json.loads((await place.run("list", "--json"))[0])["templates"]
    assert not listed["is_active"]
    assert f"`{UNKNOWN}`" in listed["problem"]
    assert listed["needs"]["executables"][0]["present"] is False


async def test_a_package_without_a_wheel_is_missing_and_the_template_is_added(place: Place) -> None:
    added = await _added(place, _template(place, "def main():\n    import edx_lint, termcolor\n"))
    assert [missing["module"] for missing in added["needs"]["missing"]] == ["edx_lint"]
    assert added["requirements"] == ["termcolor"]
    assert added["is_active"]


async def test_what_the_caller_named_and_does_not_hold_the_module_is_told(place: Place) -> None:
    added = await _added(place, _template(place, f"import {UNKNOWN}\n"), "--requirement", "termcolor")
    assert added["requirements"] == ["termcolor"]
    assert added["needs"]["missing"][0]["why"] == "`termcolor` does not hold it"
    assert not added["is_active"]
