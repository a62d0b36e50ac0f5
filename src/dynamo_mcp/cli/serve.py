"""serve: speak MCP."""

from __future__ import annotations

import gc
import logging
from enum import StrEnum
from typing import Annotated, Any

import anyio
import typer

from dynamo_mcp.cli.admission import Admission, AllowedHosts, Auth, BehindTls
from dynamo_mcp.cli.running import OutputRoots, SourceRoots, fail, settings
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.settings import Settings

HOST = "127.0.0.1"
PORT = 3000
GRPC_PORT = 3001
STDIO = "stdio"


class LogLevel(StrEnum):
    """From which level on messages are told; `info` has a line for each call of a tool."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Shown(StrEnum):
    """Which tools clients are shown."""

    FULL = "full"
    COMPACT = "compact"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(  # noqa: PLR0917 - typer reads them by name
    transport: Annotated[
        list[str] | None,
        typer.Option(envvar="DYNAMO_MCP_TRANSPORT", help="stdio (the default), http or grpc; several at once."),
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="DYNAMO_MCP_HOST", help="Address to listen on; without --auth loopback only.")
    ] = HOST,
    port: Annotated[int, typer.Option(envvar="DYNAMO_MCP_PORT", help="0 takes a free one.", min=0, max=65535)] = PORT,
    grpc_port: Annotated[
        int, typer.Option(envvar="DYNAMO_MCP_GRPC_PORT", help="Likewise, for gRPC.", min=0, max=65535)
    ] = GRPC_PORT,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="DYNAMO_MCP_LOG_LEVEL", help="What is told on standard error.")
    ] = LogLevel.WARNING,
    auth: Auth = None,
    allowed_host: AllowedHosts = None,
    behind_tls: BehindTls = False,
    tools: Annotated[
        Shown | None, typer.Option(envvar="DYNAMO_MCP_TOOLS", help="compact lists the general tools only.")
    ] = None,
    output_root: OutputRoots = None,
    source_root: SourceRoots = None,
) -> None:
    """Serve MCP on stdio, over HTTP at /mcp (streamable), /sse (for older clients) and /ws (WebSocket), over gRPC."""
    try:
        chosen = settings(
            person=False,
            serves=True,
            tools=tools and tools.value,
            output_roots=tuple(output_root or ()) or None,
            source_roots=tuple(source_root or ()) or None,
        )
    except DynamoError as error:
        fail(error)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # on standard error
    logging.getLogger("dynamo_mcp").setLevel(log_level.name)
    who = Admission(tuple(auth or ()), tuple(allowed_host or ()), behind_tls=behind_tls)
    _serve(chosen, transport or [STDIO], who, host=host, port=port, grpc_port=grpc_port)


def stdio(chosen: Settings | None = None) -> None:
    """Serve on standard input and output until the input ends."""
    try:
        chosen = chosen or settings(person=False, serves=True)
    except DynamoError as error:
        fail(error)
    _serve(chosen, [STDIO])


def _serve(chosen: Settings, transports: list[str], who: Admission | None = None, **where: Any) -> None:
    async def whole() -> None:
        known = who.fields(chosen, host=where["host"]) if who else {}
        async with open_dynamo(chosen) as dynamo:
            from dynamo_mcp.transports import running  # noqa: PLC0415 - it imports the SDK, which takes most of a second
            from dynamo_mcp.transports.transport import Endpoint  # noqa: PLC0415 - likewise

            # The garbage collector leaves alone what was imported, which is there to the end: it looks through it else.
            gc.freeze()
            await running.run(dynamo, transports, Endpoint(**where, **known))

    try:
        anyio.run(whole)
    except DynamoError as error:
        fail(error)
    except KeyboardInterrupt:
        raise SystemExit(0) from None
