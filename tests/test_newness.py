"""Whether there is a newer revision is asked for each template by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.views import Newer
from homes import Home, base_environments, commit, git, write_template

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def test_each_is_told_by_itself_and_nothing_is_fetched(home: Home) -> None:
    folders = {name: write_template(home.templates / name) for name in ("git", "gone", "live", "folder", "same")}
    commit(folders["git"])
    commit(folders["gone"])
    async with home.open() as dynamo:
        for name, folder in folders.items():
            address = folder.as_uri() if name in {"git", "gone"} else str(folder)
            await dynamo.add_template(address, name=name, live=name == "live")
        await dynamo.add_template(
            folders["git"].as_uri(), name="pinned", checkout=git(folders["git"], "rev-parse", "HEAD")
        )
        before = sorted((home.path / "checkouts").iterdir())
        told = await dynamo.check_templates(await dynamo.list_templates())
        assert {info.name: info.newer and info.newer.state for info in told} == dict.fromkeys(
            (*folders, "pinned"), "current"
        )
        for name in ("git", "live", "folder"):
            write_template(folders[name], {"new.txt": "new"})
        newest = commit(folders["git"])
        folders["gone"].rename(home.root / "elsewhere")
        told = await dynamo.check_templates(await dynamo.list_templates())
        newer = {info.name: info.newer for info in told}
        assert newer["git"] == Newer("newer", newest)
        assert {name: each and each.state for name, each in newer.items()} == {
            "git": "newer",
            "gone": "failed",
            "live": "newer",
            "folder": "newer",
            "same": "current",
            "pinned": "current",
        }
        assert newer["gone"] is not None
        assert "gone" in (newer["gone"].why or "")
        assert sorted((home.path / "checkouts").iterdir()) == before
        assert [info.newer for info in await dynamo.list_templates()] == [None] * 6
        assert home.scratch == []


async def test_what_nobody_is_asked_for_offline_is_unknown_for_that_reason(home: Home) -> None:
    folder = write_template(home.templates / "one")
    commit(folder)
    async with home.open() as dynamo:
        await dynamo.add_template(folder.as_uri(), name="one")
        await dynamo.add_template(str(folder), name="here")
    record = home.path / "templates" / "one.json"
    record.write_text(record.read_text().replace(folder.as_uri(), "https://host.invalid/o/r"))
    async with home.open({"DYNAMO_MCP_OFFLINE": "1"}) as dynamo:
        told = {info.name: info.newer for info in await dynamo.check_templates(await dynamo.list_templates())}
    assert told["one"] == Newer("unknown", None, "nobody is asked offline")
    assert told["here"] is not None
    assert told["here"].state == "current"


async def test_a_repository_of_several_is_asked_once_and_told_as_a_whole(home: Home) -> None:
    folder = home.templates / "all"
    for name in ("one", "two"):
        write_template(folder / name)
    (folder / "cookiecutter.json").write_text(
        '{"templates": {"one": {"path": "./one", "title": "One"}, "two": {"path": "./two", "title": "Two"}}}'
    )
    commit(folder)
    async with home.open() as dynamo:
        await dynamo.add_template(folder.as_uri(), name="all")
        write_template(folder / "one", {"new.txt": "new"})
        newest = commit(folder)
        whole = await dynamo.template_info("all")
        told = await dynamo.check_templates([whole, *await dynamo.list_templates()])
        assert [(info.name, info.newer) for info in told] == [
            (name, Newer("newer", newest)) for name in ("all", "all.one", "all.two")
        ]
        await dynamo.update_template("all")
        (whole,) = await dynamo.check_templates([await dynamo.template_info("all")])
        assert whole.newer == Newer("current", newest)


async def test_one_that_was_removed_meanwhile_is_told_as_it_was(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        listed = await dynamo.list_templates()
        await dynamo.remove_template("one")
        assert await dynamo.check_templates(listed) == listed
