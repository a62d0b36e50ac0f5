"""Where it differs from cookiecutter on purpose: each row of the table in the documents is pinned by a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homes import SLUG, Home, base_environments, write_template
from sources.repositories import GIT_ENVIRONMENT, Repository

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
TESTS = Path(__file__).parent
RENDER, HOOKS = "in_environment/test_render.py", "in_environment/test_hooks.py"
PINNED = {
    "renders given values as Jinja": (RENDER, "test_an_answer_is_literal_in_the_content_of_files"),
    "renders folder names twice": (RENDER, "test_an_answer_is_literal_in_every_name"),
    "drops unknown names": ("test_variables.py", "test_an_unknown_name_is_told_with_the_nearest"),
    "takes values for `_private` and `__rendered` names": (
        "test_variables.py",
        "test_a_private_name_is_not_asked_though_the_template_has_it",
    ),
    "reads `NaN` and `Infinity` in `cookiecutter.json`": (
        "test_configuration.py",
        "test_a_number_that_json_does_not_have_is_refused_though_python_reads_it",
    ),
    "lets a variable have any name": (
        "test_configuration.py",
        "test_a_name_that_no_schema_can_hold_or_nobody_could_read_is_refused",
    ),
    "reads a `cookiecutter.json` of any length": (
        "test_configuration.py",
        "test_a_file_of_more_than_a_mebibyte_is_refused_with_its_size",
    ),
    "asks any number of questions": (
        "test_configuration.py",
        "test_more_questions_than_anybody_would_answer_are_refused_with_their_number",
    ),
    "takes a value of any type": ("test_variables.py", "test_a_wrong_answer_is_told_with_what_is_allowed"),
    "takes a choice only as it is written": (RENDER, "test_a_choice_is_one_of_its_rendered_items"),
    "takes the first of several folders to render": (
        RENDER,
        "test_of_two_folders_to_render_none_is_picked_and_both_are_named",
    ),
    "runs hooks of one name as the disk lists them": (
        HOOKS,
        "test_hooks_of_one_moment_run_in_the_order_of_their_names",
    ),
    "writes wherever a name leads": (RENDER, "test_a_name_that_leaves_the_project_is_refused"),
    "lets the project's folder be a path": (RENDER, "test_a_project_folder_without_a_plain_name_is_refused"),
    "lets the project's folder be hidden": (
        "test_targets.py",
        "test_a_hidden_folder_is_made_only_where_an_answer_says_its_very_name",
    ),
    "writes into any folder of that name": (
        "test_targets.py",
        "test_an_agent_merges_only_with_what_its_answers_name_or_the_template_made",
    ),
    "writes into an existing folder": ("test_projects.py", "test_a_failed_create_leaves_an_existing_project_as_it_was"),
    "leaves part of a project when a file can't be rendered": (
        "test_hostile_templates.py",
        "test_a_template_that_is_broken_is_told_so_where_and_leaves_nothing",
    ),
    "lets hooks read the terminal": (HOOKS, "test_a_hook_that_asks_is_told_that_nobody_answers"),
    "starts an interpreter for each Python hook": (
        "in_environment/test_warm.py",
        "test_a_hook_is_a_fork_only_where_that_is_asked_for",
    ),
    "lets a hook import nothing beside it": (HOOKS, "test_what_lies_beside_a_hook_shadows_nothing"),
    "leaves rendered hooks in the temporary folder": (
        HOOKS,
        "test_no_rendered_copy_of_a_hook_and_no_output_is_left",
    ),
    "runs hooks where the project stays": (
        "test_relocation.py",
        "test_what_a_hook_wrote_of_its_place_is_the_place_of_the_project",
    ),
    "copies a `.git` that lies in a folder's template": (
        "test_deliberate_differences.py",
        "test_of_a_folders_template_only_a_repositorys_own_folder_is_left_out_and_the_notes_say_so",
    ),
    "leaves in the output folder what a hook put there, over what was there": (
        "test_projects.py",
        "test_nothing_that_is_there_is_replaced_by_what_a_hook_put_beside_its_project",
    ),
    "keeps whatever a hook made": ("test_projects.py", "test_what_leaves_the_project_is_left_out_and_told"),
    "lets a hook make what is set-uid, a FIFO or a device": (
        "test_projects.py",
        "test_a_hook_that_makes_what_the_sandbox_permits_nobody_fails_with_a_hint",
    ),
    "writes through links in an existing folder": (
        "test_copying.py",
        "test_a_link_that_is_there_is_not_written_through",
    ),
    "gives `_template` as it was typed, `_repo_dir` in `~/.cookiecutters`": (
        "test_deliberate_differences.py",
        "test_a_template_is_told_its_address_its_checkout_and_the_real_output_folder",
    ),
    "reads `~/.cookiecutterrc`": (
        "test_defaults.py",
        "test_a_project_is_made_with_them_only_where_the_operator_says_so",
    ),
    "stops at the first default of it that does not fit": (
        "test_defaults.py",
        "test_a_value_that_does_not_fit_is_told_and_the_others_count",
    ),
    "takes private values from a replay file": (
        "integration/test_shell.py",
        "test_a_replay_file_of_cookiecutter_makes_what_cookiecutter_made",
    ),
    "keeps clones and replay files in the home folder": (
        "test_deliberate_differences.py",
        "test_a_create_writes_nothing_to_the_home_folder",
    ),
    "asks which of several nested templates is meant": (
        "test_groups.py",
        "test_every_template_of_a_repository_is_one_of_its_own",
    ),
    "follows a nested `path` out of the repository": (
        "test_nesting.py",
        "test_a_path_out_of_the_repository_is_not_followed",
    ),
    "follows the templates that a `pre_prompt` hook names": (
        "test_inspection.py",
        "test_a_hook_that_names_templates_is_refused_and_says_how_to_add_each",
    ),
    "runs the `pre_prompt` hook of a repository that only names templates": (
        "test_inspection.py",
        "test_a_child_of_a_repository_has_its_own_hook_which_runs_in_its_own_folder",
    ),
}


LIST = """
import inspect, sys, pytest

