"""What does it hold? A server that waits, each renderer that waits with it, and each connection."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from mcp import Client

from benchmarks import peers, processes, templates
from benchmarks.connected import Connected, over_http, over_stdio
from benchmarks.measuring import Amount, Claim, Result

MOST_OF_SERVER = 150.0
MOST_OF_RENDERER = 40.0
"""MB."""
SECONDS_TO_SETTLE, SECONDS_QUICK = 2.0, 0.2
KB_PER_MB = 1000


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it; Linux alone tells.

    Args:
        folder: An empty folder.
        quick: Fewer connections, and less time until what there is is read.
    """
    peers.linux()
    settle = SECONDS_QUICK if quick else SECONDS_TO_SETTLE
    template = templates.write(folder / "template")
    async with over_stdio(folder / "home", folder) as connected:
        await anyio.sleep(settle)
        idle = [processes.proportional(connected.process)]
        await connected.call("add_template", url=str(template), name="measured")
        await _burst(connected, folder)
        await anyio.sleep(settle)
        busy = processes.proportional(connected.process)
        renderers = _renderers(connected.process)
    connection = await _connection(folder, 10 if quick else 50, settle)
    amounts = (
        Amount("a server that waits, before it has done anything", tuple(idle), "MB"),
        Amount("the same after 32 creates", (busy,), "MB"),
        Amount("a warm renderer, with what it shares by its share", tuple(renderers), "MB"),
        Amount("a connection over HTTP, after it has listed the tools", (connection * KB_PER_MB,), "kB"),
    )
    claims = (
        Claim(f"a server that waits has less than {MOST_OF_SERVER:g} MB", f"{busy:.0f} MB", busy < MOST_OF_SERVER),
        Claim(
            f"each warm renderer has less than {MOST_OF_RENDERER:g} MB of its own",
            f"{max(renderers):.0f} MB",
            max(renderers) < MOST_OF_RENDERER,
        ),
    )
    return Result("memory", (), claims=claims, amounts=amounts)


async def _burst(connected: Connected, folder: Path) -> None:
    """Have as many renderers as a busy server has."""
    async with anyio.create_task_group() as tasks:
        for number in range(32):
            tasks.start_soon(_create, connected, folder / "made" / str(number))


async def _create(connected: Connected, path: Path) -> None:
    await connected.call("create_project", template_name="measured", output_dir=str(path))


def _renderers(server: int) -> list[float]:
    """Return the MB of each renderer: its worker, with what it has forked.

    Raises:
        RuntimeError: There is none.
    """
    found = []
    for process in processes.descendants(server):
        words = processes.command(process)
        is_worker = any(word.endswith("_in_environment/worker.py") for word in words)
        if is_worker and Path(words[0]).name.startswith("python"):
            found.append(process)
    inside = {each for worker in found for each in processes.descendants(worker)[1:]}
    whole = [processes.held(worker).megabytes for worker in found if worker not in inside]
    if not whole:
        raise RuntimeError("no renderer waits")
    return whole


async def _connection(folder: Path, connections: int, settle: float) -> float:
    """Return the MB that one more connection costs a server."""
    async with over_http(folder / "home", folder) as (address, server), AsyncExitStack() as stack:

        async def connect() -> None:
            client = await stack.enter_async_context(Client(address))
            await client.list_tools()

        await connect()
        await anyio.sleep(settle)
        before = processes.proportional(server)
        for _ in range(connections):
            await connect()
        await anyio.sleep(settle)
        return (processes.proportional(server) - before) / connections
