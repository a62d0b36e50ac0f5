"""Every command in the documents works, and every setting, tool and exit code is documented."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import anyio
import httpx2
import msgspec
import pytest
from mcp import Client

from dynamo_mcp import settings
from dynamo_mcp.serving import Serving
from dynamo_mcp.tools import GENERAL_TOOLS
from integration.places import Place

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SHELL = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("shell", "templates", "catalogues", "authentication")),
]
HEADING = re.compile(r"^#+ ", re.MULTILINE)


@pytest.fixture
def place(tmp_path: Path, ready: Path) -> Place:
    """Return a place whose commands start as a person's do, each by importing all that it needs."""
    return Place(tmp_path, ready)


def commands(page: Path) -> list[list[str]]:
    """Return the commands in a page's console blocks, in order."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines), lines
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


@pytest.mark.parametrize("page", SHELL, ids=lambda page: page.name)
async def test_the_commands_of_a_page_work_in_its_order(place: Place, page: Path) -> None:
    (place.root / "anna.txt").write_text("correct horse battery\n")
    for program, *arguments in commands(page):
        assert program == "dynamo-mcp"
        if arguments[0] == "serve":
            port = arguments[arguments.index("--port") + 1]
            await serves([sys.executable, "-m", "dynamo_mcp", *arguments], port, place)
        else:
            await place.run(*arguments)
    assert place.scratch == []


async def test_what_each_command_prints_as_json_has_what_is_documented(place: Place) -> None:
    page = (ROOT / "docs" / "shell.md").read_text()
    table = page.partition("## What `--json` prints")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", table, re.MULTILINE)[1:]
    documented = {
        name: set(re.findall(r"`(\w+)`", what)) for names, what in rows for name in re.findall(r"`(\w+)`", names)
    }
    await place.run("add", "python-package", "--name", "one")
    await place.run("add", "web-service", "--name", "two")
    for arguments in (
        ("list",),
        ("variables", "one"),
        ("search", "web"),
        ("recommend", "web"),
        ("discover",),
        ("trust", "one"),
        ("prune",),
        ("export",),
        ("export", "templates.toml"),
        ("import", "templates.toml"),
        ("sync", "templates.toml", "--dry-run"),
        ("doctor",),
        ("remove", "two"),
    ):
        printed = json.loads((await place.run(*arguments, "--json"))[0])
        assert documented[arguments[0]] - {"name", "result", "error"} <= printed.keys(), arguments
    results = json.loads((await place.run("add", "web-service", "no-such", "--json", code=1))[0])["results"]
    assert [result.keys() for result in results] == [{"name", "result"}, {"name", "error"}]
    failed = json.loads((await place.run("info", "gone", "--json", code=3))[0])["error"]
    assert failed.keys() == {"kind", "message", "hint", "problems"}
    assert {"error", "kind", "message", "hint", "problems"} == set(re.findall(r"`(\w+)`", rows[-1][1]))


async def serves(command: list[str], port: str, place: Place) -> None:
    async with await anyio.open_process(command, env=place.environment, stdin=None) as process:
        assert process.stderr is not None
        said = b""
        with anyio.fail_after(60):
            while b"/mcp" not in said:
                said += await process.stderr.receive()
            url = f"http://127.0.0.1:{port}/mcp"
            if "--auth" in command:
                async with httpx2.AsyncClient() as http:
                    assert (await http.get(url)).status_code == 401
            else:
                async with Client(url) as client:
                    assert (await client.list_tools()).tools
        process.terminate()
        with anyio.fail_after(5):
            assert await process.wait() == 0


async def test_the_commands_for_contributors_are_what_continuous_integration_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for command in commands(ROOT / "CONTRIBUTING.md"):
        assert f"\n{shlex.join(command)}\n" in script
    readme = (ROOT / "README.md").read_text()
    assert "pip install uv && uv run pytest " in readme
    assert "\nuv run pytest\n" in script
    assert "\npip install -q uv\n" in script


async def test_quickstart_creates_three_projects_says_how_to_connect_and_is_faster_the_second_time(
    place: Place,
) -> None:
    assert "uv run dynamo-mcp quickstart" in (ROOT / "README.md").read_text()
    first = json.loads((await place.run("quickstart", "--json"))[0])
    second = json.loads((await place.run("quickstart", "--json"))[0])
    assert [shown["project"]["template"] for shown in first["projects"]] == [
        "mcp-server",
        "python-package",
        "web-service",
    ]
    for shown in first["projects"]:
        assert (Path(shown["project"]["path"]) / "pyproject.toml").is_file()
        assert shown["project"]["tier"] == "strong"
    assert sum(shown["add_seconds"] for shown in second["projects"]) < sum(
        shown["add_seconds"] for shown in first["projects"]
    )
    chosen = f"DYNAMO_MCP_HOME={place.home}"
    assert first["claude"] == f"claude mcp add dynamo-mcp -e {chosen} -- uvx --from {ROOT} dynamo-mcp"
    assert first["host"]["mcpServers"]["dynamo-mcp"] == {
        "command": "uvx",
        "args": ["--from", str(ROOT), "dynamo-mcp"],
        "env": {"DYNAMO_MCP_HOME": str(place.home)},
    }
    said, _ = await place.run("quickstart")
    assert "confined at tier strong by bubblewrap" in said
    assert "pyproject.toml" in said
    assert first["claude"] in said


async def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    documented = set(re.findall(r"`DYNAMO_MCP_(\w+)`", page))
    for field in msgspec.structs.fields(settings.Settings):
        if field.name in settings.NOT_CHOSEN:
            continue
        assert field.name.upper() in documented, field.name
        if isinstance(field.default, (int, float)) and field.name not in {"concurrent_creates", "renderers"}:
            assert f"| `DYNAMO_MCP_{field.name.upper()}` | {field.default:g}".replace("e+08", "") in page or (
                f"| {int(field.default)} |" in page
            ), field.name
    for field in msgspec.structs.fields(Serving):
        assert f"| `DYNAMO_MCP_{field.name.upper()}` | {field.default:.15g} |" in page, field.name
    for name in settings.PASSED_TO_FETCHERS:
        assert name.upper() in page or name.startswith("UV_") or name.upper().endswith("_PROXY"), name


async def test_every_flag_of_a_server_says_its_variable_which_is_documented(place: Place) -> None:
    said = (await place.run("serve", "--help"))[0]
    flags = set(re.findall(r"^  (--[a-z-]+)", said, re.MULTILINE))
    variables = re.findall(r"env\s+var:\s+(DYNAMO_MCP_\w+)", said)
    assert len(variables) == len(flags)
    page = (ROOT / "docs" / "settings.md").read_text()
    for name in variables:
        assert f"`{name}`" in page, name


async def test_every_tool_and_error_code_is_documented() -> None:
    page = (ROOT / "docs" / "mcp.md").read_text()
    for name in GENERAL_TOOLS:
        assert f"| `{name}` |" in page
    shell = (ROOT / "docs" / "shell.md").read_text()
    assert "0 done, 1 failed, 2 wrong usage, 3 not found, 4 invalid answers, 5 refused" in shell


async def test_links_between_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_the_wheel_holds_the_bundled_templates_and_the_code_for_environments(tmp_path: Path) -> None:
    subprocess.run(["uv", "build", "--wheel", "-q", "-o", str(tmp_path), str(ROOT)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    for wanted in (
        "dynamo_mcp/templates/python-package/cookiecutter.json",
        "dynamo_mcp/templates/mcp-server/hooks/post_gen_project.py",
        "dynamo_mcp/templates/web-service/{{cookiecutter.project_slug}}/.gitignore",
        "dynamo_mcp/_in_environment/worker.py",
        "dynamo_mcp/catalogue.json",
    ):
        assert wanted in listed
