"""How does a person give answers? Each by `--set`, or all in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dynamo_mcp.errors import UsageError
from dynamo_mcp.views import VariableInfo

AnswersFile = Annotated[Path | None, typer.Option(help="A JSON file with answers.")]


def assignments_of(command: str) -> Any:
    """Return the option `--set` of a command."""
    variable = f"DYNAMO_MCP_{command.upper()}_SET"
    return typer.Option("--set", metavar="VARIABLE=VALUE", envvar=variable, help="An answer; may be repeated.")


def collect(path: Path | None, assignments: list[str] | None, asked: tuple[VariableInfo, ...]) -> dict[str, Any]:
    """Return the answers of a file, and over them those that were given one by one.

    Raises:
        UsageError: They can't be read.
    """
    return {**_read(path), **_assigned(assignments or [], asked)}


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        answers = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The answers in `{path}` can't be read: {error}", hint="name a file with a JSON object"
        ) from error
    if not isinstance(answers, dict):
        raise UsageError(f"`{path}` holds no JSON object", hint='write answers as {"variable": "value"}')
    return answers


def _assigned(assignments: list[str], asked: tuple[VariableInfo, ...]) -> dict[str, Any]:
    mappings = {variable.name for variable in asked if variable.type == "mapping"}
    answers: dict[str, Any] = {}
    for assignment in assignments:
        variable, equals, value = assignment.partition("=")
        if not equals or not variable:
            raise UsageError(f"`--set {assignment}` is no answer", hint="write `--set variable=value`")
        answers[variable] = value
        if variable in mappings:
            try:
                answers[variable] = json.loads(value)
            except ValueError as error:
                raise UsageError(
                    f"`{variable}` is a mapping, and `{value}` is no JSON: {error}",
                    hint=f'write `--set \'{variable}={{"key": "value"}}\'`, or use `--answers FILE.json`',
                ) from error
    return answers
