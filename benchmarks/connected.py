"""How is a server asked? Its own process, over stdio or HTTP, by the SDK's own client."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, TaskStatus
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent

from benchmarks import peers, processes
from dynamo_mcp.process import open_process

SECONDS = 900.0
"""Seconds that one answer may take; the server has limits of its own, which are shorter."""
SECONDS_TO_START = 60.0
LOG = "server.log"
"""What servers say, in the folder of their outputs."""
ROOT = Path(__file__).parents[1]


class CallFailed(Exception):
    """A tool answered with an error."""


class Connected:
    """A client of a running server.

    Attributes:
        client: The SDK's.
        process: The server's process.
    """

    def __init__(self, client: Client, process: int) -> None:
        """Use `over_stdio` instead."""
        self.client = client
        self.process = process

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; return its structured result.

        Raises:
            CallFailed: With what it said.
        """
        result = await self.client.call_tool(tool, arguments, read_timeout_seconds=SECONDS)
        if result.is_error:
            raise CallFailed("\n".join(part.text for part in result.content if isinstance(part, TextContent)))
        return dict(result.structured_content or {})


def environment(home: Path, outputs: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a server.

    Args:
        home: Its home.
        outputs: The folder below which projects go, and templates may lie.
        more: Further variables.
    """
    passed = {name: value for name, value in peers.environment().items() if not name.startswith("DYNAMO_MCP_")}
    return {
        **passed,
        "DYNAMO_MCP_HOME": str(home),
        "DYNAMO_MCP_OUTPUT_ROOTS": str(outputs),
        "DYNAMO_MCP_SOURCE_ROOTS": str(outputs),
        **(more or {}),
    }


@asynccontextmanager
async def over_stdio(
    home: Path, outputs: Path, *, arguments: tuple[str, ...] = (), listed: bool = True
) -> AsyncIterator[Connected]:
    """Run a server, or another program that speaks as one, and connect to it.

    Args:
        home: Its home.
        outputs: The folder below which projects go, and templates may lie.
        arguments: What Python runs; dynamo-mcp when there are none.
        listed: Its tools are listed before.
    """
    server = StdioServerParameters(
        command=sys.executable,
        args=list(arguments) or ["-m", "dynamo_mcp"],
        env=environment(home, outputs),
        cwd=str(ROOT),
    )
    before = set(processes.descendants(os.getpid()))
    with (outputs / LOG).open("a") as log:
        async with Client(stdio_client(server, errlog=log), read_timeout_seconds=SECONDS) as client:
            if listed:
                await client.list_tools()
            started = [each for each in processes.descendants(os.getpid()) if each not in before]
            yield Connected(client, started[0])


@asynccontextmanager
async def over_http(
    home: Path, outputs: Path, *, arguments: tuple[str, ...] = (), more: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Run a server on a loopback port, or another program that says where it serves; yields its address and process.

    Args:
        home: Its home.
        outputs: The folder below which projects go, and templates may lie.
        arguments: What Python runs; dynamo-mcp when there are none.
        more: Further variables.
    """
    command = [sys.executable, *(arguments or ("-m", "dynamo_mcp", "serve", "--transport", "http", "--port", "0"))]
    async with (
        open_process(command, env=environment(home, outputs, more), cwd=ROOT, gently=True) as child,
        anyio.create_task_group() as tasks,
    ):
        with anyio.fail_after(SECONDS_TO_START):
            address = await tasks.start(_read, child.stderr, outputs / LOG)
        yield address, child.pid
        tasks.cancel_scope.cancel()


async def _read(errors: ByteReceiveStream, path: Path, *, task_status: TaskStatus[str]) -> None:
    """Log what a server says as long as it does: one that nobody reads would wait."""
    said: bytes | None = b""
    async with await anyio.open_file(path, "ab") as log:
        async for chunk in errors:
            await log.write(chunk)
            await log.flush()
            if said is not None:
                said += chunk
                if found := re.search(rb"http://[\d.]+:\d+/mcp", said):
                    task_status.started(found[0].decode())
                    said = None
    if said is not None:
        raise CallFailed(said.decode(errors="replace"))
