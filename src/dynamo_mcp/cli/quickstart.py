"""quickstart: see it work, then connect it."""

from __future__ import annotations

import json as json_
import shlex
import tempfile
import time
from pathlib import Path

import msgspec
import typer

from dynamo_mcp import catalogue
from dynamo_mcp.catalogue_views import CatalogueEntry
from dynamo_mcp.cli.create import describe
from dynamo_mcp.cli.running import Json, bar, emit, perform, say
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.project_views import Project
from dynamo_mcp.settings import load
from dynamo_mcp.types import Confinement


class Shown(msgspec.Struct, frozen=True):
    """One project, and the seconds that adding its template and creating it took."""

    project: Project
    add_seconds: float
    create_seconds: float


class Quickstart(msgspec.Struct, frozen=True):
    """What was done, and what to paste into an MCP host."""

    projects: tuple[Shown, ...]
    confinement: Confinement
    claude: str
    host: dict[str, object]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("quickstart")(quickstart)


def quickstart(*, json: Json = False) -> None:
    """Register the bundled templates, create a project from each, and show how to connect an MCP host."""
    folder = Path(tempfile.mkdtemp(prefix="dynamo-mcp-"))

    async def operation(dynamo: Dynamo) -> Quickstart:
        shown = tuple([await _show(dynamo, entry, folder) for entry in _bundled()])
        command = connection()
        elsewhere = dynamo.settings.home != load({}).home
        chosen = {"DYNAMO_MCP_HOME": str(dynamo.settings.home)} if elsewhere else {}
        options = [word for name, value in chosen.items() for word in ("-e", f"{name}={value}")]
        host = {"command": command[0], "args": command[1:], **({"env": chosen} if chosen else {})}
        return Quickstart(
            shown,
            await dynamo.confinement(),
            shlex.join(["claude", "mcp", "add", "dynamo-mcp", *options, "--", *command]),
            {"mcpServers": {"dynamo-mcp": host}},
        )

    done = perform(operation, as_json=json)
    if json:
        emit(done)
        return
    for shown in done.projects:
        _say_project(shown)
    if done.confinement.tier != "strong":
        say(f"Strangers' templates can't be contained here: {done.confinement.advice}; `dynamo-mcp doctor` says more")
    say(f"\nConnect Claude Code:\n\n  {done.claude}\n")
    say(f"Connect any other MCP host:\n\n{json_.dumps(done.host, indent=2)}")


def connection() -> list[str]:
    """Return the command that starts this server from where it runs: a checkout, or the index."""
    checkout = Path(__file__).parents[3]
    project = checkout / "pyproject.toml"
    if project.is_file() and 'name = "dynamo-mcp"' in project.read_text("utf-8"):
        return ["uvx", "--from", str(checkout), "dynamo-mcp"]
    return ["uvx", "dynamo-mcp"]


def _bundled() -> list[CatalogueEntry]:
    return [entry for entry in catalogue.entries() if entry.location.startswith(catalogue.BUNDLED)]


async def _show(dynamo: Dynamo, entry: CatalogueEntry, folder: Path) -> Shown:
    known = {template.url: template.name for template in await dynamo.list_templates()}
    started = time.perf_counter()
    name = known.get(entry.location)
    if name is None:
        with bar(f"add {entry.name}") as sink:
            name = (await dynamo.add_template(entry.location, sink=sink)).name
    added = time.perf_counter()
    with bar(f"create {entry.name}") as sink:
        project = await dynamo.create_project(name, str(folder), sink=sink)
    return Shown(project, round(added - started, 3), round(time.perf_counter() - added, 3))


def _say_project(shown: Shown) -> None:
    project = shown.project
    say(f"{project.template}: {project.path}")
    say(f"  created in {shown.create_seconds:.3f} s (template ready in {shown.add_seconds:.3f} s); {describe(project)}")
    previous: tuple[str, ...] = ()
    for file in project.files:
        *folders, leaf = file.split("/")
        for depth, name in enumerate(folders):
            if tuple(folders[: depth + 1]) != previous[: depth + 1]:
                say(f"  {'  ' * depth}{name}/")
        say(f"  {'  ' * len(folders)}{leaf}")
        previous = tuple(folders)
    say("")
