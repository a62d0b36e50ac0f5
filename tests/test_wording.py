"""A person at the shell is told of commands and flags, not of tools and arguments."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from dynamo_mcp import errors, tools
from dynamo_mcp.cli import application
from dynamo_mcp.cli.wording import COMMANDS, FLAGS, typed

SOURCE = Path(inspect.getfile(errors)).parent
TOOLS = re.findall(r'name="(\w+_\w+)"', inspect.getsource(tools))


def _hints() -> list[tuple[str, str]]:
    """Return every text of the source that is given as a hint, what is computed in it being `{}`."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        if "templates" in path.relative_to(SOURCE).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                for part in ast.walk(node.value):
                    if isinstance(part, ast.JoinedStr):
                        text = "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in part.values)
                        found.append((path.name, text))
                    elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found.append((path.name, part.value))
    return found


def test_every_tool_has_its_command() -> None:
    assert sorted(TOOLS) == sorted(COMMANDS)
    known = {command.name for command in application().registered_commands}
    assert {command.split()[0] for command in COMMANDS.values()} <= known


def test_no_hint_tells_a_person_of_a_tool_or_an_argument() -> None:
    hints = _hints()
    assert len([text for _, text in hints if any(f"`{tool}`" in text for tool in TOOLS)]) > 5
    told = [(place, typed(text)) for place, text in hints]
    names = re.compile(f"`(?:{'|'.join([*TOOLS, *FLAGS])})`")
    assert [(place, text) for place, text in told if names.search(text)] == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("`get_template_variables` lists what `web` asks", "`dynamo-mcp variables web` lists what `web` asks"),
        ("choose another with `name`, bring that one up", "choose another with `--name`, bring that one up"),
        ("choose another `output_dir`", "choose another `--output`"),
        ("ask for `if_exists` `skip` (keep)", "ask for `--if-exists skip` (keep)"),
        ("`update_template` with `force` runs it", "`dynamo-mcp update NAME --force` runs it"),
        ("leave out `checkout`, `directory` and `live`", "leave out `--checkout`, `--directory` and `--live`"),
        (
            "give `x`, with `checkout` `main`, and `directory` `a`",
            "give `x`, with `--checkout main`, and `--directory a`",
        ),
        ("did you mean `name` or `file`?", "did you mean `name` or `file`?"),
    ],
)
def test_what_an_agent_is_told_becomes_what_a_person_types(said: str, shown: str) -> None:
    assert typed(said) == shown
