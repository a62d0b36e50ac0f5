"""What a person can type."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer.main

from dynamo_mcp import __version__
from dynamo_mcp.cli import application
from homes import until
from integration.places import Place, write_template

pytestmark = pytest.mark.anyio


async def test_a_project_is_created_from_assignments_and_a_file_of_answers(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")), "--name", "mine", "--description", "Something")
    (place.root / "answers.json").write_text('{"slug": "from-file", "workers": 7, "motto": "from file"}')
    said, _ = await place.run(
        "create", "mine", "-o", "made", "--answers", "answers.json",
        "--set", "motto=a=b", "--set", "use_docs=no", "--set", 'owner={"name": "Bo"}', "--json",
    )  # fmt: skip
    project = json.loads(said)
    assert project["path"] == str(place.root / "made" / "from-file")
    text = (Path(project["path"]) / "README.md").read_text()
    assert "motto: a=b\n" in text
    assert "docs: False\n" in text
    assert "workers: 7\n" in text
    assert "owner: Bo in Paris\n" in text
    listed = json.loads((await place.run("list", "--json"))[0])["templates"]
    assert [(template["name"], template["description"]) for template in listed] == [("mine", "Something")]


async def test_a_record_that_can_not_be_read_is_told_and_no_file_for_others_lacks_it(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")))
    await place.run("add", str(place.templates / "one"), "--name", "two")
    record = place.home / "templates" / "one.json"
    record.write_bytes(record.read_bytes()[:100])
    said, told = await place.run("list")
    assert said.startswith("two ")
    assert "note: `one` is left out: its record can't be read" in told
    _, told = await place.run("export", "templates.toml", code=1)
    assert "`one`" in told
    assert not (place.root / "templates.toml").exists()
    await place.run("add", str(place.templates / "one"))
    assert "wrote 2 templates" in (await place.run("export", "templates.toml"))[0]
    record.write_bytes(b"{")
    assert "`one`, which could not be read, was removed" in (await place.run("remove", "one"))[0]
    assert not record.exists()
    assert "is left out" not in (await place.run("list"))[1]


async def test_a_replay_file_of_cookiecutter_makes_what_cookiecutter_made(place: Place) -> None:
    configuration = {
        "slug": "made",
        "title": "{{ cookiecutter.slug }}!",
        "pick": ["a", "{{ cookiecutter.slug }}", True],
        "number": 3,
        "nothing": None,
        "flag": True,
        "tests": "y",
        "map": {"a": "{{ cookiecutter.slug }}", "n": 1},
        "_private": "{{ x }}",
        "__rendered": "{{ cookiecutter.title }}",
    }
    names = [name for name in configuration if not name.startswith("_")]
    content = (
        "{% for x in " + str(names) + " %}{{ x }}={{ cookiecutter[x] }}\n{% endfor %}{{ cookiecutter.__rendered }}"
    )
    folder = place.templates / "one"
    (folder / "{{cookiecutter.slug}}").mkdir(parents=True)
    (folder / "{{cookiecutter.slug}}" / "all.txt").write_text(content)
    (folder / "cookiecutter.json").write_text(json.dumps(configuration))
    real = place.root / "real"
    code = "import sys; from cookiecutter.main import cookiecutter as c; c(sys.argv[1], no_input=True, "
    code += "output_dir=sys.argv[2], default_config={'replay_dir': sys.argv[2]}, "
    code += "extra_context={'pick': True, 'title': 'T'})"
    await anyio.run_process([sys.executable, "-c", code, str(folder), str(real)])
    replay = real / "one.json"
    values = json.loads(replay.read_text())
    values["cookiecutter"] |= {"title": "{{ 7*7 }}", "gone": "no more", "_private": "other"}
    replay.write_text(json.dumps(values))
    await place.run("add", str(folder))
    _, shown = await place.run("create", "one", "-o", "ours", "--replay", str(replay))
    assert f"`gone` of `{replay}` is not asked, and is left out" in " ".join(shown.split())
    expected = (real / "made" / "all.txt").read_text()
    assert "pick=True\n" in expected
    made = (place.root / "ours" / "made" / "all.txt").read_text()
    assert made == expected.replace("title=T\n", "title={{ 7*7 }}\n").removesuffix("T") + "{{ 7*7 }}"
    await place.run("create", "one", "--replay", str(replay), "--set", "slug=other")
    assert (place.root / "other").is_dir()
    replay.write_text('{"cookiecutter": {"pick": ["a"]}}')
    assert "can't be a list" in (await place.run("create", "one", "--replay", str(replay), code=4))[1]
    for content in ("[]", "{}", '{"cookiecutter": []}', "{"):
        replay.write_text(content)
        assert "one.json" in (await place.run("create", "one", "--replay", str(replay), code=2))[1]


async def test_an_operators_own_defaults_are_a_flag_of_every_command(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")))
    (place.root / "rc").write_text("default_context: {motto: mine}")
    assert "mine" in (await place.run("--user-config", "rc", "variables", "one", "--json"))[0]
    await place.run("--user-config", "rc", "create", "one", "-o", "made")
    (readme,) = (place.root / "made").glob("*/README.md")
    assert "motto: mine\n" in readme.read_text()
    assert "nowhere" in (await place.run("--user-config", "nowhere", "list", code=2))[1]


async def test_variables_are_shown_with_the_values_that_follow_from_answers(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")))
    (place.root / "answers.json").write_text('{"workers": 7, "project_name": "Nothing"}')
    asked = ("--answers", "answers.json", "--set", "project_name=Sea Shells", "--set", "use_ci=n")
    variables = json.loads((await place.run("variables", "one", *asked, "--json"))[0])["variables"]
    values = {variable["name"]: variable["value"] for variable in variables}
    assert (values["slug"], values["workers"], values["use_ci"]) == ("sea-shells", 7, False)
    assert "sea-shells" in (await place.run("variables", "one", *asked))[0]
    assert "computed" in (await place.run("variables", "one"))[0]
    assert "`colour` is not asked" in (await place.run("variables", "one", "--set", "colour=red", code=4))[1]
    assert place.made == []


async def test_a_preview_shows_the_files_one_file_or_a_diff_and_makes_nothing(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")))
    said, _ = await place.run("preview", "one", "-o", "made", "--set", "slug=p")
    assert f"{place.root / 'made' / 'p'} would be made: 2 files, " in said
    assert "hook: post_gen_project.py" in said
    assert "the hook ran" not in said
    assert not (place.root / "made").exists()
    said, _ = await place.run("preview", "one", "--set", "slug=p", "--file", "src/p.txt")
    assert said == "p\n"
    assert (
        "did you mean `src/p.txt`"
        in (await place.run("preview", "one", "--set", "slug=p", "--file", "p.txt", code=3))[1]
    )
    await place.run("create", "one", "-o", "made", "--set", "slug=p")
    said, _ = await place.run("preview", "one", "-o", "made", "--set", "slug=p", "--set", "motto=new", "--diff")
    assert "-motto: \n+motto: new\n" in said
    said, _ = await place.run("preview", "one", "-o", "made", "--set", "slug=p", "--hooks", "--json")
    seen = json.loads(said)
    assert [(file["path"], file["change"]) for file in seen["files"]] == [
        ("README.md", "same"),
        ("made-by-hook.txt", "same"),
        ("src/p.txt", "same"),
    ]
    assert "exists already" in seen["problem"]
    assert place.scratch == []


async def test_what_is_there_and_cannot_be_read_is_named_and_the_rest_previewed(place: Place) -> None:
    template = write_template(place.templates / "one", hook=None)
    (template / "{{cookiecutter.slug}}" / "empty").mkdir()
    await place.run("add", str(template))
    await place.run("create", "one", "-o", "made", "--set", "slug=p")
    made = place.root / "made" / "p"
    (made / "README.md").chmod(0o000)
    (made / "src").chmod(0o000)
    anybody = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else ()
    asked = ("preview", "one", "-o", "made", "--set", "slug=p", "--if-exists", "overwrite")
    said, _ = await place.run(*asked, "--diff", before=anybody)
    assert said == "not compared: README.md: it can't be read\nnot compared: src/p.txt: it can't be read\n"
    said, _ = await place.run(*asked, before=anybody)
    assert "  not compared: src/p.txt: it can't be read\n" in said
    assert "  empty folder: empty\n" in said
    seen = json.loads((await place.run(*asked, "--json", before=anybody))[0])
    assert seen["empty_folders"] == ["empty"]
    assert [(file["path"], file["change"]) for file in seen["files"]] == [
        ("README.md", "changed"),
        ("src/p.txt", "changed"),
    ]
    made.chmod(0o000)
    _, said = await place.run(*asked, before=anybody, code=1)
    assert f"Can't compare the project with what is at `{made}`: Permission denied" in said
    assert "make the folder readable" in said
    for path in (made, made / "src"):
        path.chmod(0o755)


async def test_an_output_folder_without_a_name_is_refused(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one", hook=None)))
    for command in ("create", "preview"):
        assert "`''` is not a folder" in (await place.run(command, "one", "-o", "", code=5))[1]
    assert sorted(path.name for path in place.root.iterdir()) == ["home", "templates"]


async def test_one_file_is_one_file(place: Place) -> None:
    template = write_template(place.templates / "one", hook=None)
    (template / "{{cookiecutter.slug}}" / "README.md").unlink()
    await place.run("add", str(template))
    asked = ("one", "-o", "made", "--set", "slug=p")
    assert ": 1 file, 2 bytes; " in (await place.run("preview", *asked))[0]
    assert "\n1 file; " in (await place.run("create", *asked))[0]


async def test_exit_codes_say_what_kind_of_thing_went_wrong(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")))
    assert "did you mean `one`" in (await place.run("create", "on", code=3))[1]
    assert "`colour` is not asked" in (await place.run("create", "one", "--set", "colour=red", code=4))[1]
    await place.run("create", "one", "--set", "nothing", code=2)
    await place.run("create", "one", "--set", "owner=Bo", code=2)
    await place.run("create", "one", "--answers", "nowhere.json", code=2)
    await place.run("create", "one", "--if-exists", "maybe", code=2)
    await place.run("create", "one", "--trust", "some", code=2)
    await place.run("add", "https://user:secret@example.org/x", code=2)
    await place.run("remove", "nothing", code=3)
    await place.run("serve", "--transport", "pigeon", code=2)
    assert "loopback" in (await place.run("serve", "--transport", "http", "--host", "0.0.0.0", code=5))[1]  # noqa: S104
    said, shown = await place.run("create", "on", "--json", code=3)
    assert json.loads(said)["error"]["kind"] == "TemplateNotFound"
    assert shown == ""
    said, shown = await place.run("create", "one", "--colour", "red", "--json", code=2)
    assert json.loads(said)["error"]["message"].startswith("No such option: --colour")
    assert shown == ""
    shown = (await place.run("add", "one", "--offline", code=2))[1]
    assert "hint: `--offline` stands before the command: `dynamo-mcp --offline add`" in shown
    shown = (await place.run("creat", "one", code=2))[1]
    assert "No such command" in shown
    assert "`dynamo-mcp --help` says what is allowed" in shown


async def test_an_existing_folder_is_kept_or_overwritten_as_asked(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "one")))
    await place.run("create", "one", "--set", "slug=p")
    readme, mine = place.root / "p" / "README.md", place.root / "p" / "mine.txt"
    readme.write_text("edited")
    mine.write_text("mine")
    said, _ = await place.run("create", "one", "--set", "slug=p", "--if-exists", "skip")
    assert "kept: README.md" in said
    assert readme.read_text() == "edited"
    await place.run("create", "one", "--set", "slug=p", "--if-exists", "overwrite")
    assert readme.read_text().startswith("name: My Project")
    assert mine.read_text() == "mine"


async def test_without_bubblewrap_a_strangers_template_is_refused_unless_a_person_says_otherwise(place: Place) -> None:
    (place.root / "bin").mkdir()
    for name in ("git", "sh", "env"):
        (place.root / "bin" / name).symlink_to(f"/usr/bin/{name}")
    bare = {"PATH": str(place.root / "bin")}
    await place.run("add", str(write_template(place.templates / "one")), more=bare)
    _, said = await place.run("create", "one", code=5, more=bare)
    assert "install -y bubblewrap" in said
    assert "`dynamo-mcp trust " in said
    assert not (place.root / "my-project").exists()
    said, _ = await place.run("create", "one", "--trust", "full", more=bare)
    assert "trust full, not confined" in said
    assert (place.root / "my-project" / "made-by-hook.txt").is_file()
    said, _ = await place.run("create", "one", "--trust", "inert", "--set", "slug=inert", "--json", more=bare)
    project = json.loads(said)
    assert (project["trust"], project["tier"]) == ("inert", "reduced")
    assert not (place.root / "inert" / "made-by-hook.txt").exists()
    await place.run("add", "python-package", more=bare)
    said, _ = await place.run("create", "python-package", more=bare)
    assert "trust contained, not confined" in said
    said, _ = await place.run("quickstart", more=bare)
    assert "Strangers' templates can't be contained here: bubblewrap is not installed" in said


async def test_an_update_says_what_changed(place: Place) -> None:
    folder = write_template(place.templates / "one")
    await place.run("add", str(folder))
    assert "up to date" in (await place.run("update", "one"))[0]
    (folder / "cookiecutter.json").write_text('{"slug": "other", "colour": "red"}')
    said, _ = await place.run("update", "one")
    assert "variables added: colour" in said
    assert "variables changed: slug" in said
    assert "variables removed: project_name" in said
    assert json.loads((await place.run("update", "one", "--force", "--json"))[0])["changed"] is False


async def test_discover_lists_what_is_not_registered(place: Place) -> None:
    before = {entry["name"] for entry in json.loads((await place.run("discover", "--json"))[0])["entries"]}
    await place.run("add", "web-service")
    after = {entry["name"] for entry in json.loads((await place.run("discover", "--json"))[0])["entries"]}
    assert before - after == {"web-service"}
    assert len(after) >= 20
    assert "web-service" not in (await place.run("discover"))[0]


async def test_search_and_recommend_say_what_fits_and_why_and_what_is_found_can_be_added(place: Place) -> None:
    said, _ = await place.run("search", "helth", "chek", "service", "--limit", "3")
    assert said.startswith("web-service ")
    assert "`helth` is like `health` in its description" in said
    assert "add one: dynamo-mcp add NAME" in said
    await place.run("add", "web-service")
    found = json.loads((await place.run("search", "health", "--json"))[0])
    assert found["results"][0]["registered"] is True
    said, told = await place.run("search", "zzyzxqqq")
    assert not said
    assert told == "note: nothing fits: say it in other words; `dynamo-mcp discover` lists what could be added\n"
    best = json.loads((await place.run("recommend", "a", "JSON", "service", "with", "health", "check", "--json"))[0])
    assert best["results"][0]["name"] == "web-service"
    assert len(best["results"]) == 5
    only = json.loads((await place.run("search", "--language", "rust", "--tag", "lambda", "--json"))[0])
    assert [result["name"] for result in only["results"]] == ["aws-sam-rust"]
    await place.run("search", code=2)
    await place.run("search", "x", "--category", "wbe", code=3)
    games = (await place.run("discover", "--category", "game"))[0]
    assert games.startswith("lisp-game ")


async def test_an_operators_catalogue_is_searched_and_added_from(place: Place, tmp_path: Path) -> None:
    write_template(tmp_path / "team" / "ours")
    row = {"name": "ours", "location": "./ours", "description": "What the team makes", "category": "team"}
    (tmp_path / "team" / "catalogue.json").write_text(json.dumps({"version": 1, "entries": [row]}))
    place.environment["DYNAMO_MCP_CATALOGUES"] = f"{tmp_path}/team/catalogue.json {tmp_path}/none.json"
    said, warned = await place.run("search", "team")
    assert "What the team makes" in said
    assert "note: a catalogue is left out: " in warned
    await place.run("add", "ours")
    (listed,) = json.loads((await place.run("list", "--json"))[0])["templates"]
    assert (listed["name"], listed["category"], listed["description"]) == ("ours", "team", "What the team makes")


async def test_the_program_says_its_version_and_is_also_a_module(place: Place) -> None:
    assert (await place.run("--version"))[0] == f"{__version__}\n"
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [Path(sys.executable).with_name("dynamo-mcp"), "--version"], env=place.environment
        )
    assert done.stdout.decode() == f"{__version__}\n"


async def test_every_flag_has_a_variable_that_its_help_names(place: Place) -> None:
    group: Any = typer.main.get_command(application())
    for name, command in group.commands.items():
        said = " ".join((await place.run(name, "--help"))[0].split())
        for parameter in command.params:
            if parameter.param_type_name == "option":
                variable = parameter.envvar or f"DYNAMO_MCP_{name}_{parameter.name}".upper()
                assert f"env var: {variable}" in said, (name, parameter.name)


async def test_a_flag_can_be_given_by_its_variable(place: Place) -> None:
    folder = write_template(place.templates / "one")
    await place.run("add", str(folder), more={"DYNAMO_MCP_ADD_NAME": "by-variable"})
    said, _ = await place.run("list", more={"DYNAMO_MCP_LIST_JSON": "1"})
    assert json.loads(said)["templates"][0]["name"] == "by-variable"


async def test_interrupting_a_command_leaves_nothing(place: Place) -> None:
    folder = write_template(place.templates / "slow", hook="import time\ntime.sleep(600)\n")
    await place.run("add", str(folder))
    command = [sys.executable, "-m", "dynamo_mcp", "create", "slow"]
    async with await anyio.open_process(command, env=place.environment, cwd=place.root, stdin=None) as process:
        with anyio.fail_after(60):
            await until(lambda: any("renderer-" in name for name in place.scratch))
            process.terminate()
            assert await process.wait() == 130
    assert place.scratch == []
    assert not (place.root / "my-project").exists()


async def test_the_doctor_tells_a_person_the_tier_the_reasons_and_what_to_type(place: Place) -> None:
    said, _ = await place.run("doctor")
    assert said.startswith("Tier strong, by bubblewrap, ")
    assert re.search(r"^bubblewrap +yes +\d", said, re.MULTILINE)
    assert "What brings what is missing" not in said
    (place.root / "bin").mkdir()
    said, _ = await place.run("doctor", code=5, more={"PATH": str(place.root / "bin")})
    assert re.search(r"^bubblewrap +no +bubblewrap is not installed", said, re.MULTILINE)
    assert "\n  dynamo-mcp trust NAME full " in said
    found = json.loads((await place.run("doctor", "--json", code=5, more={"PATH": str(place.root / "bin")}))[0])
    assert all(f"\n  {command}\n" in said for command in found["commands"])
    assert place.made == []


async def test_the_doctor_fails_where_nothing_could_be_created(place: Place) -> None:
    said, _ = await place.run("doctor", code=1, more={"DYNAMO_MCP_PYTHON": "/nowhere/python"})
    assert said.startswith(
        "Nothing can be created: `DYNAMO_MCP_PYTHON` is `/nowhere/python`, which is no Python that runs"
    )
    assert re.search(r"^Python +no ", said, re.MULTILINE)


async def test_a_person_reclaims_what_nothing_leads_to_and_is_told_what_went_and_what_is_kept(place: Place) -> None:
    await place.run("add", str(write_template(place.templates / "web")))
    orphan = place.home / "checkouts" / ("0" * 32)
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    (environment,) = (place.home / "venvs").iterdir()
    os.utime(environment, (time.time() - 40 * 86400,) * 2)
    said, told = await place.run("reclaim")
    first, second, last = said.splitlines()
    assert re.fullmatch(r"removed checkout 0{32} \([\d.]+ MiB\): nothing leads to it", first)
    assert re.fullmatch(rf"removed environment {environment.name} \([\d.]+ MiB\): not used for 40 days", second)
    assert re.fullmatch(r"reclaimed [\d.]+ MiB; kept: 0 environments, [\d.,]+ MiB in all", last)
    assert told == ""
    limits = {"DYNAMO_MCP_KEPT_BYTES": "1"}
    done = json.loads((await place.run("reclaim", "--json", more=limits))[0])
    assert done["removed"] == []
    assert done["kept"]["environments"] == 0
    assert "`DYNAMO_MCP_KEPT_BYTES`" in done["notes"][0]
    _, told = await place.run("reclaim", more=limits)
    assert told == f"note: {done['notes'][0]}\n"
    await place.run("create", "web", "-o", str(place.outputs))
    assert place.made == ["my-project"]
