"""prune, which is also called reclaim: what of the home is not needed?"""

from __future__ import annotations

import typer

from dynamo_mcp.cli.running import Json, emit, perform, say, warn
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.views import Removed


def register(app: typer.Typer) -> None:
    """Add the command, under both of its names."""
    app.command("prune")(reclaim)
    app.command("reclaim", hidden=True)(reclaim)


def reclaim(*, json: Json = False) -> None:
    """Remove what no template needs, and what was not used for long, as a server does by itself.

    Nothing that is in use or was used in the last hour goes, and no template and no project.
    """
    done = perform(Dynamo.reclaim, as_json=json)
    if json:
        emit(done)
        return
    for each in done.removed:
        say(_line(each))
    say(f"reclaimed {_size(done.bytes)}; kept: {done.kept.environments} environments, {_size(done.kept.bytes)} in all")
    for note in done.notes:
        warn(f"note: {note}")


def _line(each: Removed) -> str:
    return f"removed {each.kind} {each.name} ({_size(each.bytes)}): {each.why}"


def _size(number: int) -> str:
    return f"{number / (1 << 20):,.1f} MiB"
