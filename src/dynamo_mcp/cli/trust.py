"""trust: how much of a template may run?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from dynamo_mcp.cli.running import Json, emit, perform, say, warn
from dynamo_mcp.cli.templates import Granted, Name, parse_trust
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import UsageError
from dynamo_mcp.sandbox.grants import NETWORK
from dynamo_mcp.sandbox.trust import LEVELS
from dynamo_mcp.types import Trust
from dynamo_mcp.views import TrustInfo

REACHES = ", and so reaches services of this machine too, dynamo-mcp's own HTTP transport among them"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trust")(trust)


def trust(
    name: Name,
    level: Annotated[
        str | None,
        typer.Argument(help="inert, contained or full; without it, what it has is shown.", show_default=False),
    ] = None,
    *,
    grant: Granted = None,
    json: Json = False,
) -> None:
    """Show, or set, how much of a template may run, and exactly what it is given besides."""

    async def operation(dynamo: Dynamo) -> tuple[TrustInfo, ...]:
        wanted = parse_trust(level, "trust")
        if wanted is None:
            if grant:
                raise UsageError(
                    "`--grant` goes with a trust, which is not given", hint=f"`dynamo-mcp trust {name} contained …`"
                )
            return await dynamo.trust(name)
        before = await dynamo.trust(name)
        # What can't be granted is refused before anything is said of it.
        grants = dynamo.check_grants(wanted, grant or ())
        for each in before:
            if LEVELS.index(wanted) > LEVELS.index(each.trust) or set(grants) - set(each.grants):
                for line in _will_run(each, wanted, grants):
                    warn(line)
        return await dynamo.trust_template(name, wanted, grants)

    found = perform(operation, as_json=json)
    if json:
        emit({"templates": found})
        return
    for each in found:
        _say(each)


def _say(info: TrustInfo) -> None:
    at = f", tier {info.tier}" if info.trust != "full" else ", not confined"
    if info.changed:
        at = " counts no more, but contained without grants: it was edited since; changed: " + ", ".join(info.changed)
    say(f"{info.template}: trust {info.trust}{at}")
    if info.refused:
        say(f"  does not run here: {info.refused}")
    for given in info.grants:
        say(f"  grant: {given}")
    whose = "said by a person for" if info.by_person else "what every template gets; it is"
    if info.by_setting:
        whose = "what `DYNAMO_MCP_TRUSTED` gives templates of its place; it is"
    commit = f", revision {info.revision}" if info.revision else ""
    inside = f" in {info.directory}" if info.directory else ""
    say(f"  {whose} {info.url}{inside}{commit}, digest {info.digest}")
    for line in _runs(info, "contained" if info.changed else info.trust):
        say(f"  {line}")


def _will_run(info: TrustInfo, wanted: Trust, grants: tuple[str, ...]) -> Iterator[str]:
    where = "as any program of yours, with your files and network" if wanted == "full" else "in the sandbox"
    here = wanted == "full" or info.machine == "strong"
    runs = "runs" if here else "would run, where it can be confined"
    yield f"{info.template}: at trust {wanted} this {runs}, {where}:"
    yield from (f"  {line}" for line in _runs(info, wanted))
    yield from (f"  it gets: {given}" + (REACHES if given == NETWORK else "") for given in grants)


def _runs(info: TrustInfo, wanted: Trust) -> Iterator[str]:
    if wanted == "inert":
        yield "runs: Jinja, in its own sandbox, and known extensions; no hooks"
        return
    yield "runs: Jinja" + ("" if info.hooks or info.extensions else "; it has no hooks and names no extensions")
    yield from (f"runs: hook {hook}" for hook in info.hooks)
    yield from (f"runs: extension {extension}" for extension in info.extensions)
    for requirement in info.unvouched:
        outside = "; it is refused outside the sandbox" if wanted == "full" else ""
        yield f"runs: package {requirement}, which no person has vouched for{outside}"
