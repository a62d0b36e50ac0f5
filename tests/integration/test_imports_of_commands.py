"""What a command imports before it does anything: a person waits for all of it, each time."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from integration.places import Place, write_template

pytestmark = pytest.mark.anyio

HEAVY = (
    "mcp",
    "starlette",
    "uvicorn",
    "httpx2",
    "packaging",
    "urllib.request",
    "rich",
    "watchfiles",
    "pydantic",
    "jwt",
)
"""What serving, watching, fetching, resolving, tokens and a terminal need."""

WATCHED = """
import atexit, sys
heavy = sys.argv.pop(1).split(",")
atexit.register(lambda: print("imported:", *[name for name in heavy if name in sys.modules], file=sys.stderr))
from dynamo_mcp.__main__ import main
main()
"""


async def imported(place: Place, *arguments: str, heavy: tuple[str, ...] = HEAVY) -> list[str]:
    with anyio.fail_after(120):
        command = [sys.executable, "-c", WATCHED, ",".join(heavy), *arguments]
        ended = await anyio.run_process(command, env=place.environment, cwd=place.root, check=False)
    said = ended.stderr.decode().splitlines()
    return next(line for line in said if line.startswith("imported:")).split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("list",), ("list", "--json"), ("create", "--help"), ("keys", "list"), ("users", "list")],
    ids=" ".join,
)
async def test_a_command_imports_nothing_heavy_that_it_does_not_need(place: Place, arguments: tuple[str, ...]) -> None:
    assert await imported(place, *arguments) == []


async def test_a_doctor_imports_no_more_than_the_table_that_it_shows(place: Place) -> None:
    assert await imported(place, "doctor", "--json") == []
    assert "mcp" not in await imported(place, "doctor")


async def test_the_version_is_said_without_the_parts_of_a_home(place: Place) -> None:
    assert await imported(place, "--version", heavy=("mcp", "pydantic", "typer", "dynamo_mcp.dynamo")) == []


async def test_a_create_imports_nothing_heavy_that_it_does_not_need(tmp_path: Path, ready: Path) -> None:
    place = Place(tmp_path, ready)
    await place.run("add", str(write_template(place.templates / "one")))
    assert await imported(place, "create", "one") == []
    assert (place.root / "my-project").is_dir()
