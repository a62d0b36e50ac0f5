"""preview: see what a create would make."""

from __future__ import annotations

from typing import Annotated

import typer

from dynamo_mcp.cli.answers import AnswersFile, assignments_of, collect
from dynamo_mcp.cli.create import describe, parse_if_exists
from dynamo_mcp.cli.running import Json, bar, emit, perform, say
from dynamo_mcp.cli.templates import Name, Trusted, parse_trust
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.project_views import FileText, Preview
from dynamo_mcp.text import counted


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("preview")(preview)


def preview(
    name: Name,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The folder that the project's would be in.", show_default=".")
    ] = ".",
    assignments: Annotated[list[str] | None, assignments_of("preview")] = None,
    answers: AnswersFile = None,
    if_exists: Annotated[
        str, typer.Option(help="What would be done with an existing folder: error, skip or overwrite.")
    ] = "error",
    file: Annotated[str | None, typer.Option(help="Show this file of the project.", metavar="PATH")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change in an existing folder.")] = False,
    hooks: Annotated[bool, typer.Option("--hooks", help="Run the hooks too, in the sandbox.")] = False,
    trust: Trusted = None,
    json: Json = False,
) -> None:
    """Show what a create would make, and make nothing."""

    async def operation(dynamo: Dynamo) -> Preview:
        dynamo.expect(name)
        variables = collect(answers, assignments, await dynamo.get_template_variables(name))
        with bar(f"preview {name}") as sink:
            return await dynamo.preview_project(
                name,
                output,
                variables,
                if_exists=parse_if_exists(if_exists),
                file=file,
                diff=diff,
                hooks=hooks,
                trust=parse_trust(trust),
                sink=sink,
            )

    seen = perform(operation, as_json=json)
    if json:
        emit(seen)
    elif seen.text is not None:
        _say_text(seen.text)
    elif seen.diff is not None:
        _say_diff(seen)
    else:
        _say_files(seen)


def _say_text(text: FileText) -> None:
    if text.text is None:
        say(f"{text.path} is {'binary' if text.binary else 'a link'}")
        return
    say(text.text.removesuffix("\n"))
    if text.cut:
        say("[the rest is left out]")


def _say_diff(seen: Preview) -> None:
    if seen.diff:
        say(seen.diff.removesuffix("\n"))
    for line in seen.not_compared:
        say(f"not compared: {line}")
    if seen.diff_cut:
        say("[the rest is left out]")


def _say_files(seen: Preview) -> None:
    size = f"{counted(len(seen.files) + seen.more, 'file')}, {counted(seen.bytes, 'byte')}"
    say(f"{seen.path} would be made: {size}; {describe(seen)}")
    for file in seen.files:
        say(f"  {file.change:<8} {file.mode} {file.bytes:>10} {file.path}{f' -> {file.link}' if file.link else ''}")
    if seen.more:
        say(f"  and {seen.more} more")
    for kind, lines in (
        ("empty folder", seen.empty_folders),
        ("hook", seen.hooks),
        *((run.hook, run.output.strip().splitlines()) for run in seen.ran),
        ("left out", seen.left_out),
        ("not compared", seen.not_compared),
        ("note", seen.notes),
    ):
        for line in lines:
            say(f"  {kind}: {line}")
    if seen.problem:
        say(f"a create would refuse: {seen.problem}")
