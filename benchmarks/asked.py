"""What does dynamo-mcp make of a template? Asked over MCP, with the SDK's own client, at default trust."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, TextContent, TextResourceContents

from benchmarks import bare, comparing, peers
from benchmarks.bare import Made
from dynamo_mcp.process import run

SECONDS = 900.0
"""Seconds that one answer may take; the server has limits of its own, which are shorter."""


class Added(msgspec.Struct, frozen=True):
    """A template that was added, or one of those that a location holds.

    Attributes:
        made: Whether it can be used, or why not.
        name: What it is called.
        directory: Its folder, where the location holds several.
        environment: What was made for it; None where it can't be used.
        more: Its environment holds more than others.
    """

    made: Made
    name: str
    directory: str | None = None
    environment: Path | None = None
    more: bool = False


class Asked:
    """A running server over a throw-away home; `serve` makes it."""

    def __init__(self, client: Client, environment: dict[str, str]) -> None:
        """Use `serve` instead."""
        self._client = client
        self._environment = environment

    async def add(self, location: str, name: str) -> tuple[Added, ...]:
        """Add what a location holds: one template, or several in their author's order."""
        started = time.perf_counter()
        added = await self._call("add_template", url=location, name=name)
        seconds = time.perf_counter() - started
        if isinstance(added, str):
            return (Added(Made(added, seconds), name),)
        whole = added.structured_content or {}
        if not whole["children"]:
            return (_added(Made(None, seconds), whole, None),)
        parts = []
        for child in whole["children"]:
            if child["problem"] is not None:
                parts.append(Added(Made(child["problem"], seconds), child["name"], child["directory"]))
                continue
            read = await self._client.read_resource(f"templates://{child['name']}/info")
            (content,) = (part for part in read.contents if isinstance(part, TextResourceContents))
            parts.append(_added(Made(None, seconds), msgspec.json.decode(content.text), child["directory"]))
        return tuple(parts)

    async def create(self, name: str, location: str, folder: Path) -> Made:
        """Create a project with the defaults of a template from there; the folder's `output` will hold it."""
        output = folder / "output"
        output.mkdir(parents=True)
        started = time.perf_counter()
        created = await self._call("create_project", template_name=name, output_dir=str(output))
        seconds = time.perf_counter() - started
        if isinstance(created, str):
            return Made(created, seconds)
        said = "\n".join(hook["output"] for hook in (created.structured_content or {})["hooks"])
        return Made(None, seconds, comparing.tree(output, location), said)

    async def create_trusted(self, name: str, location: str, folder: Path) -> Made:
        """Do the same as a person at the shell who grants everything: network, and every executable."""
        output = folder / "output"
        output.mkdir(parents=True)
        command: list[str | Path] = [sys.executable, "-m", "dynamo_mcp", "create", name, "--trust", "full"]
        started = time.perf_counter()
        environment = {**self._environment, "PYTHONDONTWRITEBYTECODE": "1"}
        ended = await run([*command, "--output", output], env=environment, seconds=bare.SECONDS * 2, cwd=folder)
        seconds = time.perf_counter() - started
        return Made(ended.error, seconds) if ended.code else Made(None, seconds, comparing.tree(output, location))

    async def _call(self, tool: str, **arguments: str) -> CallToolResult | str:
        """Call a tool; return its result, or what was wrong."""
        try:
            result = await self._client.call_tool(tool, arguments, read_timeout_seconds=SECONDS)
        except MCPError as error:
            return f"{type(error).__name__}: {error}"
        if not result.is_error:
            return result
        return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def _added(made: Made, template: dict[str, Any], directory: str | None) -> Added:
    environment = Path(template["venv_path"])
    return Added(made, template["name"], directory, environment, more=bool(template["requirements"]))


@asynccontextmanager
async def serve(home: Path, *, sources: Sequence[Path], outputs: Path) -> AsyncIterator[Asked]:
    """Run a server and connect to it.

    Args:
        home: Its home.
        sources: Folders below which templates are.
        outputs: The folder below which projects go.
    """
    environment = {name: value for name, value in peers.environment().items() if not name.startswith("DYNAMO_MCP_")}
    environment |= {
        "DYNAMO_MCP_HOME": str(home),
        "DYNAMO_MCP_SOURCE_ROOTS": os.pathsep.join(str(source) for source in sources),
        "DYNAMO_MCP_OUTPUT_ROOTS": str(outputs),
    }
    (home / "git").mkdir(parents=True)
    (home / "git" / ".gitconfig").write_text(bare.IDENTITY)
    environment["HOME"] = str(home / "git")
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "dynamo_mcp"], env=environment, cwd=str(Path(__file__).parents[1])
    )
    with (home / "server.log").open("w") as log:
        async with Client(stdio_client(server, errlog=log), read_timeout_seconds=SECONDS) as client:
            yield Asked(client, environment)
