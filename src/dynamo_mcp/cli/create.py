"""create: make a project from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynamo_mcp.cli import replay as replays
from dynamo_mcp.cli.answers import AnswersFile, assignments_of, collect
from dynamo_mcp.cli.running import Json, bar, emit, perform, say, warn
from dynamo_mcp.cli.templates import Name, parse_trust
from dynamo_mcp.cli.wording import typed
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import UsageError
from dynamo_mcp.project_views import Preview, Project
from dynamo_mcp.text import counted
from dynamo_mcp.types import IfExists


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("create")(create)


def create(
    name: Name,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The folder in which the project's folder is made.", show_default=".")
    ] = ".",
    assignments: Annotated[list[str] | None, assignments_of("create")] = None,
    answers: AnswersFile = None,
    replay: Annotated[Path | None, typer.Option(help="A replay file of cookiecutter with answers.")] = None,
    if_exists: Annotated[
        str, typer.Option(help="What to do with an existing folder: error, skip or overwrite.")
    ] = "error",
    trust: Annotated[
        str | None, typer.Option(help="How much of it may run: inert, contained or full.", metavar="TRUST")
    ] = None,
    json: Json = False,
) -> None:
    """Create a project."""

    async def operation(dynamo: Dynamo) -> Project:
        if trust is None:
            dynamo.expect(name)
        asked = await dynamo.get_template_variables(name)
        replayed, unknown = replays.read(replay, asked) if replay else ({}, ())
        for left in unknown:
            warn(f"`{left}` of `{replay}` is not asked, and is left out")
        variables = {**replayed, **collect(answers, assignments, asked)}
        with bar(f"create {name}") as sink:
            return await dynamo.create_project(
                name, output, variables, if_exists=parse_if_exists(if_exists), trust=parse_trust(trust), sink=sink
            )

    project = perform(operation, as_json=json)
    if json:
        emit(project)
        return
    say(project.path)
    say(f"{counted(len(project.files), 'file')}; {describe(project)}")
    for hook in project.hooks:
        for line in hook.output.strip().splitlines():
            say(f"  {hook.hook}: {line}")
    for line in project.left_out:
        say(f"  left out: {line}")
    for line in project.notes:
        say(f"  note: {typed(line)}")
    for line in project.kept:
        say(f"  kept: {line}")


def describe(project: Project | Preview) -> str:
    """Say how far a project's template was confined."""
    if project.tier == "none":
        return f"trust {project.trust}, not confined"
    granted = f" with {', '.join(project.grants)}" if project.grants else ""
    return f"trust {project.trust}{granted}, confined at tier {project.tier} by {', '.join(project.mechanisms)}"


def parse_if_exists(word: str) -> IfExists:
    """Read what is to be done with an existing folder.

    Raises:
        UsageError: It is nothing known.
    """
    match word:
        case "error" | "skip" | "overwrite":
            return word
        case _:
            raise UsageError(f"`--if-exists` can't be `{word}`", hint="it is `error`, `skip` or `overwrite`")
