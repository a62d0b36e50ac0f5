"""What the `web-service` template makes of its own answers."""

import ast
import subprocess
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException

Create = Callable[..., Path]

ALWAYS = {
    ".gitignore",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/my_service/__init__.py",
    "src/my_service/__main__.py",
    "src/my_service/app.py",
    "src/my_service/py.typed",
    "src/my_service/settings.py",
    "tests/test_app.py",
    "tests/test_settings.py",
}
NO_HEADERS = {"Referrer-Policy": "", "X-Content-Type-Options": ""}


def sent_headers(project: Path) -> dict[str, str]:
    """The headers a project sends with every response."""
    for node in ast.parse((project / "src/my_service/app.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RESPONSE_HEADERS":
            headers: dict[str, str] = ast.literal_eval(node.value)
            return headers
    return {}


@pytest.mark.parametrize(("dockerfile", "github_actions"), list(product(["y", "n"], [True, False])))
def test_holds_what_was_asked_for_and_nothing_else(
    dockerfile: str, github_actions: bool, create: Create, complaints: Callable[[Path], str]
) -> None:
    project = create("web-service", dockerfile=dockerfile, github_actions=github_actions)
    image = {".dockerignore", "Dockerfile"} if dockerfile == "y" else set()
    checks = {".github/workflows/check.yml"} if github_actions else set()
    made = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert made == ALWAYS | image | checks
    assert ("docker" in (project / "README.md").read_text("utf-8")) == (dockerfile == "y")
    assert complaints(project) == ""


@pytest.mark.parametrize("answer", ["yes", "", "maybe", "Y"])
def test_takes_only_y_or_n_for_a_dockerfile(answer: str, create: Create, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        create("web-service", dockerfile=answer)
    assert capfd.readouterr().err.startswith("error: `dockerfile` ")


def test_port_and_python_are_the_same_everywhere(create: Create) -> None:
    project = create("web-service", port=9123, minimum_python="3.13")
    dockerfile = (project / "Dockerfile").read_text("utf-8")
    assert "    port: int = 9123\n" in (project / "src/my_service/settings.py").read_text("utf-8")
    assert "EXPOSE 9123\n" in dockerfile
    assert "MY_SERVICE_PORT=9123\n" in dockerfile
    assert dockerfile.count("FROM python:3.13-slim") == 2
    assert "http://127.0.0.1:9123/healthz" in (project / "README.md").read_text("utf-8")


@pytest.mark.parametrize("port", ["0", "65536", "http", "", "80.5", "-1"])
def test_refuses_what_is_not_a_port(port: str, create: Create, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        create("web-service", port=port)
    assert capfd.readouterr().err.startswith("error: `port` ")


@pytest.mark.parametrize("level", ["info", "debug", "warning", "error"])
def test_logs_as_much_as_was_chosen(level: str, create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("web-service", log_level=level)
    assert f'    log_level: str = "{level}"\n' in (project / "src/my_service/settings.py").read_text("utf-8")
    assert complaints(project) == ""


def test_settings_are_named_after_the_package(create: Create) -> None:
    project = create("web-service", project_name="Tea Time")
    assert 'PREFIX = "TEA_TIME_"\n' in (project / "src/tea_time/settings.py").read_text("utf-8")
    assert "`TEA_TIME_PORT`" in (project / "README.md").read_text("utf-8")


def test_needs_only_starlette_and_uvicorn(create: Create) -> None:
    settings = tomllib.loads((create("web-service") / "pyproject.toml").read_text("utf-8"))
    assert settings["project"]["dependencies"] == ["starlette>=1,<2", "uvicorn>=0.34"]
    assert settings["project"]["scripts"] == {"my-service": "my_service.__main__:main"}


def test_sends_safe_headers_by_default(create: Create) -> None:
    assert sent_headers(create("web-service")) == {
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


@pytest.mark.parametrize(
    "value",
    [
        "default-src 'self'; script-src 'self' https://example.com https://example.org; report-to everybody",
        """say "hi", it's \\ here""",
        '"only" "double"',
        "tab\there {name}",
    ],
)
def test_headers_of_ones_own_are_kept_literally(value: str, create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("web-service", response_headers={**NO_HEADERS, "X-Odd": value})
    assert sent_headers(project) == {"X-Odd": value}
    assert complaints(project) == ""


def test_without_headers_there_is_no_code_for_them(create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("web-service", response_headers=NO_HEADERS)
    code = (project / "src/my_service/app.py").read_text("utf-8") + (project / "tests/test_app.py").read_text("utf-8")
    assert "headers=" not in code
    assert "RESPONSE_HEADERS" not in code
    assert complaints(project) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"Two words": "x"},
        {"X-É": "x"},
        {"X-Split": "a\r\nSet-Cookie: b"},
        {"X-Emoji": "🎉"},
        {"referrer-policy": "origin"},
    ],
)
def test_refuses_headers_http_does_not_allow(
    headers: dict[str, str], create: Create, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedHookException):
        create("web-service", response_headers=headers)
    assert capfd.readouterr().err.startswith("error: `response_headers` ")


def test_the_code_is_clean_also_with_the_longest_names(create: Create, complaints: Callable[[Path], str]) -> None:
    assert complaints(create("web-service", project_slug="s" * 60, package_name="p" * 40)) == ""


def test_the_own_tests_pass_with_odd_headers_and_answers(
    create: Create, own_tests: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    project = create(
        "web-service",
        project_name="""O'Brien "Bob" 🎉""",
        description='One "line"\nand another',
        author_name="Zoë 🎉",
        author_email="zoe@example.com",
        license="Apache-2.0",
        response_headers={"X-Odd": """say "hi", it's \\ here"""},
        dockerfile="n",
    )
    ran = own_tests(project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "18 passed" in ran.stdout
