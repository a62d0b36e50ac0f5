from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from benchmarks import comparing, corpus, fidelity
from benchmarks.fidelity import Row

WORKS = Row("a", None, None, None, (), 0, None, None, 1.0, 2.0)


def output(folder: Path) -> Path:
    (folder / "project" / "empty").mkdir(parents=True)
    (folder / "project" / "file").write_bytes(b"one\r\n")
    (folder / "project" / "link").symlink_to("file")
    return folder


def test_equal_outputs_do_not_differ(tmp_path: Path) -> None:
    one, other = output(tmp_path / "one"), output(tmp_path / "other")
    assert comparing.tree(one)
    assert comparing.differing(comparing.tree(one), comparing.tree(other)) == ()


@pytest.mark.parametrize("what", ["content", "mode", "link", "kind", "missing", "more"])
def test_whatever_differs_is_named(tmp_path: Path, what: str) -> None:
    one, other = output(tmp_path / "one"), output(tmp_path / "other")
    project = other / "project"
    file, link, empty = project / "file", project / "link", project / "empty"
    match what:
        case "content":
            file.write_bytes(b"one\n")
        case "mode":
            file.chmod(0o755)
        case "link":
            link.unlink()
            link.symlink_to("./file")
        case "kind":
            link.unlink()
            link.write_bytes(file.read_bytes())
        case "missing":
            empty.rmdir()
        case _:
            (project / "more").mkdir()
    changed = {"content": "file", "mode": "file", "kind": "link", "missing": "empty"}.get(what, what)
    assert comparing.differing(comparing.tree(one), comparing.tree(other)) == (f"project/{changed}",)


def test_a_repositorys_history_and_the_place_of_the_output_are_no_difference(tmp_path: Path) -> None:
    one, other = output(tmp_path / "one"), output(tmp_path / "other")
    for folder in (one, other):
        (folder / "project" / ".git").mkdir()
        (folder / "project" / ".git" / folder.name).touch()
        (folder / "project" / "where").write_text(f"I am in {folder}/project\n")
    assert comparing.differing(comparing.tree(one), comparing.tree(other)) == ()
    (other / "project" / ".git" / "other").unlink()
    (other / "project" / ".git").rmdir()
    assert comparing.differing(comparing.tree(one), comparing.tree(other)) == ("project/.git",)


def test_where_the_template_is_kept_is_no_difference(tmp_path: Path) -> None:
    one, other = output(tmp_path / "one"), output(tmp_path / "other")
    checkout = f"/home/nobody/checkouts/{'a1' * 16}"
    (one / "project" / "where").write_text(f'{{"_repo_dir": "{tmp_path}/template"}}')
    (other / "project" / "where").write_text(f'{{"_repo_dir": "{checkout}"}}')
    here, bare = comparing.tree(other), comparing.tree(one, f"{tmp_path}/template")
    assert comparing.differing(here, bare) == ()
    assert comparing.differing(here, comparing.tree(one)) == ("project/where",)


def test_a_pipe_in_an_output_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert comparing.tree(tmp_path) == {"pipe": "neither a file, a folder nor a link"}


@pytest.mark.parametrize(
    ("row", "outcome", "unexplained"),
    [
        (WORKS, "works", False),
        (msgspec.structs.replace(WORKS, bare="b", alone="b"), "works", False),
        (msgspec.structs.replace(WORKS, differing=("a",)), "differs", True),
        (msgspec.structs.replace(WORKS, here="h"), "fails", True),
        (msgspec.structs.replace(WORKS, here="h", bare="b"), "fails", True),
        (msgspec.structs.replace(WORKS, here="h", grant="network"), "fails", False),
        (msgspec.structs.replace(WORKS, here="h", bare="b", alone="b"), "fails", False),
    ],
)
def test_what_works_bare_must_work_here_or_need_a_grant(row: Row, outcome: str, unexplained: bool) -> None:
    assert (row.outcome, row.is_unexplained) == (outcome, unexplained)
    assert ("works bare, not here: a" in fidelity.words([row])) == unexplained


def test_a_table_tells_the_totals_and_what_repairs_what() -> None:
    failing = msgspec.structs.replace(WORKS, title="b", here="no route", grant="network")
    lines = fidelity.words([WORKS, failing])
    assert "2 templates; 1 work here, 2 bare and alone, 2 bare in the environment made here" in lines
    assert "works bare, not here, repaired by network: b" in lines
    assert "no route; needs network" in lines[2]


def test_a_reason_is_the_first_and_the_last_line_bounded_and_harmless() -> None:
    assert fidelity.reason(None) is None
    assert fidelity.reason("\n") == "it says nothing"
    assert fidelity.reason("one\ntwo\n\nhint: three") == "one … two"
    told = fidelity.reason("\x1b[31m" + "x" * 10_000)
    assert told is not None
    assert len(told) <= fidelity.REASON
    assert "\x1b" not in told


def test_folders_are_searched_for_templates_and_addresses_are_taken_as_they_are(tmp_path: Path) -> None:
    for inside in ("b", "a/deep", "a/deep/{{cookiecutter.name}}"):
        (tmp_path / "all" / inside).mkdir(parents=True)
        (tmp_path / "all" / inside / "cookiecutter.json").write_text("{}")
    subjects = fidelity.found([str(tmp_path / "all"), str(tmp_path / "all" / "b"), "gh:owner/name"])
    assert [subject.title for subject in subjects] == ["all/a/deep", "all/b", "b", "gh:owner/name"]
    assert subjects[0].location == str(tmp_path / "all" / "a" / "deep")
    assert subjects[3].location == "gh:owner/name"


def test_the_corpus_names_every_template_once_and_says_why_one_does_not_work() -> None:
    packages = corpus.load()
    titles = [package.title(entry) for package in packages for entry in package.templates]
    assert len(titles) == len(set(titles)) >= 35
    assert all((entry.outcome == "works") == (entry.because is None) for p in packages for entry in p.templates)
