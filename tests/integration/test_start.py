"""Does the program start as a person starts it, each time by importing all that it needs?

Other tests run commands that are imported already (`forks.py`), whose last test is here, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
import typer.main

from dynamo_mcp.cli import COMMANDS, application
from homes import processes_of, until
from integration.forks import Forks
from integration.places import Place, write_template

pytestmark = pytest.mark.anyio

AT_ONCE = 2


async def test_every_command_starts_by_itself(tmp_path: Path) -> None:
    place = Place(tmp_path)
    commands: Any = typer.main.get_command(application())
    places = anyio.CapacityLimiter(AT_ONCE)
    said: dict[str, str] = {}

    async def start(name: str) -> None:
        async with places:
            said[name], errors = await place.run(name, "--help")
        assert errors == ""

    async with anyio.create_task_group() as tasks:
        for name in commands.commands:
            tasks.start_soon(start, name)
    assert len(said) > 10
    for name, text in said.items():
        assert text.lstrip().startswith(f"Usage: dynamo-mcp {name} "), text


async def test_a_project_is_created_where_the_terminal_has_no_words_no_colours_and_little_width(
    tmp_path: Path, ready: Path
) -> None:
    place = Place(tmp_path, ready)
    poor = {"LANG": "C", "NO_COLOR": "1", "COLUMNS": "40"}
    await place.run("add", str(write_template(place.templates / "one")), more=poor)
    said, shown = await place.run("create", "one", "--set", "motto=größer \U0001f40d", more=poor)
    assert "\x1b" not in said + shown
    assert "motto: größer \U0001f40d\n" in (place.root / "my-project" / "README.md").read_text("utf-8")
    assert "my-project" in "".join(said.split())


async def test_a_command_that_nobody_waits_for_any_more_is_ended(place: Place, command_line: Forks) -> None:
    arguments = ("serve", "--transport", "http", "--port", "0")
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            await command_line.run(arguments, env=place.environment, cwd=place.root)

        tasks.start_soon(serve)
        await until(lambda: processes_of(place.root))
        tasks.cancel_scope.cancel()
    await until(lambda: not processes_of(place.root))


def test_each_command_is_there_where_the_command_line_begins_with_it_and_all_are_otherwise() -> None:
    every = named(None)
    assert every == list(COMMANDS)
    for command in every:
        assert command in named(command)
    assert named("create") == ["create"]
    for word in (None, "--home", "cretae", ""):
        assert named(word) == every


def named(word: str | None) -> list[str | None]:
    """Return the commands and groups of commands that are there where the command line begins with a word."""
    app = application(word)
    return [command.name for command in app.registered_commands] + [group.name for group in app.registered_groups]
