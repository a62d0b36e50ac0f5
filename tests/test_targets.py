"""Which folder may a project be? The one that the caller means, not the one that a template picks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.errors import DynamoError, OutputRefused, TargetExists
from dynamo_mcp.types import IfExists
from homes import Home, base_environments, write_template

pytestmark = pytest.mark.anyio

MERGES: list[IfExists] = ["skip", "overwrite"]


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def choosing(name: str) -> dict[str, Any]:
    """A template whose folder's name is its own choice, whatever is asked."""
    return {"configuration": {"name": "My App", "slug": name, "__folder": name}}


def theirs(home: Home, name: str) -> Path:
    """Put a person's folder where the project would be."""
    folder = home.outputs / name
    folder.mkdir()
    (folder / "README.md").write_text("private")
    return folder


@pytest.mark.parametrize("if_exists", MERGES)
@pytest.mark.parametrize("name", ["work", "-", "ssh"])
async def test_an_agent_merges_only_with_what_its_answers_name_or_the_template_made(
    home: Home, *, name: str, if_exists: IfExists
) -> None:
    folder = theirs(home, name)
    async with home.open() as dynamo:
        await home.add(dynamo, "one", **choosing(name))
        for answers in ({}, {"name": "another"}, {"name": f"x{name}"}, {"name": "!"}):
            with pytest.raises(TargetExists, match="no answer says its name") as caught:
                await dynamo.create_project("one", str(home.outputs), answers, if_exists=if_exists)
            assert f"`{name}`" in caught.value.hint
        assert (folder / "README.md").read_text() == "private"
        assert home.made == [name]
        project = await dynamo.create_project("one", str(home.outputs), {"name": name}, if_exists=if_exists)
        assert project.path == str(folder)
        # From now on it is known to be the template's.
        await dynamo.create_project("one", str(home.outputs), if_exists=if_exists)
        await home.add(dynamo, "other", **choosing(name))
        with pytest.raises(TargetExists, match="`other` did not make it"):
            await dynamo.create_project("other", str(home.outputs), if_exists=if_exists)


async def test_a_template_that_has_only_the_name_of_the_one_that_made_a_folder_does_not_merge_with_it(
    home: Home,
) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", **choosing("work"))
        await dynamo.create_project("one", str(home.outputs))
        await dynamo.remove_template("one")
        elsewhere = write_template(home.templates / "elsewhere", configuration={"slug": "work", "__folder": "work"})
        await dynamo.add_template(str(elsewhere), name="one")
        with pytest.raises(TargetExists, match="`one` did not make it"):
            await dynamo.create_project("one", str(home.outputs), if_exists="overwrite")


async def test_a_folder_put_in_the_place_of_the_one_that_a_template_made_is_not_its_own(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", **choosing("work"))
        await dynamo.create_project("one", str(home.outputs))
        await dynamo.create_project("one", str(home.outputs), if_exists="overwrite")
        (home.outputs / "work").rename(home.outputs / "made")
        theirs(home, "work")
        with pytest.raises(TargetExists, match="`one` did not make it"):
            await dynamo.create_project("one", str(home.outputs), if_exists="overwrite")
        assert (home.outputs / "work" / "README.md").read_text() == "private"
        (home.path / "targets").rename(home.path / "lost")  # nothing is known, and a project is made anyway
        await dynamo.create_project("one", str(home.outputs), {"name": "work"}, if_exists="overwrite")


async def test_an_answer_names_a_folder_by_its_letters_and_digits(home: Home) -> None:
    theirs(home, "my_app-2")
    async with home.open() as dynamo:
        await home.add(dynamo, "one", **choosing("my_app-2"))
        await dynamo.create_project("one", str(home.outputs), {"name": "My App 2"}, if_exists="overwrite")


async def test_a_person_merges_with_what_they_like(home: Home) -> None:
    folder = theirs(home, "work")
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", **choosing("work"))
        await dynamo.create_project("one", str(home.outputs), if_exists="overwrite")
    assert (folder / "README.md").read_text() == "work\n"


async def test_a_preview_does_not_look_into_a_folder_that_nobody_named(home: Home) -> None:
    theirs(home, "work")
    async with home.open() as dynamo:
        await home.add(dynamo, "one", **choosing("work"))
        for if_exists in ("error", *MERGES):
            with pytest.raises(TargetExists, match="no answer says its name"):
                await dynamo.preview_project("one", str(home.outputs), if_exists=if_exists, diff=True)
        preview = await dynamo.preview_project("one", str(home.outputs), {"name": "work"}, diff=True)
    assert "-private" in (preview.diff or "")


@pytest.mark.parametrize("person", [True, False])
@pytest.mark.parametrize("there", [True, False])
async def test_a_hidden_folder_is_made_only_where_an_answer_says_its_very_name(
    home: Home, *, person: bool, there: bool
) -> None:
    if there:
        theirs(home, ".ssh")
    if_exists: IfExists = "overwrite" if there else "error"
    async with home.open(person=person) as dynamo:
        await home.add(dynamo, "one", **choosing(".ssh"))
        for answers in ({}, {"name": "ssh"}, {"name": ".SSH"}):
            with pytest.raises(OutputRefused, match=r"calls its project `\.ssh`, which is hidden") as caught:
                await dynamo.create_project("one", str(home.outputs), answers, if_exists=if_exists)
            assert "give `.ssh` as an answer" in caught.value.hint
            with pytest.raises(OutputRefused):
                await dynamo.preview_project("one", str(home.outputs), answers)
        assert home.made == ([".ssh"] if there else [])
        await dynamo.create_project("one", str(home.outputs), {"name": ".ssh"}, if_exists=if_exists)
        await dynamo.create_project("one", str(home.outputs), if_exists="overwrite")


@pytest.mark.parametrize("person", [True, False])
@pytest.mark.parametrize("if_exists", MERGES)
async def test_no_project_takes_the_place_of_the_home(home: Home, *, person: bool, if_exists: IfExists) -> None:
    async with home.open(person=person, output_roots=(home.root,)) as dynamo:
        await home.add(dynamo, "one")
        before = sorted(home.path.iterdir())
        for folder, name in ((home.root, "home"), (home.path, "templates"), (home.path / "checkouts", "x")):
            with pytest.raises(OutputRefused, match="keeps its own"):
                await dynamo.create_project("one", str(folder), {"slug": name}, if_exists=if_exists)
        assert sorted(home.path.iterdir()) == before
        await dynamo.create_project("one", str(home.path / "outputs"), {"slug": "x"}, if_exists=if_exists)


async def test_braces_in_an_output_folder_are_its_name(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        project = await dynamo.create_project("one", str(home.outputs / "{{ 7*7 }}{% raw %}" / "dots..."))
    assert project.path == str(home.outputs / "{{ 7*7 }}{% raw %}" / "dots..." / "made")


async def test_a_folder_that_became_a_link_while_the_project_was_made_is_not_written_through(home: Home) -> None:
    elsewhere = home.root / "elsewhere"
    elsewhere.mkdir()
    folder = home.outputs / "folder"
    async with home.open() as dynamo:
        await home.add(dynamo, "one")

        async def swap(step: Any) -> None:
            if step.name == "render" and not folder.is_symlink():
                folder.rmdir()
                folder.symlink_to(elsewhere)

        with pytest.raises(DynamoError):
            await dynamo.create_project("one", str(folder), sink=swap)
    assert list(elsewhere.iterdir()) == []
