"""Which templates does this repository hold? Read as cookiecutter reads them, and nothing outside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.configuration import SHOWN
from dynamo_mcp.errors import InvalidTemplate, NotATemplate
from dynamo_mcp.nesting import LONGEST_NAME, MOST_CHILDREN, MOST_LEVELS, Found, find
from dynamo_mcp.registry import check_name


def write(folder: Path, configuration: Any = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cookiecutter.json").write_text(json.dumps(configuration or {"slug": "made"}))
    return folder


def holding(root: Path, templates: dict[str, Any], *folders: str) -> Path:
    """Write a repository that names templates, and one in each folder."""
    for folder in folders:
        write(root / folder)
    return write(root, {"templates": templates})


def found(root: Path, group: str = "web", **more: Any) -> Found:
    held = find(root, more.pop("directory", None), group=group, **more)
    assert held is not None
    return held


class TestNaming:
    def test_each_template_is_a_child_with_its_authors_words(self, tmp_path: Path) -> None:
        root = holding(
            tmp_path,
            {
                "api": {"path": "./api", "title": "An API", "description": "With  FastAPI\u202e"},
                "cli": {"path": "tools/cli", "title": "A shell"},
                "bare": {"path": "bare"},
                "plain": "./plain",
            },
            "api", "tools/cli", "bare", "plain",
        )  # fmt: skip
        assert [(child.name, child.directory, child.description, child.problem) for child in found(root).children] == [
            ("web.api", "api", "An API: With FastAPI", None),
            ("web.cli", "tools/cli", "A shell", None),
            ("web.bare", "bare", "bare", None),
            ("web.plain", "plain", "plain", None),
        ]

    def test_the_older_form_is_read_too_with_its_labels(self, tmp_path: Path) -> None:
        write(tmp_path / "a")
        write(tmp_path / "b")
        labels = {"template": {"__prompt__": "Which?", "Second One (./b)": "The second"}}
        write(tmp_path, {"template": ["First (./a)", "Second One (./b)"], "__prompts__": labels})
        assert [(child.name, child.directory, child.description) for child in found(tmp_path).children] == [
            ("web.first", "a", "First"),
            ("web.second-one", "b", "The second"),
        ]

    def test_where_a_title_makes_no_good_name_the_folder_is_one(self, tmp_path: Path) -> None:
        titles = ["{{cookiecutter.slug}} (./one)", "日本 (./apps/two/)", "日本 API (./three)"]
        for folder in ("one", "apps/two", "three"):
            write(tmp_path / folder)
        write(tmp_path, {"template": titles})
        assert [child.name for child in found(tmp_path).children] == ["web.one", "web.two", "web.api"]

    def test_a_repository_that_asks_questions_is_one_template(self, tmp_path: Path) -> None:
        assert find(write(tmp_path), None, group="web") is None
        assert find(write(tmp_path, {"template": "basic", "templates": {}}), None, group="web") is None

    def test_a_nested_template_may_be_nested_itself(self, tmp_path: Path) -> None:
        holding(tmp_path / "py", {"lib": {"path": "lib"}, "app": {"path": "./app"}}, "lib", "app")
        root = holding(tmp_path, {"py": {"path": "py"}, "go": {"path": "go"}}, "go")
        assert [(child.name, child.directory) for child in found(root).children] == [
            ("web.py.lib", "py/lib"),
            ("web.py.app", "py/app"),
            ("web.go", "go"),
        ]

    def test_a_folder_of_a_repository_may_hold_several(self, tmp_path: Path) -> None:
        holding(tmp_path / "py", {"lib": "lib"}, "lib")
        assert [child.directory for child in found(tmp_path, directory="py").children] == ["py/lib"]

    def test_names_are_made_valid_and_unique_and_it_is_said(self, tmp_path: Path) -> None:
        keys = ["A B", "a-b", "é", "x" * 60, "x" * 61]
        root = holding(tmp_path, {key: f"f{number}" for number, key in enumerate(keys)}, *(f"f{n}" for n in range(5)))
        held = found(root, "g" * 40)
        names = [child.name for child in held.children]
        assert [check_name(name) for name in names] == names
        assert len(set(names)) == 5
        assert max(map(len, names)) == LONGEST_NAME
        assert len(held.notes) == 5
        assert all(f"`{name}` is short for" in note for name, note in zip(names, held.notes, strict=True))

    def test_a_child_keeps_the_name_it_had_and_takes_nobodys(self, tmp_path: Path) -> None:
        root = holding(tmp_path, {"new": "b", "old": "a"}, "a", "b")
        held = found(root, known={"a": "web.new"}, taken=["web.new-2"])
        assert {child.directory: child.name for child in held.children} == {"a": "web.new", "b": "web.new-3"}


class TestRefusing:
    @pytest.mark.parametrize("path", ["..", "../beside", "a/../../beside", "/etc", "a\\b", "a\0b"])
    def test_a_path_out_of_the_repository_is_not_followed(self, path: str, tmp_path: Path) -> None:
        write(tmp_path / "beside")
        root = holding(tmp_path / "root", {"out": {"path": path}, "in": "a"}, "a")
        out, inside = found(root).children
        assert "is not a folder inside the repository" in (out.problem or "")
        assert inside.problem is None

    def test_a_link_out_of_the_repository_is_not_followed(self, tmp_path: Path) -> None:
        write(tmp_path / "beside")
        root = holding(tmp_path / "root", {"out": "link"})
        (root / "link").symlink_to("../beside")
        (child,) = found(root).children
        assert child.problem == "`link` leads out of the repository"

    @pytest.mark.parametrize("path", [".", "./", "self", "a/.."])
    def test_a_repository_that_names_itself_is_not_followed(self, path: str, tmp_path: Path) -> None:
        root = holding(tmp_path, {"self": path})
        (root / "self").symlink_to(".")
        assert found(root).children[0].problem

    def test_what_is_not_there_or_has_no_path_or_is_named_twice_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        templates = {"gone": "gone", "none": {"title": "x"}, "empty": "empty", "a": "a", "again": "./a", "number": 7}
        problems = {child.name: child.problem for child in found(holding(tmp_path, templates, "a")).children}
        assert problems == {
            "web.gone": "there is no folder `gone`",
            "web.none": "nothing says in which folder it is",
            "web.empty": "There is no `cookiecutter.json` in `empty`",
            "web.a": None,
            "web.again": "another of its templates is in the same folder",
            "web.number": "nothing says in which folder it is",
        }

    @pytest.mark.parametrize("first", ["inner", "outer"])
    def test_one_folder_that_two_levels_name_is_one_template(self, first: str, tmp_path: Path) -> None:
        holding(tmp_path / "a", {"x": "b"}, "b")
        templates = {"one": "a", "two": "a/b"} if first == "inner" else {"two": "a/b", "one": "a"}
        held = found(holding(tmp_path, templates)).children
        names = ["web.one.x", "web.two"] if first == "inner" else ["web.two", "web.one.x"]
        assert [(child.name, child.directory, child.problem) for child in held] == [
            (names[0], "a/b", None),
            (names[1], "a/b", "another of its templates is in the same folder"),
        ]
        known = found(tmp_path, known={"a/b": "web.two"}, taken=["web.two"]).children
        assert [child.name for child in known if child.problem is None] == ["web.two"]
        assert len({child.name for child in known}) == 2

    def test_what_is_not_there_on_one_level_is_no_reason_against_its_name_on_another(self, tmp_path: Path) -> None:
        holding(tmp_path / "a", {"gone": "b"})
        root = holding(tmp_path, {"one": "a", "two": "b"}, "b")
        gone, there = found(root, known={"b": "web.before"}).children
        assert (gone.name, gone.directory, gone.problem) == ("web.one.gone", "a/b", "there is no folder `b`")
        assert (there.name, there.directory, there.problem) == ("web.before", "b", None)

    def test_levels_are_bounded(self, tmp_path: Path) -> None:
        folder = tmp_path
        for _ in range(MOST_LEVELS + 2):
            holding(folder, {"in": "in"})
            folder /= "in"
        write(folder)
        (child,) = found(tmp_path).children
        assert child.problem == f"templates are nested more than {MOST_LEVELS} levels deep"

    def test_their_number_is_bounded(self, tmp_path: Path) -> None:
        write(tmp_path / "a")
        holding(tmp_path, {f"t{number}": "a" for number in range(MOST_CHILDREN + 1)})
        with pytest.raises(InvalidTemplate, match=f"more than {MOST_CHILDREN} templates"):
            find(tmp_path, None, group="web")


class TestFolders:
    def test_a_repository_without_a_configuration_says_which_folders_hold_one(self, tmp_path: Path) -> None:
        for folder in ("api", "tools/cli", "a/b/c", "too/deep/to/see", ".hidden", "{{cookiecutter.slug}}"):
            write(tmp_path / folder)
        (tmp_path / "link").symlink_to("api")
        with pytest.raises(NotATemplate) as raised:
            find(tmp_path, None, group="web")
        assert raised.value.message.endswith("but in the folders `api`, `tools/cli`, `a/b/c`")
        assert "`directory`" in raised.value.hint

    def test_the_only_folder_is_told_and_not_taken(self, tmp_path: Path) -> None:
        write(tmp_path / "in" / "api")
        with pytest.raises(NotATemplate, match="in the folder `in` of the repository, but in the folder `in/api`"):
            find(tmp_path, "in", group="web")

    def test_the_list_is_bounded(self, tmp_path: Path) -> None:
        for number in range(SHOWN + 3):
            write(tmp_path / f"t{number:02}")
        with pytest.raises(NotATemplate, match="`t19` and 3 more"):
            find(tmp_path, None, group="web")

    def test_a_repository_that_holds_none_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(NotATemplate, match=r"There is no `cookiecutter\.json`"):
            find(tmp_path, None, group="web")
