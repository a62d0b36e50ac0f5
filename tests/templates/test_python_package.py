"""What the `python-package` template makes of its own answers."""

import subprocess
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException

Create = Callable[..., Path]

ALWAYS = {
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/my_package/__init__.py",
    "src/my_package/greeting.py",
    "src/my_package/py.typed",
    "tests/test_greeting.py",
}


def names(project: Path) -> set[str]:
    """The paths of all files of a project."""
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


def pyproject(project: Path) -> dict[str, Any]:
    """A project's pyproject.toml."""
    return tomllib.loads((project / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize(("command_line", "use_mypy", "github_actions"), list(product([True, False], repeat=3)))
def test_holds_what_was_asked_for_and_nothing_else(
    command_line: bool,
    use_mypy: bool,
    github_actions: bool,
    create: Create,
    complaints: Callable[[Path], str],
) -> None:
    project = create("python-package", command_line=command_line, use_mypy=use_mypy, github_actions=github_actions)
    extra = {"src/my_package/__main__.py", "tests/test_command_line.py"} if command_line else set()
    checks = {".github/workflows/check.yml"} if github_actions else set()
    assert names(project) == ALWAYS | extra | checks
    settings = pyproject(project)
    assert settings["project"].get("scripts") == ({"my-package": "my_package.__main__:main"} if command_line else None)
    assert ("mypy" in settings["tool"]) == use_mypy
    assert any(needed.startswith("mypy") for needed in settings["dependency-groups"]["dev"]) == use_mypy
    mentions = {path for path in names(project) if "mypy" in (project / path).read_text("utf-8")}
    assert bool(mentions) == use_mypy
    assert complaints(project) == ""


def test_runs_mypy_on_every_push(create: Create, workflow: Callable[[Path], Any]) -> None:
    steps = workflow(create("python-package"))["jobs"]["check"]["steps"]
    assert {"run": "uv run mypy"} in steps


@pytest.mark.parametrize("length", [79, 88, 120, 160])
def test_the_code_is_formatted_for_the_chosen_line_length(
    length: int, create: Create, complaints: Callable[[Path], str]
) -> None:
    project = create("python-package", line_length=length, command_line=True, package_name="a" * 40)
    assert pyproject(project)["tool"]["ruff"]["line-length"] == length
    assert complaints(project) == ""


@pytest.mark.parametrize("length", ["78", "161", "", "long", "88.5", "-88"])
def test_refuses_a_line_length_nobody_could_use(length: str, create: Create, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        create("python-package", line_length=length)
    assert capfd.readouterr().err.startswith("error: `line_length` ")


def test_links_follow_from_the_owner_on_github(create: Create) -> None:
    assert pyproject(create("python-package", github_owner="ada"))["project"]["urls"] == {
        "Repository": "https://github.com/ada/my-package",
        "Issues": "https://github.com/ada/my-package/issues",
    }


def test_without_an_owner_there_are_no_made_up_links(create: Create) -> None:
    assert "urls" not in pyproject(create("python-package"))["project"]


def test_links_of_ones_own_are_kept_literally_and_empty_ones_left_out(create: Create) -> None:
    urls = {'Say "hi" 🎉': "https://example.com/?a=1&b='2'", "Issues": ""}
    made = pyproject(create("python-package", github_owner="ada", project_urls=urls))["project"]["urls"]
    assert made == {
        "Repository": "https://github.com/ada/my-package",
        'Say "hi" 🎉': "https://example.com/?a=1&b='2'",
    }


def test_the_own_tests_pass_with_a_command_and_odd_answers(
    create: Create, own_tests: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    project = create(
        "python-package",
        project_name="""O'Brien "Bob" 🎉""",
        description='One "line"\nand another',
        author_name="""Zoë "Zo" O'Brien, Jr. 🎉""",
        author_email="zoe@example.com",
        license="Proprietary",
        command_line=True,
    )
    ran = own_tests(project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 passed" in ran.stdout
