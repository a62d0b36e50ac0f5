"""A template says what it needs when it is added, and what can be had is there at the first create."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.requirements import MOST_TOLD
from integration.places import Place, write_template
from wheels import publish

pytestmark = pytest.mark.anyio

UNKNOWN = "no_module_of_this_name_dynamo_mcp"


def _template(place: Place, hook: str) -> str:
    """Write a template with a hook."""
    folder: Path = write_template(place.templates / "one")
    (folder / "hooks" / "post_gen_project.py").write_text(hook)
    return str(folder)


def _strangers(place: Place) -> str:
    """Write a template whose hook needs a package that anybody could have published, and publish one."""
    index = place.root / "index"
    publish(index, "secret_internal_helper", {"secret_internal_helper.py": "print('the stranger ran')\n"})
    place.environment["UV_INDEX"] = index.as_uri()
    return _template(place, "def main():\n    import secret_internal_helper\nmain()\n")


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


async def test_a_package_that_was_guessed_is_told_and_runs_in_the_sandbox_and_nowhere_else(place: Place) -> None:
    added = await _added(place, _strangers(place))
    (note,) = added["notes"]
    assert note.startswith("`secret-internal-helper` is a guess for module `secret_internal_helper` (hooks/post_gen")
    said, _ = await place.run("create", "one", "-o", "made", "--json")
    assert "the stranger ran" in json.loads(said)["hooks"][0]["output"]
    for command in (["create", "one", "-o", "other"], ["variables", "one", "--set", "motto=x"]):
        said, error = await place.run(*command, "--trust", "full", code=5)
        assert "No person has vouched for packages of template `one`" in error
        assert "--requirement 'secret-internal-helper'" in error
        assert not (place.root / "other").exists()


async def test_at_trust_full_nothing_is_guessed_and_what_a_person_names_is_used(place: Place) -> None:
    template = _strangers(place)
    added = await _added(place, template, "--trust", "full")
    assert (added["requirements"], added["notes"]) == ([], [])
    (missing,) = added["needs"]["missing"]
    assert (missing["module"], missing["always"]) == ("secret_internal_helper", False)
    assert "may be anybody's" in missing["why"]
    named = ["--requirement", "secret-internal-helper", "--name", "two", "--trust", "full"]
    assert (await _added(place, template, *named))["needs"]["missing"] == []
    said, _ = await place.run("create", "two", "-o", "made", "--json")
    assert "the stranger ran" in json.loads(said)["hooks"][0]["output"]


async def test_what_a_program_named_is_no_person_s_word(place: Place) -> None:
    template = _strangers(place)
    async with place.joined("stdio", "2026-07-28") as client:
        await client.call_tool("add_template", {"url": template, "requirements": ["secret-internal-helper"]})
    await place.run("create", "one", "-o", "made")
    _, error = await place.run("create", "one", "-o", "other", "--trust", "full", code=5)
    assert "No person has vouched" in error
