"""What a template uses and is not there is told with its place, its name, and the nearest that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from in_environment.workers import write_template

if TYPE_CHECKING:
    from pathlib import Path

    from in_environment.workers import Worker

SLUG = "{{cookiecutter.slug}}"
NEAREST = "there is no variable `cookiecutter.slgu`; did you mean `cookiecutter.slug`?"


def told(worker: Worker, folder: Path, files: dict[str, str | bytes], **asked: Any) -> str:
    """Return why no project is made, which is the same whatever may run of the template."""
    write_template(folder, {f"{SLUG}/README.md": "x", **files}, {"slug": "made", **asked})
    contained, inert = (worker.create(folder, trust=trust) for trust in ("contained", "inert"))
    assert contained.event == "failed", contained.last
    assert inert.last["message"] == contained.message
    return contained.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one\n{{ cookiecutter.slgu }}", f"`file`, line 2: {NEAREST}"),
        ("{{ cookiecutter['slgu'] }}", f"`file`, line 1: {NEAREST}"),
        ("{{ slug }}", "`file`, line 1: there is no variable `slug`; did you mean `cookiecutter.slug`?"),
        ("{{ cookiecuter.slug }}", "`file`, line 1: there is no variable `cookiecuter`; did you mean `cookiecutter`?"),
        ("{{ x }}", "`file`, line 1: there is no variable `x`; known are `cookiecutter.slug`, `cookiecutter.owner`"),
        ("{{ cookiecutter.owner.nmae }}", "`file`, line 1: a mapping has no `nmae`; did you mean `name`?"),
        ("{{ cookiecutter.slug.uper() }}", "`file`, line 1: a text has no `uper`; did you mean `upper`?"),
        ("{{ [1, 2][5] }}", "`file`, line 1: a list of 2 has no item `5`"),
        ("{{ none.x }}", "`file`, line 1: null has no `x`"),
        ("{{ []|first }}", "`file`, line 1: No first item, sequence was empty."),
        ("{% include 'part' %}", f"`../templates/part`, line 1: {NEAREST}"),
    ],
)
def test_in_a_file(worker: Worker, tmp_path: Path, text: str, words: str) -> None:
    part = "{{ cookiecutter.slgu }}"
    assert told(worker, tmp_path, {f"{SLUG}/file": text, "templates/part": part}, owner={"name": "Ada"}) == words


@pytest.mark.parametrize("name", ["{{cookiecutter.slgu}}", "{{cookiecutter.slgu}}.txt"])
def test_in_the_name_of_a_folder_or_a_file(worker: Worker, tmp_path: Path, name: str) -> None:
    inner = f"{name}/file" if name.endswith("}}") else name
    assert told(worker, tmp_path, {f"{SLUG}/{inner}": "x"}) == f"the name `{name}`: line 1: {NEAREST}"


@pytest.mark.parametrize(
    ("default", "words"),
    [
        ("{{ cookiecutter.slgu }}", NEAREST),
        ("{{ cookiecutter.owm }}", "there is no variable `cookiecutter.owm`; known are `cookiecutter.slug`"),
        ("{{ x }}", "there is no variable `x`; known are `cookiecutter.slug`"),
        ("{{ none.x }}", "null has no `x`"),
        ("{{ cookiecutter.own }}", "`cookiecutter.own` has no value yet; it is computed from itself"),
        ("{{ cookiecutter.late }}", "`cookiecutter.late` has no value yet; `late` is only answered after `own`"),
    ],
)
def test_in_a_default(worker: Worker, tmp_path: Path, default: str, words: str) -> None:
    assert told(worker, tmp_path, {}, own=default, late="x") == f"the default of `own`: {words}"


def test_in_a_hook(worker: Worker, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{SLUG}/file": "x",
        "hooks/pre_gen_project.py": "one = 1\n# {{ cookiecutter.slgu }}",
    }
    made = worker.create(write_template(tmp_path, files, {"slug": "made"}))
    assert made.message == f"the hook `pre_gen_project.py`: line 2: {NEAREST}"


def test_names_and_lists_of_names_are_bounded_and_what_is_left_out_is_counted(worker: Worker, tmp_path: Path) -> None:
    many = {f"v{number}": "x" for number in range(50)}
    words = told(worker, tmp_path, {f"{SLUG}/file": "{{ cookiecutter." + "z" * 5000 + " }}"}, **many)
    assert words.startswith(f"`file`, line 1: there is no variable `cookiecutter.{'z' * 99}…`; known are ")
    assert words.endswith("`cookiecutter.v18` and 31 more")


def test_what_asks_whether_something_is_there_still_may(worker: Worker, tmp_path: Path) -> None:
    text = "{% if cookiecutter.nope is undefined %}{{ cookiecutter.nope|default('none') }}{% endif %}"
    folder = write_template(tmp_path, {f"{SLUG}/file": text}, {"slug": "made"})
    assert worker.create(folder).read("file") == "none"
