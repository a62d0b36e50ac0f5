"""doctor: what can this machine confine, and what is missing?"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import typer

from dynamo_mcp.cli.running import Json, conclude, emit, say, settings, visible
from dynamo_mcp.diagnosis import diagnose
from dynamo_mcp.errors import Failed, Refused
from dynamo_mcp.types import Primitive
from dynamo_mcp.views import Diagnosis

WIDTH = 160
"""Columns where no terminal says how many it has."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(*, json: Json = False) -> None:
    """Try what this machine can confine, and say what is missing and what brings it.

    The exit code is 0 where strangers' templates can be contained, 5 where not, 1 where nothing can be created.
    """

    async def whole() -> Diagnosis:
        return await diagnose(settings(person=True))

    found = conclude(whole, as_json=json)
    if json:
        emit(found)
    else:
        _tell(found)
    if not found.ready:
        raise SystemExit(Failed.exit_code)
    if "contained" not in found.trusts:
        raise SystemExit(Refused.exit_code)


def _tell(found: Diagnosis) -> None:
    from rich.console import Console  # noqa: PLC0415 - only this command shows a table
    from rich.table import Table  # noqa: PLC0415 - likewise

    by = f", by {', '.join(found.mechanisms)}" if found.mechanisms else ""
    tried = bool(found.trusts)
    say(f"Tier {found.tier}{by}: {found.meaning}.\n" if tried else f"{found.meaning[0].upper()}{found.meaning[1:]}.\n")
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width)

    def show(*titles: str, parts: Iterable[Primitive]) -> None:
        table = Table(box=None, pad_edge=False, header_style="")
        for title in titles:
            table.add_column(title, overflow="fold")
        for part in parts:
            table.add_row(*_row(part))
        console.print(table)

    show("what", "there", "why", parts=(*found.confinement, *found.running))
    _tell_commands("What brings what is missing", found.commands)
    if tried and found.tier != "strong":
        say("\nOr a person's choice, for one template (NAME):\n")
        if found.tier == "reduced":
            say("  dynamo-mcp trust NAME inert   # no hooks, no extensions")
        say("  dynamo-mcp trust NAME full    # it runs as any program of yours, as with plain cookiecutter")
    say("")
    show("extra", "there", "what for", parts=found.extras)
    _tell_commands("What brings an extra", [part.command for part in found.extras if part.command])


def _tell_commands(title: str, commands: Iterable[str]) -> None:
    for number, command in enumerate(commands):
        if number == 0:
            say(f"\n{title}:\n")
        say(f"  {command}")


def _row(part: Primitive) -> tuple[str, str, str]:
    return (
        visible(part.name),
        "yes" if part.present else "?" if part.why.startswith("not tried") else "no",
        visible(part.why),
    )
