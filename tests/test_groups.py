"""What happens to all templates of one repository together? One add, one update, one removal, and each for itself."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from conftest import Listener
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, InvalidTemplate, NameTaken, NotATemplate, TemplateNotFound
from homes import SECONDS, SLUG, Home, base_environments, until, write_template

pytestmark = pytest.mark.anyio

NOTHING: dict[str, list[str]] = {"templates": [], "checkouts": [], "venvs": []}


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def write_repository(folder: Path, *children: str, **more: Any) -> Path:
    """Write a repository of templates, each of which asks a question of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for child in children:
        write_template(folder / child, {f"{SLUG}/who": child}, configuration={"slug": child, f"of_{child}": "x"})
    templates = {child: {"path": f"./{child}", "title": f"The {child}"} for child in children} | more
    (folder / "cookiecutter.json").write_text(json.dumps({"templates": templates}))
    return folder


def left(home: Home) -> dict[str, list[str]]:
    """Return what a home holds of templates."""
    return {
        folder: sorted(path.name for path in (home.path / folder).iterdir())
        for folder in ("templates", "checkouts", "venvs")
    }


async def names(dynamo: Dynamo) -> list[str]:
    return [info.name for info in await dynamo.list_templates()]


async def test_every_template_of_a_repository_is_one_of_its_own(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        whole = await dynamo.add_template(str(folder))
        assert (whole.name, whole.tool, whole.variables_cache, whole.is_active) == ("web", "", None, True)
        assert [(child.name, child.tool, child.description) for child in whole.children] == [
            ("web.api", "create_web.api", "The api"),
            ("web.cli", "create_web.cli", "The cli"),
        ]
        assert await names(dynamo) == ["web.api", "web.cli"]
        info = await dynamo.template_info("web.api")
        assert (info.group, info.directory, info.digest) == ("web", "api", whole.digest)
        assert [variable.name for variable in await dynamo.get_template_variables("web.cli")] == ["slug", "of_cli"]
        assert {name: len(held) for name, held in left(home).items()} == {"templates": 2, "checkouts": 1, "venvs": 2}
        await dynamo.create_project("web.cli", str(home.outputs))
        for operation in (dynamo.create_project, dynamo.preview_project, dynamo.get_template_variables):
            with pytest.raises(TemplateNotFound) as raised:
                await operation("web")
            assert raised.value.message == "`web` is a repository of several templates, and none itself"
            assert raised.value.hint == "name one of them: `web.api`, `web.cli`"
        assert home.scratch == []
    assert (home.outputs / "cli" / "who").read_text() == "cli"


async def test_what_each_of_them_lacks_is_told_when_all_are_added(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    write_template(folder / "cli", post_gen_project="import utils, os\nos.system('no-such-tool x')\n")
    async with home.open() as dynamo:
        api, cli = (await dynamo.add_template(str(folder))).children
        assert (api.problem, api.needs.missing, api.needs.executables) == (None, (), ())
        assert (api.tool, cli.tool) == ("create_web.api", None)
        assert "It can't run without `utils`" in (cli.problem or "")
        assert [missing.module for missing in cli.needs.missing] == ["utils"]
        assert [(each.name, each.present) for each in cli.needs.executables] == [("no-such-tool", False)]


async def test_a_repository_is_described_as_a_whole_with_those_of_its_templates_that_are_registered(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli", "doc")
    async with home.open() as dynamo:
        added = await dynamo.add_template(str(folder))
        await dynamo.remove_template("web.doc")
        (home.checkout("web.cli") / "cookiecutter.json").write_text("{")
        whole = await dynamo.template_info("web")
        assert (whole.url, whole.revision, whole.digest) == (added.url, added.revision, added.digest)
        assert (whole.name, whole.tool, whole.directory, whole.is_active) == ("web", "", None, True)
        assert [(child.name, child.directory, child.tool) for child in whole.children] == [
            ("web.api", "api", "create_web.api"),
            ("web.cli", "cli", None),
        ]
        assert "line 1" in (whole.children[1].problem or "")
        assert whole.children[0].problem is None


async def test_one_folder_of_such_a_repository_can_be_added_alone(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        info = await dynamo.add_template(str(folder), directory="cli")
        assert (info.name, info.group, info.children) == ("cli", None, ())


async def test_a_child_that_is_broken_is_told_and_keeps_no_other_from_working(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli", gone={"path": "gone"}, out={"path": "../x"})
    (folder / "cli" / "cookiecutter.json").write_text("{")
    write_template(folder / "needy", configuration={"slug": "s", "_extensions": ["nobody_knows_this.Extension"]})
    write_repository(folder, "api", needy="needy", cli="cli", gone="gone", out="../x")
    (folder / "cli" / "cookiecutter.json").write_text("{")
    async with home.open() as dynamo:
        whole = await dynamo.add_template(str(folder))
        problems = {child.name: child.problem or "" for child in whole.children}
        assert problems["web.api"] == ""
        assert "nobody_knows_this" in problems["web.needy"]
        assert "line 1" in problems["web.cli"]
        assert problems["web.gone"] == "there is no folder `gone`"
        assert "`../x`" in problems["web.out"]
        assert [child.tool for child in whole.children if child.problem] == [None] * 4
        assert {name: len(held) for name, held in left(home).items()} == {"templates": 1, "checkouts": 1, "venvs": 1}
        await dynamo.create_project("web.api", str(home.outputs))


async def test_a_repository_none_of_whose_templates_works_is_refused_and_nothing_is_left(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli", gone="gone")
    for child in ("api", "cli"):
        (folder / child / "cookiecutter.json").write_text('{"empty": []}')
    async with home.open() as dynamo:
        with pytest.raises(InvalidTemplate, match=r"`web\.api`: .*offers nothing.*`web\.cli`"):
            await dynamo.add_template(str(folder))
        assert left(home) == NOTHING
        assert home.scratch == []


async def test_a_repository_that_names_nothing_says_which_folders_hold_a_template(home: Home) -> None:
    for child in ("api", "cli"):
        write_template(home.templates / "web" / child)
    async with home.open() as dynamo:
        with pytest.raises(NotATemplate, match="in the folders `api`, `cli`"):
            await dynamo.add_template(str(home.templates / "web"))
        assert left(home) == NOTHING
        await dynamo.add_template(str(home.templates / "web"), directory="cli")


@pytest.mark.parametrize("taken", ["web", "web.cli"])
async def test_a_name_that_is_taken_refuses_the_whole_repository(home: Home, taken: str) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        await home.add(dynamo, "other")
        await dynamo.add_template(str(home.templates / "other"), name=taken)
        before = left(home)
        with pytest.raises(NameTaken, match=f"`{taken}`"):
            await dynamo.add_template(str(folder))
        assert left(home) == before


async def test_the_name_of_a_repository_and_of_its_templates_are_taken(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        for name in ("web", "web.api"):
            with pytest.raises(NameTaken):
                await dynamo.add_template(str(folder), name=name, directory="cli")


async def test_of_two_adds_of_one_repository_one_wins(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    ended: list[str] = []
    async with home.open() as first, home.open() as second:

        async def add(dynamo: Dynamo) -> None:
            try:
                await dynamo.add_template(str(folder))
                ended.append("added")
            except NameTaken:
                ended.append("taken")

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for dynamo in (first, second, first):
                    tasks.start_soon(add, dynamo)
        assert await names(second) == ["web.api", "web.cli"]
        assert len(left(home)["checkouts"]) == 1
    assert sorted(ended) == ["added", "taken", "taken"]


async def test_an_add_that_is_cancelled_leaves_nothing_of_any(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        with anyio.CancelScope() as scope:

            async def sink(step: Any) -> None:
                if "web.cli" in step.message:
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()

            await dynamo.add_template(str(folder), sink=sink)
        assert scope.cancelled_caught
        assert left(home) == NOTHING
        assert home.scratch == []


@pytest.mark.parametrize("moment", ["read variables", "make environment"])
async def test_an_add_that_is_cancelled_leaves_no_environment_of_the_templates_that_were_prepared(
    home: Home, moment: str
) -> None:
    home.take_wheels()
    folder = write_repository(home.templates / "web", "api", "cli")
    if moment == "read variables":
        write_template(folder / "api", pre_prompt="")
        write_template(folder / "cli", pre_prompt="")
    else:
        # It can't be had, so the environment is made without.
        write_template(folder / "api", pre_gen_project="import termcolor")
    async with home.open({"UV_OFFLINE": "1"}) as dynamo:
        with anyio.CancelScope() as scope:

            async def sink(step: Any) -> None:
                if step.name == moment and "web.cli" in step.message:
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()

            await dynamo.add_template(str(folder), requirements=["jinja2"], sink=sink)
        assert scope.cancelled_caught
        assert left(home) == NOTHING
        assert home.scratch == []


@pytest.mark.parametrize("module", ["json", "termcolor"])
async def test_an_add_that_is_cancelled_while_an_environment_is_linked_leaves_none(
    home: Home, audited: list[Listener], module: str
) -> None:
    home.take_wheels()
    folder = write_repository(home.templates / "web", "api", "cli")
    # What is not in the standard library can't be had, and the environment is made without.
    write_template(folder / "api", pre_gen_project=f"import {module}")
    gone = threading.Event()
    linked: list[str] = []
    async with home.open({"UV_OFFLINE": "1"}) as dynamo:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:

            def on_link(event: str, arguments: tuple[Any, ...]) -> None:
                if event == "os.link" and f"{home.path}/bases" in str(arguments[0]) and not linked:
                    linked.append(str(arguments[1]))
                    loop.call_soon_threadsafe(scope.cancel)
                    gone.wait(1)  # an add that would leave at once has left by then

            audited.append(on_link)
            await dynamo.add_template(str(folder), requirements=["jinja2"])
        gone.set()
        assert scope.cancelled_caught
        assert linked
    assert left(home) == NOTHING


async def test_an_add_that_has_written_its_records_is_not_cancelled_any_more(
    home: Home, audited: list[Listener]
) -> None:
    folder = write_repository(home.templates / "web", "api")
    async with home.open() as dynamo:
        with anyio.CancelScope() as scope:

            def on_record(event: str, arguments: tuple[Any, ...]) -> None:
                if event == "os.rename" and str(arguments[1]).endswith("/templates/web.api.json"):
                    anyio.from_thread.run_sync(scope.cancel)

            audited.append(on_record)
            whole = await dynamo.add_template(str(folder))
            assert [child.name for child in whole.children] == ["web.api"]
        assert scope.cancel_called
        assert not scope.cancelled_caught
        assert await names(dynamo) == ["web.api"]


async def test_removing_one_removes_just_that_one_and_removing_the_name_the_rest(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli", "lib")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        assert "`web.cli`" in await dynamo.remove_template("web.cli")
        assert await names(dynamo) == ["web.api", "web.lib"]
        await dynamo.create_project("web.api", str(home.outputs))
        said = await dynamo.remove_template("web")
        assert "`web.api`, `web.lib`" in said
        assert left(home) == NOTHING
        with pytest.raises(TemplateNotFound):
            await dynamo.remove_template("web")
        await dynamo.add_template(str(folder))


async def test_an_update_of_the_whole_brings_what_is_new_and_removes_what_vanished(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli", "lib", "old")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        await dynamo.remove_template("web.lib")
        write_repository(folder, "api", "cli", "lib", "new")
        (folder / "api" / "cookiecutter.json").write_text('{"slug": "api", "more": "m"}')
        (folder / "cli" / "cookiecutter.json").write_text("{")
        change = await dynamo.update_template("web")
        assert change.changed
        assert (change.templates_added, change.templates_removed) == (("web.new",), ("web.old",))
        assert (change.variables_added, change.variables_removed) == (("web.api: more",), ("web.api: of_api",))
        problems = {child.name: bool(child.problem) for child in change.template.children}
        assert problems == {"web.api": False, "web.cli": True, "web.new": False}
        # What was removed by itself stays removed, and what can't be used as it is now stays as it was.
        assert await names(dynamo) == ["web.api", "web.cli", "web.new"]
        assert len(left(home)["checkouts"]) == 2
        for name in ("web.api", "web.cli", "web.new"):
            await dynamo.create_project(name, str(home.outputs))
        write_repository(folder, "api", "cli", "lib", "new")
        await dynamo.update_template("web")
        assert len(left(home)["checkouts"]) == 1
        assert not (await dynamo.update_template("web")).changed
        assert home.scratch == []


async def test_an_update_of_one_leaves_the_others_as_they_were(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        before = await dynamo.add_template(str(folder))
        (folder / "cli" / SLUG / "who").write_text("changed")
        assert (await dynamo.update_template("web.cli")).changed
        assert (await dynamo.template_info("web.api")).digest == before.digest
        for name in ("web.api", "web.cli"):
            await dynamo.create_project(name, str(home.outputs))
        assert (await dynamo.update_template("web", force=True)).changed
        assert len(left(home)["checkouts"]) == 1
    assert (home.outputs / "cli" / "who").read_text() == "changed"


async def test_a_template_that_two_levels_name_is_added_and_updated_once(home: Home) -> None:
    folder = write_repository(home.templates / "g", one="a", two="a/b")
    write_repository(folder / "a", "b", x="b")
    async with home.open() as dynamo:
        whole = await dynamo.add_template(str(folder))
        assert [child.name for child in whole.children if child.tool] == ["g.one.b"] == await names(dynamo)
        (folder / "a" / "b" / "cookiecutter.json").write_text('{"slug": "b", "more": "m"}')
        change = await dynamo.update_template("g")
        assert change.variables_added == ("g.one.b: more",)
        assert len({child.name for child in change.template.children}) == len(change.template.children)
        assert (await dynamo.template_info("g.one.b")).digest == change.template.digest != whole.digest
        assert len(left(home)["checkouts"]) == 1


@pytest.mark.parametrize("fault", ["one", "nonsense", "gone", "all"])
async def test_an_update_that_fails_leaves_all_as_they_were(home: Home, fault: str) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        before = left(home)
        match fault:
            case "one":
                write_template(folder)
            case "nonsense":
                (folder / "cookiecutter.json").write_text("{")
            case "gone":
                folder.rename(home.root / "moved")
            case _:
                for child in ("api", "cli"):
                    (folder / child / "cookiecutter.json").unlink()
        with pytest.raises(DynamoError):
            await dynamo.update_template("web")
        assert left(home) == before
        assert home.scratch == []
        await dynamo.create_project("web.api", str(home.outputs))


async def test_a_live_repository_is_used_in_place(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), live=True)
        (folder / "cli" / "cookiecutter.json").write_text('{"slug": "edited"}')
        await dynamo.create_project("web.cli", str(home.outputs))
        await dynamo.remove_template("web")
        assert left(home) == NOTHING
    assert home.made == ["edited"]
    assert folder.is_dir()


async def test_a_child_reads_what_its_repository_shares(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api")
    (folder / "shared").mkdir()
    (folder / "shared" / "LICENSE").write_text("of {{cookiecutter.slug}}")
    (folder / "api" / SLUG / "LICENSE").symlink_to("../../shared/LICENSE")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        await dynamo.create_project("web.api", str(home.outputs))
    assert (home.outputs / "api" / "LICENSE").read_text() == "of api"


async def test_a_child_appears_among_what_changed(home: Home) -> None:
    folder = write_repository(home.templates / "web", "api", "cli")
    seen: set[str] = set()
    async with home.open() as dynamo, dynamo.changes() as changes:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:

                async def listen() -> None:
                    async for found in changes:
                        seen.update(found)

                tasks.start_soon(listen)
                await dynamo.add_template(str(folder))
                await until(lambda: seen == {"web.api", "web.cli"})
                tasks.cancel_scope.cancel()
