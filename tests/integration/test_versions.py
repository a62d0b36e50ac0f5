"""Many templates at once from a shell: added, brought up to date, checked, and written to a file that a team shares."""

from __future__ import annotations

import json
import os
import pty
import sys

import anyio
import anyio.to_thread
import pytest

from integration.places import SECONDS, Place, write_template

pytestmark = pytest.mark.anyio


async def test_many_are_added_at_once_with_an_outcome_each_and_an_exit_code(place: Place) -> None:
    one, two = (str(write_template(place.templates / name)) for name in ("one", "two"))
    said, shown = await place.run("add", one, str(place.templates / "gone"), two, one, code=1)
    assert "added one from" in said
    assert "added two from" in said
    assert f"error: {place.templates / 'gone'}: " in shown
    assert said.count("added one") == 1
    said, _ = await place.run("add", one, two, "--json", code=1)
    results = json.loads(said)["results"]
    assert [(each["name"], each["error"]["kind"]) for each in results] == [(one, "NameTaken"), (two, "NameTaken")]
    _, shown = await place.run("add", one, two, "--name", "both", code=2)
    assert "`--name` is of one template" in shown


async def test_many_that_are_added_come_as_json(place: Place) -> None:
    one, two = (str(write_template(place.templates / name)) for name in ("one", "two"))
    said, _ = await place.run("add", one, two, "--json")
    results = json.loads(said)["results"]
    assert [(each["name"], each["result"]["name"]) for each in results] == [(one, "one"), (two, "two")]


async def test_all_are_updated_each_by_itself(place: Place) -> None:
    folders = [write_template(place.templates / name) for name in ("one", "two", "three")]
    await place.run("add", *map(str, folders))
    assert (await place.run("update", "--all"))[0].count("is up to date") == 3
    (folders[0] / "cookiecutter.json").write_text('{"slug": "other"}')
    (folders[1] / "cookiecutter.json").write_text("{")
    said, shown = await place.run("update", "--all", code=1)
    assert "variables changed: slug" in said
    assert "slug: default {{ cookiecutter.project_name | slugify }} -> other" in said
    assert "three is up to date" in said
    assert "error: two: " in shown
    said, _ = await place.run("update", "--all", "--json", code=1)
    results = {each["name"]: each for each in json.loads(said)["results"]}
    assert sorted(results) == ["one", "three", "two"]
    assert results["two"]["error"]["kind"] == "InvalidTemplate"
    assert results["one"]["result"]["changed"] is False
    await place.run("create", "two")


async def test_an_update_names_templates_or_all(place: Place) -> None:
    assert "no template is registered yet" in (await place.run("update", "--all"))[0]
    await place.run("update", code=2)
    await place.run("update", "one", "--all", code=2)
    folders = [write_template(place.templates / name) for name in ("one", "two")]
    await place.run("add", *map(str, folders))
    assert (await place.run("update", "one", "two"))[0].count("is up to date") == 2


async def test_a_check_says_which_templates_are_newer_where_they_come_from(place: Place) -> None:
    folders = [write_template(place.templates / name) for name in ("one", "two", "three")]
    await place.run("add", *map(str, folders))
    (folders[0] / "new.txt").write_text("new")
    folders[2].rename(place.root / "elsewhere")
    said, _ = await place.run("list", "--check")
    assert said.count("up to date") == 1
    assert "by now: dynamo-mcp update one" in said
    assert "can not be checked: There is no folder" in said
    told = json.loads((await place.run("list", "--check", "--json"))[0])["templates"]
    assert [(each["name"], each["newer"]["state"]) for each in told] == [
        ("one", "newer"),
        ("three", "failed"),
        ("two", "current"),
    ]
    said, _ = await place.run("info", "one", "--check")
    assert "hook: post_gen_project.py" in said
    assert told[0]["digest"][:12] in said
    assert told[0]["last_updated"] in said
    assert "by now: dynamo-mcp update one" in said
    assert json.loads((await place.run("info", "one", "--json"))[0])["newer"] is None


async def test_a_team_shares_its_templates_by_a_file(place: Place) -> None:
    one, two = (write_template(place.templates / name) for name in ("one", "two"))
    file = place.root / "templates.toml"
    await place.run("add", str(one), "--trust", "full")
    await place.run("add", "python-package")
    assert (await place.run("export", "templates.toml"))[0] == "wrote 2 templates to templates.toml\n"
    text = file.read_text()
    assert (await place.run("export"))[0] == text.replace("./templates/one", str(one))
    assert 'location = "./templates/one"' in text
    assert file.stat().st_mode & 0o777 == 0o644
    exported = json.loads((await place.run("export", "--json"))[0])["template"]
    assert [(each["name"], each["trust"]) for each in exported] == [("one", "full"), ("python-package", "contained")]
    # At a colleague's, who has another one besides.
    await place.run("remove", "one")
    await place.run("add", str(two))
    said, _ = await place.run("sync", "templates.toml", "--prune", "--dry-run")
    assert said == "would add: one\nas it is: python-package\nwould remove: two\n"
    said, shown = await place.run("import", "templates.toml")
    assert said == "added: one\nas it is: python-package\n"
    assert "trust stays `contained`" in shown
    assert "dynamo-mcp trust one full" in shown
    await place.run("create", "one")
    said, _ = await place.run("sync", "templates.toml", "--prune", "--trust")
    assert said == "updated: one (trust)\nas it is: python-package\nremoved: two\n"
    (one / "new.txt").write_text("new")
    await place.run("update", "one")
    assert "as it is: one (revision, trust)" in (await place.run("import", "templates.toml"))[0]
    said, shown = await place.run("sync", "templates.toml", code=1)
    assert "error: one: " in shown
    assert "is not what `one` is pinned to" in shown
    assert said == "as it is: python-package\n"
    told = json.loads((await place.run("sync", "templates.toml", "--json", code=1))[0])["results"]
    assert [(each["name"], "error" in each) for each in told] == [("one", True), ("python-package", False)]


async def test_what_is_no_such_file_is_told(place: Place) -> None:
    assert "Can't read" in (await place.run("sync", "gone.toml", code=2))[1]
    (place.root / "templates.toml").write_text("version = 1\n[[template]]\n")
    assert "names no templates" in (await place.run("import", "templates.toml", code=2))[1]
    assert "Can't write" in (await place.run("export", "gone/templates.toml", code=1))[1]


async def test_prune_does_what_reclaim_does(place: Place) -> None:
    pruned, reclaimed = [json.loads((await place.run(name, "--json"))[0]) for name in ("prune", "reclaim")]
    assert pruned.keys() == reclaimed.keys()
    assert (await place.run("prune"))[0].startswith("reclaimed ")


async def test_at_a_terminal_each_of_many_has_a_bar(place: Place) -> None:
    locations = [str(write_template(place.templates / name)) for name in ("one", "two")]
    terminal, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "dynamo_mcp", "add", *locations]
        environment = {**place.environment, "TERM": "xterm", "COLUMNS": "300", "LINES": "40"}
        with anyio.fail_after(SECONDS):
            async with await anyio.open_process(command, env=environment, cwd=place.root, stderr=theirs) as process:
                os.close(theirs)
                shown = b""
                while chunk := await anyio.to_thread.run_sync(read, terminal):
                    shown += chunk
                assert await process.wait() == 0
    finally:
        os.close(terminal)
    for location in locations:
        assert f"add {location}".encode() in shown


def read(terminal: int) -> bytes:
    """Read what a terminal shows; nothing at its end, which Linux tells as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
