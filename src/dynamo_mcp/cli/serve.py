"""serve: speak MCP."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
import typer

from dynamo_mcp.cli.running import OutputRoots, SourceRoots, fail, settings
from dynamo_mcp.dynamo import Dynamo, open_dynamo
from dynamo_mcp.errors import DynamoError, UsageError
from dynamo_mcp.settings import Settings

HOST = "127.0.0.1"
PORT = 3000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    transport: Annotated[str, typer.Option(envvar="DYNAMO_MCP_TRANSPORT", help="stdio or http.")] = "stdio",
    host: Annotated[str, typer.Option(envvar="DYNAMO_MCP_HOST", help="Address to listen on; loopback only.")] = HOST,
    port: Annotated[int, typer.Option(envvar="DYNAMO_MCP_PORT", help="0 takes a free one.", min=0, max=65535)] = PORT,
    output_root: OutputRoots = None,
    source_root: SourceRoots = None,
) -> None:
    """Serve MCP on stdio, or over HTTP at /mcp (streamable) and /sse (for older clients)."""
    try:
        chosen = settings(
            person=False,
            serves=True,
            output_roots=tuple(output_root or ()) or None,
            source_roots=tuple(source_root or ()) or None,
        )
    except DynamoError as error:
        fail(error)
    match transport:
        case "stdio":
            stdio(chosen)
        case "http":
            _serve(chosen, lambda dynamo: _http(dynamo, host, port))
        case _:
            fail(UsageError(f"There is no transport `{transport}`", hint="it is `stdio` or `http`"))


def stdio(chosen: Settings | None = None) -> None:
    """Serve on standard input and output until the input ends."""
    try:
        chosen = chosen or settings(person=False, serves=True)
    except DynamoError as error:
        fail(error)
    _serve(chosen, _stdio)


def _serve(chosen: Settings, transport: Callable[[Dynamo], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with open_dynamo(chosen) as dynamo:
            await transport(dynamo)

    try:
        anyio.run(whole)
    except DynamoError as error:
        fail(error)
    except KeyboardInterrupt:
        raise SystemExit(0) from None


async def _stdio(dynamo: Dynamo) -> None:
    from dynamo_mcp.transports import stdio as transport  # noqa: PLC0415 - it imports the SDK, which takes most of a second

    _settle()
    await transport.serve(dynamo)


def _settle() -> None:
    """Have the garbage collector leave alone what was imported, which is there to the end: it looks through it else."""
    gc.freeze()


async def _http(dynamo: Dynamo, host: str, port: int) -> None:
    from dynamo_mcp.transports import http as transport  # noqa: PLC0415 - likewise

    _settle()
    await transport.serve(dynamo, host, port)
