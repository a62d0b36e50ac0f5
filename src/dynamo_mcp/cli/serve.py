"""serve: speak MCP."""

from __future__ import annotations

import gc
import logging
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from dynamo_mcp.cli.admission import Admission, AllowedHosts, Auth, BehindTls
from dynamo_mcp.cli.running import OutputRoots, SourceRoots, fail, settings
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.serving import load_serving
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
    tls_certificate: Annotated[Path | None, typer.Option(help="A file of PEM: speak TLS over HTTP.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, if it is in a file of its own.")] = None,
    uds: Annotated[Path | None, typer.Option(help="Listen on a unix socket at this path.")] = None,
    allowed_origin: Annotated[list[str] | None, typer.Option(help="An origin whose pages may ask.")] = None,
    trusted_proxy: Annotated[list[str] | None, typer.Option(help="A proxy that says for whom it asks.")] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            envvar="DYNAMO_MCP_GRACE_SECONDS", help="Seconds that calls may take to finish at a signal.", min=0
        ),
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
        limits = load_serving(chosen.environment, grace_seconds=grace)
    except DynamoError as error:
        fail(error)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # on standard error
    logging.getLogger("dynamo_mcp").setLevel(log_level.name)
    who = Admission(tuple(auth or ()), tuple(allowed_host or ()), behind_tls=behind_tls or tls_certificate is not None)
    _serve(
        chosen,
        transport or [STDIO],
        who,
        host=host,
        port=port,
        grpc_port=grpc_port,
        limits=limits,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        uds=uds,
        origins=tuple(allowed_origin or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
    )


def stdio(chosen: Settings | None = None) -> None:
    """Serve on standard input and output until the input ends."""
    try:
        chosen = chosen or settings(person=False, serves=True)
        limits = load_serving(chosen.environment)
    except DynamoError as error:
        fail(error)
    _serve(chosen, [STDIO], limits=limits)


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
        anyio.run(whole, backend_options={"use_uvloop": _has_uvloop(transports)})
    except DynamoError as error:
        fail(error)
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def _has_uvloop(transports: list[str]) -> bool:
    """Say whether to use it: for many connections it is faster, and one client would only wait for its import."""
    return transports != [STDIO] and find_spec("uvloop") is not None
