"""What the `mcp-server` template makes of its own answers."""

import ast
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException

Create = Callable[..., Path]


def test_holds_a_server_its_notes_and_their_tests(create: Create) -> None:
    project = create("mcp-server")
    assert {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()} == {
        ".github/workflows/check.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/my_mcp_server/__init__.py",
        "src/my_mcp_server/__main__.py",
        "src/my_mcp_server/instructions.md",
        "src/my_mcp_server/notes.py",
        "src/my_mcp_server/py.typed",
        "src/my_mcp_server/server.py",
        "tests/test_server.py",
    }


def test_needs_the_official_sdk(create: Create) -> None:
    settings = tomllib.loads((create("mcp-server") / "pyproject.toml").read_text("utf-8"))
    assert "mcp>=2.3,<3" in settings["project"]["dependencies"]
    assert settings["project"]["scripts"] == {"my-mcp-server": "my_mcp_server.__main__:main"}


def test_over_stdio_it_is_started_by_its_client(create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("mcp-server", transport="stdio")
    main = (project / "src/my_mcp_server/__main__.py").read_text("utf-8")
    readme = (project / "README.md").read_text("utf-8")
    assert '.run("stdio")' in main
    assert '"command": "uv"' in readme
    assert "8000" not in main + readme
    assert complaints(project) == ""


def test_over_http_it_listens_on_the_chosen_port(create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("mcp-server", transport="streamable-http", port=9123)
    main = (project / "src/my_mcp_server/__main__.py").read_text("utf-8")
    readme = (project / "README.md").read_text("utf-8")
    assert 'run("streamable-http"' in main
    assert '"--port", default=9123' in main
    assert "http://127.0.0.1:9123/mcp" in readme
    assert "mcpServers" not in readme
    assert complaints(project) == ""


@pytest.mark.parametrize("port", ["0", "65536", "http", "", "80.5", "-1"])
def test_refuses_what_is_not_a_port(port: str, create: Create, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        create("mcp-server", port=port)
    assert capfd.readouterr().err.startswith("error: `port` ")


def test_refuses_a_name_that_would_hide_the_sdk(create: Create, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FailedHookException):
        create("mcp-server", project_name="MCP")
    assert capfd.readouterr().err.startswith("error: `project_slug` ")


@pytest.mark.parametrize("text", ["One line", 'Two "lines"\nand {{ 7*7 }}', "emoji 🎉 it's <here>\\n"])
def test_instructions_are_kept_as_written(text: str, create: Create) -> None:
    project = create("mcp-server", instructions=text)
    assert (project / "src/my_mcp_server/instructions.md").read_bytes().decode() == f"{text}\n"


@pytest.mark.parametrize("name", ["""O'Brien "Bob" "Rob" 🎉""", "it's", 'a "b"', "back\\slash", "x\ny", "x" * 200])
def test_the_title_is_the_name_of_the_project(name: str, create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("mcp-server", project_name=name, project_slug="odd")
    tree = ast.parse((project / "src/odd/server.py").read_text("utf-8"))
    built = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "MCPServer"
    )
    title = next(keyword.value for keyword in built.keywords if keyword.arg == "title")
    assert ast.literal_eval(title) == name
    assert complaints(project) == ""


def test_the_code_is_clean_also_with_the_longest_names(create: Create, complaints: Callable[[Path], str]) -> None:
    project = create("mcp-server", project_slug="s" * 60, package_name="p" * 40, transport="streamable-http")
    assert complaints(project) == ""


def test_the_own_tests_pass_over_http_with_odd_answers(
    create: Create, own_tests: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    project = create(
        "mcp-server",
        project_name="""O'Brien "Bob" 🎉""",
        description='One "line"\nand another',
        instructions="Be kind. {{ 7*7 }}\n",
        author_name="Zoë 🎉",
        author_email="zoe@example.com",
        license="Apache-2.0",
        transport="streamable-http",
    )
    ran = own_tests(project)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "14 passed" in ran.stdout
