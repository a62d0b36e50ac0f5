"""What holds for each of the bundled templates."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException

TEMPLATES = Path(__file__).parents[2] / "templates"
NAMES = ["mcp-server", "python-package", "web-service"]

Create = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]

AWKWARD = [
    """say "hi" to O'Brien""",
    '"""',
    "'''",
    "back\\slash \\n \\",
    "{{ 7*7 }} {% now %} {# no #}",
    "<b>&amp;</b>",
    "two\nlines\n\nfour",
    "naïve 日本 🎉 \U0001f469\u200d\U0001f680",
    "\t bell \x07 delete \x7f",
    "${HOME} $(id) `id` %s {name}",
]

pytestmark = pytest.mark.parametrize("template", NAMES)


def files(project: Path) -> dict[str, str]:
    """The text of every file of a project outside `.git`, by its path."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes().decode()
        for path in sorted(project.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(project).parts
    }


def metadata(project: Path) -> Any:
    """The `project` table of a project's pyproject.toml."""
    return tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]


def schema(template: str) -> dict[str, Any]:
    """A template's cookiecutter.json."""
    loaded: dict[str, Any] = json.loads((TEMPLATES / template / "cookiecutter.json").read_text("utf-8"))
    return loaded


def test_every_public_variable_is_a_question_and_every_choice_has_a_label(template: str) -> None:
    variables = schema(template)
    prompts = variables["__prompts__"]
    assert list(prompts) == [name for name in variables if not name.startswith("_")]
    for name, prompt in prompts.items():
        if isinstance(variables[name], list):
            assert list(prompt) == ["__prompt__", *variables[name]]
        else:
            assert isinstance(prompt, str)


def test_what_templates_share_is_the_same_in_each(template: str) -> None:
    for shared in ["literals.jinja", "licenses/Apache-2.0.txt", "licenses/MIT.txt", "licenses/Proprietary.txt"]:
        own = (TEMPLATES / template / "templates" / shared).read_bytes()
        assert own == (TEMPLATES / "python-package" / "templates" / shared).read_bytes()


def test_a_project_with_the_default_answers_is_clean(
    template: str, create: Create, complaints: Callable[[Path], str]
) -> None:
    project = create(template)
    assert 10 <= len(files(project)) <= 20
    assert complaints(project) == ""


