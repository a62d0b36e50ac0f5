"""The command `trust`: what it shows, what it says before it raises, and how it ends."""

from __future__ import annotations

import json

import pytest

from integration.places import Place, write_template

pytestmark = pytest.mark.anyio

HOOK = "import pathlib\npathlib.Path('read').write_text(open('{}').read())\n"


async def test_trust_is_shown_raised_after_saying_what_runs_and_dropped_by_an_update(place: Place) -> None:
    data = place.root / "data"
    data.write_text("granted")
    folder = write_template(place.templates / "one", hook=HOOK.format(data))
    await place.run("add", str(folder))
    shown, said = await place.run("trust", "one")
    assert shown.startswith("one: trust contained, tier strong\n")
    assert "what every template gets" in shown
    assert "runs: hook post_gen_project.py" in shown
    assert said == ""
    _, failed = await place.run("create", "one", "-o", "made", code=1)
    assert "No such file" in failed
    shown, said = await place.run("trust", "one", "contained", "--grant", f"read:{data}", "--grant", "network")
    assert "one: at trust contained this runs, in the sandbox:" in said
    assert "hook post_gen_project.py" in said
    assert f"it gets: read:{data}" in said
    assert "it gets: network, and so reaches services of this machine too" in said
    assert f"grant: read:{data}" in shown
    assert f"said by a person for {folder}, digest " in shown
    made, _ = await place.run("create", "one", "-o", "made")
    assert f"trust contained with network, read:{data}, confined at tier strong" in made
    assert (place.root / "made" / "my-project" / "read").read_text() == "granted"
    (told,) = json.loads((await place.run("trust", "one", "full", "--json"))[0])["templates"]
    assert (told["trust"], told["grants"], told["by_person"]) == ("full", [], True)
    (folder / "hooks" / "post_gen_project.py").write_text("print('other')\n")
    changed, _ = await place.run("update", "one")
    assert "one had trust full, and is contained without grants now; changed: hooks" in changed
    assert "to give it again: dynamo-mcp trust one full" in changed
    _, said = await place.run("trust", "one", "inert")
    assert said == ""


async def test_what_the_setting_says_is_not_told_as_a_persons_word(place: Place) -> None:
    folder = write_template(place.templates / "one", hook=None)
    await place.run("add", str(folder), more={"DYNAMO_MCP_TRUSTED": str(folder)})
    shown, _ = await place.run("trust", "one")
    assert shown.startswith("one: trust full")
    assert f"what `DYNAMO_MCP_TRUSTED` gives templates of its place; it is {folder}" in shown
    assert "said by a person" not in shown
    await place.run("trust", "one", "full")
    shown, _ = await place.run("trust", "one")
    assert f"said by a person for {folder}" in shown


async def test_wrong_uses_of_trust_end_with_the_code_of_what_is_wrong(place: Place) -> None:
    folder = write_template(place.templates / "one", hook=None)
    await place.run("add", str(folder), "--trust", "contained", "--grant", "network")
    for arguments, code, words in (
        (("nobody", "full"), 3, "There is no template `nobody`"),
        (("one", "most"), 2, "`trust` can't be `most`"),
        (("one", "--grant", "network"), 2, "`dynamo-mcp trust one contained"),
        (("one", "full", "--grant", "network"), 2, "needs no grants"),
        (("one", "inert", "--grant", "network"), 2, "takes no grants"),
        (("one", "contained", "--grant", "everything"), 2, "nothing that can be granted"),
        (("one", "contained", "--grant", "read:/"), 5, "would undo the sandbox"),
        (("one", "contained", "--grant", f"read:{place.home}"), 5, "would undo the sandbox"),
    ):
        shown, said = await place.run("trust", *arguments, code=code)
        assert words in said, arguments
        assert shown == ""
    (told,) = json.loads((await place.run("trust", "one", "--json"))[0])["templates"]
    assert told["grants"] == ["network"]


async def test_what_a_person_set_to_inert_stays_so_over_mcp(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")), "--trust", "inert")
    async with place.joined("stdio", "2026-07-28") as client:
        refused = await client.call_tool("remove_template", {"template_name": "one"})
        assert refused.is_error
        assert "`dynamo-mcp trust one contained`" in refused.content[0].text  # type: ignore[union-attr]
        added = await client.call_tool("add_template", {"url": str(place.templates / "one"), "name": "two"})
        assert added.structured_content is not None
        assert added.structured_content["trust"] == "inert"
        created = await client.call_tool("create_project", {"template_name": "one"})
        assert created.structured_content is not None
        assert (created.structured_content["trust"], created.structured_content["grants"]) == ("inert", [])