class Watch:
    def pytest_collection_finish(self, session):
        for item in session.items:
            marks = {mark.name for mark in item.iter_markers()}
            if not marks & {"skip", "skipif", "xfail"} and "pytest.skip(" not in inspect.getsource(item.function):
                print("always run:", item.path, item.originalname)

sys.exit(pytest.main(["--collect-only", "-q", "-n0", *sys.argv[1:]], plugins=[Watch()]))
"""
"""Names the tests of some files that run on every machine."""


@pytest.fixture(scope="module")
def always_run() -> frozenset[tuple[str, str]]:
    """The files and names of the tests that pytest would run, whatever the machine lacks."""
    files = sorted({str(TESTS / file) for file, _ in PINNED.values()})
    done = subprocess.run(
        [sys.executable, "-c", LIST, *files],
        cwd=TESTS.parent,
        capture_output=True,
        check=True,
        timeout=300,
        text=True,
    )
    found = re.findall(r"^always run: (.+) (\w+)$", done.stdout, re.MULTILINE)
    return frozenset((str(Path(path).relative_to(TESTS)), name) for path, name in found)


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def test_every_row_of_the_table_is_pinned() -> None:
    table = PAGE.read_text().partition("| cookiecutter | here | why |")[2]
    rows = re.findall(r"^\| (.+?) \|", table.partition("\n## ")[0], re.MULTILINE)
    assert rows == list(PINNED)


@pytest.mark.parametrize("row", PINNED)
def test_what_pins_a_row_is_run(row: str, always_run: frozenset[tuple[str, str]]) -> None:
    assert PINNED[row] in always_run


@pytest.mark.anyio
async def test_a_template_is_told_its_address_its_checkout_and_the_real_output_folder(home: Home) -> None:
    files: dict[str, str | bytes] = {
        f"{SLUG}/told": "{% for name in ['template', 'output_dir', 'repo_dir', 'checkout'] %}"
        "{{ cookiecutter['_' ~ name] }}\n{% endfor %}",
        "beside.txt": "beside",
    }
    hook = "import shutil; shutil.copy('{{ cookiecutter._repo_dir }}/beside.txt', 'copied.txt')"
    (home.root / "link").symlink_to(home.outputs)
    async with home.open() as dynamo:
        checkout = await home.add(dynamo, "one", files, post_gen_project=hook)
        project = await dynamo.create_project("one", str(home.root / "link"))
    made = home.outputs / "made"
    assert (made / "told").read_text().splitlines() == [
        str(home.templates / "one"),
        str(home.outputs),
        str(checkout),
        "None",
    ]
    assert (made / "copied.txt").read_text() == "beside"
    assert project.notes == ()


def cookiecutters(folder: Path, *words: str) -> Path:
    """Return a new folder in which the real cookiecutter has made a project."""
    folder.mkdir()
    command = [sys.executable, "-m", "cookiecutter", "--no-input", *words]
    environment = {**os.environ, "HOME": str(folder)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    return folder


@pytest.mark.anyio
async def test_a_template_from_git_is_told_its_revision_as_cookiecutter_tells_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(home.root / "repository")
    write_template(repository.path, {f"{SLUG}/told": "{{ cookiecutter._checkout }} {{ cookiecutter._template }}"})
    repository.commit("first")
    repository.git("tag", "v1")
    write_template(repository.path, {f"{SLUG}/told": "later"})
    repository.commit("second")
    for name, value in GIT_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    alone = cookiecutters(home.root / "alone", repository.url, "--checkout", "v1")
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(repository.url, name="one", checkout="v1")
        await dynamo.create_project("one", str(home.outputs))
    told = (home.outputs / "made" / "told").read_text()
    assert told == (alone / "made" / "told").read_text() == f"v1 {repository.url}"


@pytest.mark.anyio
async def test_a_create_writes_nothing_to_the_home_folder(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    own = home.root / "own"
    own.mkdir()
    monkeypatch.setenv("HOME", str(own))
    seen: dict[str, Any] = {"HOME": str(own)}
    async with home.open(seen, person=True) as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), trust="full")
    assert list(own.rglob("*")) == []


@pytest.mark.anyio
async def test_of_a_folders_template_only_a_repositorys_own_folder_is_left_out_and_the_notes_say_so(
    home: Home,
) -> None:
    names = (".venv/x", ".hg/x", "__pycache__/z.pyc")
    files: dict[str, str | bytes] = {f"{SLUG}/{name}": "x" for name in (*names, "vendored/.git/HEAD")}
    folder = write_template(home.templates / "one", files)
    async with home.open() as dynamo:
        added = await dynamo.add_template(str(folder), name="one")
        project = await dynamo.create_project("one", str(home.outputs))
        assert (await dynamo.template_info("one")).notes == added.notes
    assert project.files == tuple(sorted((*names, "README.md")))
    said = "a repository's own `.git` is no part of a template"
    assert added.notes == (f"left out: {SLUG}/vendored/.git: {said}",)
