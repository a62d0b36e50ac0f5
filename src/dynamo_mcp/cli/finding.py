"""discover, search, recommend: which templates could I use?"""

from __future__ import annotations

from typing import Annotated

import typer

from dynamo_mcp.catalogue_views import Found
from dynamo_mcp.cli.running import Json, emit, perform, say, warn
from dynamo_mcp.cli.wording import typed

Category = Annotated[str | None, typer.Option("--category", help="Only those of this category.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("discover")(discover)
    app.command("search")(search)
    app.command("recommend")(recommend)


def discover(*, category: Category = None, json: Json = False) -> None:
    """List templates that could be added."""
    entries = perform(lambda dynamo: dynamo.discover_templates(category), as_json=json)
    if json:
        emit({"entries": entries})
        return
    for entry in entries:
        say(f"{entry.name:<32} {entry.description}")
        where = entry.location + (f" in {entry.directory}" if entry.directory else "")
        say(f"{'':<32} {entry.category}{f', {entry.language}' if entry.language else ''}; {where}")
    say("add one: dynamo-mcp add NAME")


def search(
    words: Annotated[list[str] | None, typer.Argument(help="What is wanted.", show_default=False)] = None,
    *,
    category: Category = None,
    language: Annotated[str | None, typer.Option(help="Only those in this programming language.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only those that have this tag; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 10,
    json: Json = False,
) -> None:
    """Find templates by words, registered or not, the best first."""
    query = " ".join(words or ())
    found = perform(
        lambda dynamo: dynamo.search_templates(
            query, category=category, language=language, tags=tuple(tag or ()), limit=limit
        ),
        as_json=json,
    )
    _tell(found, as_json=json)


def recommend(
    sentence: Annotated[
        list[str], typer.Argument(help="What you want to make, in your own words.", show_default=False)
    ],
    *,
    json: Json = False,
) -> None:
    """Name the five templates that fit best what you want to make, and why."""
    wanted = " ".join(sentence)
    _tell(perform(lambda dynamo: dynamo.recommend_templates(wanted), as_json=json), as_json=json)


def _tell(found: Found, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    for note in found.notes:
        warn(f"note: {typed(note)}")
    for result in found.results:
        say(f"{result.name:<32} {result.description}")
        kind = ", ".join(filter(None, (result.category, result.language)))
        where = result.location + (f" in {result.directory}" if result.directory else "")
        say(f"{'':<32} {'registered; ' if result.registered else ''}{f'{kind}; ' if kind else ''}{where}")
        if result.why:
            say(f"{'':<32} {', '.join(result.why)}")
    if found.more:
        say(f"and {found.more} more: --limit N")
    if not all(result.registered for result in found.results):
        say("add one: dynamo-mcp add NAME")