def test_the_own_tests_of_a_project_pass(
    template: str, create: Create, own_tests: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    ran = own_tests(create(template))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


def test_names_follow_from_the_name_of_the_project(template: str, create: Create) -> None:
    project = create(template, project_name="Déjà Vu: The 2nd!")
    assert project.name == "deja-vu-the-2nd"
    assert metadata(project)["name"] == "deja-vu-the-2nd"
    assert (project / "src/deja_vu_the_2nd/__init__.py").is_file()


@pytest.mark.parametrize("name", ["🎉", " ", "a" * 500, "word " * 100])
def test_any_name_of_a_project_leads_to_names_that_work(template: str, name: str, create: Create) -> None:
    project = create(template, project_name=name)
    assert 0 < len(project.name) <= 40
    assert (project / "src" / project.name.replace("-", "_") / "py.typed").is_file()


@pytest.mark.parametrize("answer", AWKWARD)
def test_awkward_answers_stay_literal_and_leave_valid_files(
    template: str, answer: str, create: Create, complaints: Callable[[Path], str]
) -> None:
    author = " ".join(answer.split())
    project = create(template, project_slug="odd", project_name=answer, description=answer, author_name=author)
    made = files(project)
    assert metadata(project)["description"] == answer
    assert metadata(project)["authors"] == [{"name": author}]
    assert made["README.md"].startswith(f"# {answer}\n\n{answer}\n")
    assert author in made["LICENSE"]
    for path, text in made.items():
        if path.endswith(".py"):
            compile(text, path, "exec")
    assert complaints(project) == ""


@pytest.mark.parametrize(
    ("license_name", "expression", "words"),
    [
        ("MIT", "MIT", "Permission is hereby granted, free of charge"),
        ("Apache-2.0", "Apache-2.0", "END OF TERMS AND CONDITIONS"),
        ("Proprietary", "LicenseRef-Proprietary", "All rights reserved."),
    ],
)
def test_the_license_is_whole_and_names_its_owner_and_year(
    template: str, license_name: str, expression: str, words: str, create: Create
) -> None:
    project = create(template, license=license_name, author_name="Ada")
    text = (project / "LICENSE").read_text("utf-8")
    assert words in text
    assert f"{datetime.now(UTC).year} Ada" in text
    assert metadata(project)["license"] == expression
    uploads = "Private :: Do Not Upload" not in metadata(project)["classifiers"]
    assert uploads == (license_name != "Proprietary")
    assert f"\n{license_name}, see [LICENSE]" in (project / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("answers", "authors"),
    [
        ({"author_name": "Ada", "author_email": "ada@example.com"}, [{"name": "Ada", "email": "ada@example.com"}]),
        ({"author_name": "Ada"}, [{"name": "Ada"}]),
        ({"author_name": ""}, None),
    ],
)
def test_the_author_is_named_as_far_as_known(
    template: str, answers: dict[str, str], authors: list[dict[str, str]] | None, create: Create
) -> None:
    assert metadata(create(template, **answers)).get("authors") == authors


@pytest.mark.parametrize(
    ("oldest", "checked"),
    [
        ("3.11", ["3.11", "3.12", "3.13", "3.14"]),
        ("3.12", ["3.12", "3.13", "3.14"]),
        ("3.13", ["3.13", "3.14"]),
        ("3.14", ["3.14"]),
    ],
)
def test_every_python_from_the_oldest_on_is_checked(
    template: str, oldest: str, checked: list[str], create: Create, workflow: Callable[[Path], Any]
) -> None:
    project = create(template, minimum_python=oldest)
    job = workflow(project)["jobs"]["check"]
    assert metadata(project)["requires-python"] == f">={oldest}"
    assert job["strategy"]["matrix"]["python"] == checked
    assert job["env"] == {"UV_PYTHON": "${{ matrix.python }}"}


def test_without_github_actions_no_trace_of_them_is_left(template: str, create: Create) -> None:
    project = create(template, github_actions=False)
    assert not (project / ".github").exists()


def test_no_file_knows_where_it_was_made(template: str, create: Create, tmp_path: Path) -> None:
    for text in files(create(template)).values():
        assert str(tmp_path) not in text
        assert str(TEMPLATES) not in text


@pytest.mark.parametrize(
    "answers",
    [
        {"package_name": "2fast"},
        {"package_name": "a-b"},
        {"package_name": "class"},
        {"package_name": "json"},
        {"package_name": "pytest"},
        {"package_name": "naïve"},
        {"package_name": "a" * 41},
        {"project_slug": "Upper", "package_name": "upper"},
        {"project_slug": "two words", "package_name": "words"},
        {"project_slug": "a" * 61, "package_name": "a"},
        {"project_slug": "ruff", "package_name": "rough"},
        {"author_name": "Ada\nGrace"},
        {"author_email": "ada"},
        {"author_email": "a b@example.com"},
    ],
)
def test_answers_that_can_not_work_are_refused_before_a_file_is_written(
    template: str,
    answers: dict[str, str],
    create: Create,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(FailedHookException):
        create(template, **answers)
    printed = capfd.readouterr()
    assert printed.err.startswith(f"error: `{next(iter(answers))}` ")
    assert "\n\nhint: " in printed.err
    assert list((tmp_path / "projects").iterdir()) == []


def test_every_problem_is_told_at_once(template: str, create: Create, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        create(template, package_name="2fast", author_email="nobody")
    assert capfd.readouterr().err.count("error: ") == 2


def git(project: Path, *arguments: str) -> str:
    """What git says of a project."""
    return subprocess.run(
        ["git", "-C", project, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout


PERSON = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


@pytest.fixture
def git_path() -> str:
    """A search path with git on it."""
    found = which("git")
    if found is None:
        pytest.skip("git is not installed")
    return str(Path(found).parent)


def test_no_repository_is_made_unasked(template: str, create: Create) -> None:
    assert not (create(template) / ".git").exists()


def test_the_first_commit_holds_every_file_and_the_name_from_the_environment(
    template: str, cookiecutter_command: Command, git_path: str, tmp_path: Path
) -> None:
    ran = cookiecutter_command(template, {"PATH": git_path, **PERSON}, "git_init=y", "project_slug=made")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    project = tmp_path / "projects/made"
    assert git(project, "log", "--format=%an <%ae> %s") == "Ada <ada@example.com> Initial commit\n"
    assert git(project, "branch", "--show-current") == "main\n"
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "ls-files").splitlines() == sorted(files(project))


def test_where_git_is_missing_one_line_says_so(template: str, cookiecutter_command: Command, tmp_path: Path) -> None:
    ran = cookiecutter_command(template, {"PATH": str(tmp_path), **PERSON}, "git_init=y", "project_slug=made")
    assert ran.returncode == 0
    assert ran.stdout == "git is not installed, so the project is not a repository yet\n"
    assert (tmp_path / "projects/made/pyproject.toml").is_file()


def test_where_git_knows_nobody_the_project_is_left_without_a_commit(
    template: str, cookiecutter_command: Command, git_path: str, tmp_path: Path
) -> None:
    nobody = {
        "PATH": git_path,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.useConfigOnly",
        "GIT_CONFIG_VALUE_0": "true",
    }
    ran = cookiecutter_command(template, nobody, "git_init=y", "project_slug=made")
    assert ran.returncode == 0
    assert ran.stdout.startswith("`git commit` failed, the rest is left to you: ")
    assert ran.stdout.count("\n") == 1
    assert (tmp_path / "projects/made/.git").is_dir()


def test_a_repository_that_is_there_already_is_left_alone(
    template: str, cookiecutter_command: Command, git_path: str, tmp_path: Path
) -> None:
    answers = ("git_init=y", "project_slug=made")
    cookiecutter_command(template, {"PATH": git_path, **PERSON}, *answers)
    (tmp_path / "projects/made/mine.txt").write_text("mine")
    ran = cookiecutter_command(template, {"PATH": git_path, **PERSON}, "--overwrite-if-exists", *answers)
    assert ran.returncode == 0
    assert ran.stdout == "the folder is a git repository already, so nothing is committed\n"
    assert git(tmp_path / "projects/made", "status", "--porcelain") == "?? mine.txt\n"


def test_workflows_of_ones_own_survive_a_second_create(
    template: str, cookiecutter_command: Command, tmp_path: Path
) -> None:
    cookiecutter_command(template, {}, "project_slug=made")
    (tmp_path / "projects/made/.github/workflows/mine.yml").write_text("name: mine")
    ran = cookiecutter_command(template, {}, "--overwrite-if-exists", "project_slug=made", "github_actions=n")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    workflows = tmp_path / "projects/made/.github/workflows"
    assert [path.name for path in workflows.iterdir()] == ["mine.yml"]
