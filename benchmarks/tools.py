"""How long does it take to list the tools? Of many templates, against a bare SDK server that returns the same bytes."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
from mcp import Client

from benchmarks import peers, templates
from benchmarks.connected import Connected, over_stdio
from benchmarks.measuring import Comparison, Result, Subject, compare, interleave
from dynamo_mcp import settings
from dynamo_mcp.dynamo import open_dynamo

DYNAMO = "Dynamo"
BARE = "a bare SDK server, the same bytes"
SUMMARIES = "Dynamo, list_templates"
FEW, MANY = 10, 200
ADDS_AT_ONCE = 4

SERVER = """
import json, sys
import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import ListToolsResult
pages = [ListToolsResult.model_validate(page) for page in json.load(open(sys.argv[1]))]
async def tools(_context, parameters):
    cursor = parameters.cursor if parameters else None
    return pages[[None, *(page.next_cursor for page in pages)].index(cursor)]
async def main():
    server = Server("bare", on_list_tools=tools)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
anyio.run(main)
"""


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Fewer templates and rounds.
    """
    found = []
    for count in (2, 20) if quick else (FEW, MANY):
        (folder / str(count)).mkdir()
        found.append(await _of(folder / str(count), count, rounds=5 if quick else 25))
    return Result("tools", tuple(found))


async def _of(folder: Path, count: int, *, rounds: int) -> Comparison:
    home = folder / "home"
    await _fill(home, folder, count)
    async with over_stdio(home, folder) as connected:
        pages = await _pages(connected.client)
        (folder / "pages.json").write_bytes(msgspec.json.encode(pages))
        (folder / "bare.py").write_text(SERVER)
        words = (str(folder / "bare.py"), str(folder / "pages.json"))
        async with over_stdio(home, folder, arguments=words) as bare:
            if await _pages(bare.client) != pages:
                raise RuntimeError("the bare server returns something else")

            async def ours(_path: Path) -> None:
                await _pages(connected.client)

            async def theirs(_path: Path) -> None:
                await _pages(bare.client)

            subjects = [Subject(DYNAMO, ours), Subject(BARE, theirs), Subject(SUMMARIES, _listing(connected))]
            samples = await interleave(subjects, rounds=rounds, folder=folder)
    size = (folder / "pages.json").stat().st_size
    title = f"the tools of {count} templates, all pages: {size / 1000:.0f} kB of JSON"
    return compare(title, samples, baseline=BARE)


def _listing(connected: Connected) -> Callable[[Path], Awaitable[object]]:
    async def listed(_path: Path) -> None:
        await connected.call("list_templates")

    return listed


async def _fill(home: Path, folder: Path, count: int) -> None:
    """Register so many templates."""
    limiter = anyio.CapacityLimiter(ADDS_AT_ONCE)
    environment = peers.environment(DYNAMO_MCP_HOME=str(home))
    async with open_dynamo(settings.load(environment, person=True, python=Path(sys.executable))) as dynamo:

        async def add(number: int) -> None:
            async with limiter:
                await dynamo.add_template(str(templates.write(folder / f"template-{number}")), name=f"t{number}")

        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(add, number)


async def _pages(client: Client) -> list[dict[str, object]]:
    pages, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        pages.append(page.model_dump(by_alias=True, exclude_none=True, mode="json"))
        cursor = page.next_cursor
        if cursor is None:
            return pages
