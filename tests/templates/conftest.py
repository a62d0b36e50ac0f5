"""Makes projects from the bundled templates with the real cookiecutter, and judges what came out with real tools."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uv
import yaml
from cookiecutter.main import cookiecutter

TEMPLATES = Path(__file__).parents[2] / "templates"


def literal(answer: object) -> object:
    """Keeps cookiecutter from rendering an answer, which it would do to any text from outside."""
    return f"{{% raw %}}{answer}{{% endraw %}}" if isinstance(answer, str) and "{" in answer else answer


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of these tests runs code of the package, so none of them has to be measured."""
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def create(tmp_path: Path) -> Callable[..., Path]:
    """Returns `create(template, **answers)`, which makes a project and returns its folder."""

    def create(template: str, **answers: object) -> Path:
        return Path(
            cookiecutter(
                str(TEMPLATES / template),
                no_input=True,
                extra_context={name: literal(answer) for name, answer in answers.items()},
                # What lands in the home directory otherwise.
                default_config={
                    "cookiecutters_dir": str(tmp_path / "cookiecutters"),
                    "replay_dir": str(tmp_path / "replay"),
                },
                output_dir=str(tmp_path / "projects"),
            )
        )

    return create


@pytest.fixture
def cookiecutter_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Returns `run(template, environment, *answers)`, which runs the command with that environment and no stdin."""

    def run(template: str, environment: Mapping[str, str], *answers: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                *("-m", "cookiecutter", "--no-input", "--output-dir", str(tmp_path / "projects")),
                *(str(TEMPLATES / template), *answers),
            ],
            env={
                "HOME": str(tmp_path / "home"),
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def complaints() -> Callable[[Path], str]:
    """Returns `complaints(project)`: what ruff says of a project by the project's own rules, nothing when content."""

    def complaints(project: Path) -> str:
        said = ""
        for command in (["check", "--quiet"], ["format", "--check", "--quiet"]):
            ran = subprocess.run(
                [Path(sys.executable).with_name("ruff"), *command, "--no-cache", project],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            said += ran.stdout + ran.stderr if ran.returncode else ""
        return said

    return complaints


@pytest.fixture
def own_tests() -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Returns `own_tests(project)`, which runs the project's own tests the way its README says."""

    def own_tests(project: Path) -> subprocess.CompletedProcess[str]:
        ours = ("COVERAGE_", "PYTEST_", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [uv.find_uv_bin(), "run", "--no-config", "pytest"],
            cwd=project,
            env={**environment, "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return own_tests


@pytest.fixture
def workflow() -> Callable[[Path], Any]:
    """Returns `workflow(project)`, which reads the project's GitHub Actions workflow."""
    return lambda project: yaml.safe_load((project / ".github/workflows/check.yml").read_text("utf-8"))
