"""What does a tree hold, and may it be used? The lint decides without I/O; the digest is the tree's identity."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from dynamo_mcp.errors import InvalidLocation, InvalidTemplate
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.tree import Entry, Lint, digest, is_beside, is_rendered


@pytest.fixture
def lint(settings: Settings) -> Lint:
    return Lint("the place", settings)


@pytest.mark.parametrize(
    "path",
    [
        "{{cookiecutter.slug}}/{% if cookiecutter.x == 'y' %}a{% endif %}.py",
        "{{ cookiecutter.slug|lower }}/\"quoted\" 'name'",
        "größe/文件",
        "-rf",
        "CON",
        "a:b",
        "a\\b",
        "dot.",
        "space ",
        ".gitignore",
        ".github/workflows",
        ".gitattributes",
        "git",
    ],
)
def test_names_that_templates_really_have_are_fine(path: str, lint: Lint) -> None:
    lint.add(Entry(path, "file"))
    lint.finish(None)


PAIRS = [("README", "readme"), ("dir/ß", "dir/SS"), ("\u00e9", "e\u0301"), ("a/x", "A/x")]


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.parametrize("pair", PAIRS)
def test_names_that_differ_only_in_how_they_are_written_are_fine(
    lint: Lint, pair: tuple[str, str], kind: Literal["file", "directory"]
) -> None:
    for path in pair:
        lint.add(Entry(path, kind))
    lint.finish(None)


@pytest.mark.parametrize("kinds", [("link", "directory"), ("link", "file"), ("link", "link"), ("file", "directory")])
@pytest.mark.parametrize("pair", PAIRS)
def test_names_under_which_one_could_be_written_behind_the_other_are_refused(
    settings: Settings, pair: tuple[str, str], kinds: tuple[Literal["file", "directory", "link"], ...]
) -> None:
    for turned in (kinds, kinds[::-1]):
        lint = Lint("the place", settings)
        for path, kind in zip(pair, turned, strict=True):
            lint.add(Entry(path, kind, target="other" if kind == "link" else ""))
        with pytest.raises(InvalidTemplate, match="differ only in how they are written") as caught:
            lint.finish(None)
        assert all(f"`{path}`" in caught.value.message for path in pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_on_a_disk_that_ignores_case_no_two_names_may_be_one(settings: Settings, pair: tuple[str, str]) -> None:
    lint = Lint("the place", settings, ignores_case=True)
    for path in (*pair, "other"):
        lint.add(Entry(path, "file"))
    with pytest.raises(InvalidTemplate, match="differ only in how they are written"):
        lint.finish(None)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a/../b", "not a path"),
        ("../b", "not a path"),
        ("a//b", "not a path"),
        ("a/./b", "not a path"),
        ("a\nb", r"`a\\nb` has a control"),
        ("a\x1b[31mb", r"`a\\x1b\[31mb` has a control"),
        ("a\x9bb", "control"),
        ("a\udcffb", "not UTF-8"),
        (".git/config", r"own `\.git`"),
        ("a/.GIT/config", r"own `\.git`"),
        (".git. ", r"own `\.git`"),
        ("GIT~1", r"own `\.git`"),
        (".git::$INDEX_ALLOCATION", r"own `\.git`"),
        (".git\\x", r"own `\.git`"),
        (".g\u200dit", r"own `\.git`"),
        ("x" * 256, "too long"),
        ("/".join(["x" * 100] * 30), "too long"),
    ],
)
def test_names_that_can_harm_are_refused_and_shown(path: str, said: str, lint: Lint) -> None:
    lint.add(Entry(path, "file"))
    with pytest.raises(InvalidTemplate, match=said):
        lint.finish(None)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("link", "file"),
        ("a/b/link", "../../file"),
        ("a/link", "../{{cookiecutter.slug}}"),
        ("link", "nowhere/at/all"),
        ("a/link", "."),
        ("link", "link"),
    ],
)
def test_links_inside_the_tree_are_fine(path: str, target: str, lint: Lint) -> None:
    lint.add(Entry(path, "link", target=target))
    lint.finish(None)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("link", "/etc/passwd"),
        ("link", ".."),
        ("a/link", "../../b"),
        ("a/link", "x/../../../a/file"),
        ("link", ""),
        ("link", "a\nb"),
        ("link", "x" * 2000),
    ],
)
def test_links_that_leave_the_tree_are_refused_by_name(path: str, target: str, lint: Lint) -> None:
    lint.add(Entry(path, "link", target=target))
    with pytest.raises(InvalidTemplate, match=f"the link `{path}`"):
        lint.finish(None)


def test_a_link_is_followed_through_other_links_as_the_kernel_does(lint: Lint) -> None:
    # Read as text, `deep/../..` stays in `a`; but `deep` is the folder `a` itself, so it leaves.
    lint.add(Entry("a/b/deep", "link", target="../../a"))
    lint.add(Entry("a/b/out", "link", target="deep/../.."))
    with pytest.raises(InvalidTemplate, match="the link `a/b/out`"):
        lint.finish(None)


def test_a_link_through_a_link_that_is_absolute_is_refused(lint: Lint) -> None:
    lint.add(Entry("root", "link", target="/"))
    lint.add(Entry("file", "link", target="root/etc/passwd"))
    with pytest.raises(InvalidTemplate, match=r"the link `root`.*the link `file`"):
        lint.finish(None)


def test_links_that_take_forever_to_follow_are_refused_in_bounded_time(lint: Lint) -> None:
    for number in range(15_000):
        lint.add(Entry(f"l{number}", "link", target="a/../" * 100 + f"l{number + 1}"))
    with pytest.raises(InvalidTemplate):
        lint.finish(None)


def test_every_problem_is_told_at_once_up_to_what_a_person_reads(lint: Lint) -> None:
    for number in range(20):
        lint.add(Entry(f"bad\n{number}", "file"))
    with pytest.raises(InvalidTemplate, match=r"bad\\n0.*bad\\n7.*and 12 more"):
        lint.finish(None)


def test_too_many_entries_or_bytes_are_refused_with_the_limit_and_its_setting(settings: Settings) -> None:
    small = msgspec.structs.replace(settings, template_files=2, template_bytes=10)
    many = Lint("there", small)
    many.add(Entry("a", "file"))
    many.add(Entry("b", "directory"))
    with pytest.raises(InvalidTemplate, match="`there` has more than 2 files and folders") as caught:
        many.add(Entry("c", "link", target="a"))
    assert "DYNAMO_MCP_TEMPLATE_FILES" in caught.value.hint
    big = Lint("there", small)
    big.add(Entry("a", "file", 10))
    with pytest.raises(InvalidTemplate, match="more than 10 bytes") as caught:
        big.add(Entry("b", "file", 1))
    assert "DYNAMO_MCP_TEMPLATE_BYTES" in caught.value.hint


def test_a_directory_that_is_not_there_is_answered_with_those_that_hold_templates(lint: Lint) -> None:
    for name in ("one", "two", "deep/three"):
        lint.add(Entry(name, "directory"))
        lint.add(Entry(f"{name}/cookiecutter.json", "file"))
    lint.finish("one")
    lint.finish("deep/three")
    for missing in ("ones", "one/cookiecutter.json"):
        with pytest.raises(InvalidLocation, match=f"no folder `{missing}` in `the place`") as caught:
            lint.finish(missing)
        assert "`one`, `two`, `deep/three`" in caught.value.hint


def test_a_directory_is_not_needed_when_the_template_is_at_the_root(lint: Lint) -> None:
    lint.add(Entry("cookiecutter.json", "file"))
    with pytest.raises(InvalidLocation) as caught:
        lint.finish("x")
    assert "leave `directory` out" in caught.value.hint


def make(root: Path) -> Path:
    (root / "a").mkdir(parents=True)
    (root / "a" / "file").write_text("content")
    (root / "link").symlink_to("a/file")
    return root


def test_the_digest_of_equal_trees_is_equal(tmp_path: Path) -> None:
    assert digest(make(tmp_path / "one")) == digest(make(tmp_path / "two"))


@pytest.mark.parametrize("change", ["content", "x bit", "name", "target", "kind", "more", "empty folder"])
def test_the_digest_changes_with_whatever_a_project_could_show(change: str, tmp_path: Path) -> None:
    before = digest(make(tmp_path / "one"))
    two = make(tmp_path / "two")
    if change == "content":
        (two / "a" / "file").write_text("contents")
    elif change == "x bit":
        (two / "a" / "file").chmod(0o744)
    elif change == "name":
        (two / "a" / "file").rename(two / "a" / "file2")
    elif change == "target":
        (two / "link").unlink()
        (two / "link").symlink_to("a/./file")
    elif change == "kind":
        (two / "link").unlink()
        (two / "link").write_text("a/file")
    elif change == "more":
        (two / "more").write_text("")
    else:
        (two / "more").mkdir()
    assert digest(two) != before


def test_the_digest_ignores_what_is_no_part_of_a_template(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    before = digest(one)
    for path in (one / "a" / "file", one / "link"):
        os.utime(path, (0, 0), follow_symlinks=False)
    (one / "a" / "file").chmod(0o600)
    assert digest(one) == before


def test_the_digest_passes_over_what_is_no_part_of_the_template_only_when_asked(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    before = digest(one)
    (one / "a" / "__pycache__").mkdir()
    (one / "a" / "__pycache__" / "x.pyc").write_text("")
    assert digest(one) != before
    assert digest(one, leave_out=is_beside) == before


@pytest.mark.parametrize(
    "path",
    [
        *(".git", ".hg", ".venv", "__pycache__", "one/.venv", "hooks/__pycache__", "local_extensions/__pycache__"),
        *("cookiecutter-python/hooks/__pycache__", "vendored/.git", "{{cookiecutter.slug}}/vendored/.git"),
    ],
)
def test_history_environments_and_bytecode_lie_beside_a_template(path: str) -> None:
    assert is_beside(path)


@pytest.mark.parametrize("folder", ["{{cookiecutter.slug}}", "one/{{ cookiecutter.slug }}/b", "<<cookiecutter.slug>>"])
@pytest.mark.parametrize("name", [".hg", ".venv", "__pycache__", ".gitignore"])
def test_in_what_a_project_is_made_of_they_are_the_template(folder: str, name: str) -> None:
    assert is_rendered(f"{folder}/{name}")
    assert not is_beside(f"{folder}/{name}")
