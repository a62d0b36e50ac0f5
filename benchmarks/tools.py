"""How long does it take to list the tools? Of many templates, against a bare SDK server that returns the same bytes.

And how do lists, a search and a start grow with the number of templates?
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import msgspec
from mcp import Client

from benchmarks import peers, templates
from benchmarks.connected import Connected, over_stdio
from benchmarks.measuring import Claim, Comparison, Result, Subject, compare, interleave, times
from dynamo_mcp import settings
from dynamo_mcp.dynamo import open_dynamo

DYNAMO = "Dynamo"
BARE = "a bare SDK server, the same bytes"
SUMMARIES = "Dynamo, list_templates"
FEW, MANY = 10, 200
MOST_TIMES = 3.0
"""How many times as long an answer may take with as many templates, or a start."""
WORDS = "python package with tests"
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
    few, many = (2, 8) if quick else (FEW, MANY)
    rounds = 5 if quick else 25
    for count in (few, many):
        (folder / str(count)).mkdir()
        found.append(await _of(folder / str(count), count, rounds=rounds))
    grown, claims = await _growth(folder, few, many, rounds=rounds)
    return Result("tools", (*found, *grown), claims=claims)


async def _growth(
    folder: Path, few: int, many: int, *, rounds: int
) -> tuple[tuple[Comparison, ...], tuple[Claim, ...]]:
    """Measure answers and starts of servers of few and of many templates, in turns."""
    comparisons, claims = [], []
    places = {count: (folder / str(count) / "home", folder / str(count)) for count in (few, many)}

    async def start(count: int, _path: Path) -> None:
        async with over_stdio(*places[count], listed=False) as connected:
            await connected.client.list_tools()

    async with over_stdio(*places[few]) as small, over_stdio(*places[many]) as large:
        servers = {few: small, many: large}

        async def tools(count: int, _path: Path) -> None:
            await servers[count].client.list_tools()

        async def summaries(count: int, _path: Path) -> None:
            await servers[count].call("list_templates")

        async def search(count: int, _path: Path) -> None:
            await servers[count].call("search_templates", query=WORDS)

        for what, work, times_each in (
            ("the first page of tools", tools, rounds),
            ("`list_templates`, the first page", summaries, rounds),
            ("a search", search, rounds),
            ("a start, to the first page of tools", start, max(1, rounds // 5)),
        ):
            subjects = [Subject(f"{count} templates", partial(work, count)) for count in (few, many)]
            (folder / what).mkdir()
            await interleave(subjects, rounds=1, folder=folder / what)
            samples = await interleave(subjects, rounds=times_each, folder=folder / what)
            comparisons.append(compare(what, samples, baseline=samples[-1].name))
            found = times(samples[0], samples[1])
            claims.append(
                Claim(
                    f"{what} takes at most {MOST_TIMES:g} times as long with {many} templates as with {few}",
                    f"{found:.2f} times",
                    found <= MOST_TIMES,
                )
            )
    return tuple(comparisons), tuple(claims)


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
