"""update: what has changed where templates come from?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from dynamo_mcp.cli import many
from dynamo_mcp.cli.running import Json, bar, emit, fail, perform, say
from dynamo_mcp.cli.templates import say_needs, say_notes
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import UsageError
from dynamo_mcp.progress import Sink
from dynamo_mcp.text import plain
from dynamo_mcp.views import TemplateChange, TemplateInfo

SHOWN = 80
"""Characters of a value that are shown."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("update")(update)


def update(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Templates; or say --all.", show_default=False)
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="All that are registered, several at once, each by itself.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Prepare it anew even if nothing has changed.")] = False,
    json: Json = False,
) -> None:
    """Fetch templates again, and say what has changed."""

    async def one(dynamo: Dynamo, name: str, sink: Sink) -> TemplateChange:
        return await dynamo.update_template(name, force=force, sink=sink)

    async def single(dynamo: Dynamo) -> TemplateChange:
        with bar(f"update {named[0]}") as sink:
            return await one(dynamo, named[0], sink)

    async def several(dynamo: Dynamo) -> Sequence[many.Outcome[TemplateChange]]:
        wanted = whole(await dynamo.list_templates()) if everything else named
        return await many.each("update", wanted, partial(one, dynamo))

    named = list(dict.fromkeys(names or ()))
    if bool(named) == everything:
        what = "`--all` takes no names" if named else "No template is named"
        fail(UsageError(what, hint="`dynamo-mcp update NAME`, or `dynamo-mcp update --all`"), as_json=json)
    if len(named) == 1:
        change = perform(single, as_json=json)
        if json:
            emit(change)
        else:
            _say(named[0], change)
        return
    outcomes = perform(several, as_json=json)
    if not outcomes and not json:
        say("no template is registered yet: dynamo-mcp discover, dynamo-mcp add LOCATION")
    many.conclude(outcomes, _say, as_json=json)


def whole(templates: Sequence[TemplateInfo]) -> list[str]:
    """Return the names by which all are updated: of a repository of several templates, its own."""
    return sorted({template.group or template.name for template in templates})


def _say(name: str, change: TemplateChange) -> None:
    _say_change(name, change)
    say_needs(change.template)


def _say_change(name: str, change: TemplateChange) -> None:
    if not change.changed:
        say(f"{name} is up to date at {change.to_revision[:12]}")
    else:
        say(f"{name}: {change.from_revision[:12]} -> {change.to_revision[:12]}")
    for word, names in (
        ("variables added", change.variables_added),
        ("variables removed", change.variables_removed),
        ("variables changed", change.variables_changed),
        ("hooks added", change.hooks_added),
        ("hooks removed", change.hooks_removed),
        ("hooks changed", change.hooks_changed),
        ("requirements added", change.requirements_added),
        ("requirements removed", change.requirements_removed),
        ("templates added", change.templates_added),
        ("templates removed", change.templates_removed),
    ):
        if names:
            say(f"  {word}: {', '.join(names)}")
    for each in change.variable_changes:
        for field in each.differs:
            was, now = (_shown(getattr(question, field)) for question in (each.before, each.after))
            say(f"    {each.name}: {field} {was} -> {now}")
    for ended in change.trust_dropped:
        had = ", ".join([f"trust {ended.trust}", *ended.grants])
        say(f"  {ended.template} had {had}, and is contained without grants now; changed: {', '.join(ended.changed)}")
        say(f"    to give it again: {ended.command}")
    for child in change.template.children:
        if child.problem:
            say(f"  {child.name} can't be used as it is there: {child.problem}")
    say_notes(change.template)


def _shown(value: object) -> str:
    """Return what a variable had or has, cut off where it is long."""
    text = ", ".join(str(each) for each in value) if isinstance(value, tuple) else str(value)
    return plain(text, SHOWN) or "nothing"
