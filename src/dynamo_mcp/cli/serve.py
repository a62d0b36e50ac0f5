"""serve: speak MCP."""

from __future__ import annotations

import gc
import logging
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import anyio
import msgspec
import typer

from dynamo_mcp.cli.admission import Admission, AllowedHosts, AllowedOrigins, Auth, BehindTls
from dynamo_mcp.cli.running import OutputRoots, SourceRoots, fail, settings, warn
from dynamo_mcp.descriptors import OWN, allow
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.errors import DynamoError, UsageError
from dynamo_mcp.serving import Serving, load_serving
from dynamo_mcp.settings import Settings

HOST = "127.0.0.1"
PORT = 3000
GRPC_PORT = 3001
STDIO = "stdio"
_OF_ADDRESS = ("host", "port")
_OF_HTTP = ("port", "uds", "allowed_host", "allowed_origin", "trusted_proxy")
_OF_GRPC = ("grpc_port",)
_OF_ANY = ("host", "auth", "behind_tls", "tls_certificate", "tls_key")


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
    context: typer.Context,
    transport: Annotated[
        list[str] | None,
        typer.Option(
            envvar="DYNAMO_MCP_TRANSPORT",
            metavar="NAME",
            help="stdio (the default), http or grpc; several may be given.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            envvar="DYNAMO_MCP_HOST", metavar="ADDRESS", help="Address to listen on; without --auth loopback only."
        ),
    ] = HOST,
    port: Annotated[
        int,
        typer.Option(
            envvar="DYNAMO_MCP_PORT", metavar="PORT", help="Port for HTTP; 0 takes a free one.", min=0, max=65535
        ),
    ] = PORT,
    grpc_port: Annotated[
        int,
        typer.Option(envvar="DYNAMO_MCP_GRPC_PORT", metavar="PORT", help="Likewise, for gRPC.", min=0, max=65535),
    ] = GRPC_PORT,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="DYNAMO_MCP_LOG_LEVEL", help="From which level on standard error is told.")
    ] = LogLevel.WARNING,
    auth: Auth = None,
    allowed_host: AllowedHosts = None,
    behind_tls: BehindTls = False,
    tools: Annotated[
        Shown | None, typer.Option(envvar="DYNAMO_MCP_TOOLS", help="compact lists the general tools only.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A certificate in PEM: speak TLS, over HTTP and gRPC.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its key in PEM, if it is in a file of its own.")
    ] = None,
    uds: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Listen for HTTP on a unix socket, instead of an address.")
    ] = None,
    allowed_origin: AllowedOrigins = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A proxy that says for whom it asks: an address, a network or unix; several may be given.",
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            envvar="DYNAMO_MCP_GRACE_SECONDS",
            metavar="SECONDS",
            help="Seconds that calls and tasks may take to finish at a signal.",
            min=0,
        ),
    ] = None,
    output_root: OutputRoots = None,
    source_root: SourceRoots = None,
) -> None:
    """Serve MCP on stdio, over HTTP at /mcp (streamable), /sse (for older clients) and /ws (WebSocket), over gRPC."""
    transports = transport or [STDIO]
    who = Admission(
        tuple(auth or ()),
        tuple(allowed_host or ()),
        tuple(allowed_origin or ()),
        behind_tls=behind_tls or tls_certificate is not None,
    )
    where = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "uds": uds,
        "trusted_proxies": tuple(trusted_proxy or ()),
    }
    try:
        _check_flags(context, transports, uds)
        chosen = settings(
            person=False,
            serves=True,
            tools=tools and tools.value,
            output_roots=tuple(output_root or ()) or None,
            source_roots=tuple(source_root or ()) or None,
        )
        limits = load_serving(chosen.environment, grace_seconds=grace)
        who.check()
        noted = _check_reach(transports, anywhere=bool(auth), **where)
    except DynamoError as error:
        fail(error)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # on standard error
    logging.getLogger("dynamo_mcp").setLevel(log_level.name)
    if noted is not None:
        warn(f"warning: {noted}")
    _serve(chosen, transports, who, limits=_within(limits, transports), **where)


def stdio(chosen: Settings | None = None) -> None:
    """Serve on standard input and output until the input ends."""
    try:
        chosen = chosen or settings(person=False, serves=True)
        limits = load_serving(chosen.environment)
    except DynamoError as error:
        fail(error)
    _serve(chosen, [STDIO], limits=limits)


def _check_flags(context: typer.Context, transports: list[str], uds: Path | None) -> None:
    """Refuse what was typed and would do nothing: who typed it counts on it. Variables may be there for others.

    Raises:
        UsageError: It was.
    """
    if not {"stdio", "http", "grpc"}.issuperset(transports):  # another package's may use any of them
        return
    over_http, over_grpc = "http" in transports, "grpc" in transports
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        flag = f"--{name.replace('_', '-')}"
        if (name in _OF_HTTP and not over_http) or (name in _OF_ANY and not over_http and not over_grpc):
            raise UsageError(f"`{flag}` does nothing without HTTP", hint="add `--transport http`, or leave it out")
        if name in _OF_GRPC and not over_grpc:
            raise UsageError(f"`{flag}` does nothing without gRPC", hint="add `--transport grpc`, or leave it out")
        if uds is not None and name in _OF_ADDRESS and not (name == "host" and over_grpc):
            raise UsageError(
                f"`{flag}` does nothing with `--uds`, which listens at `{uds}` instead", hint="leave one of them out"
            )


def _check_reach(transports: list[str], **where: Any) -> str | None:
    if transports == [STDIO]:
        return None
    from dynamo_mcp.cli import endpoint  # noqa: PLC0415 - on standard input and output nothing can be wrong

    return endpoint.check(transports, **where)


def _within(limits: Serving, transports: list[str]) -> Serving:
    """Have as many connections be open as the limits say; return limits that this machine holds, and say so."""
    listeners = len({*transports} - {STDIO})
    if not listeners:
        return limits
    wanted = OWN + listeners * limits.connections
    if (most := allow(wanted)) >= wanted:
        return limits
    connections = max(most - OWN, most // 4) // listeners
    warn(
        f"warning: {wanted - OWN} connections need {wanted} open files, and this process may have {most}: "
        f"{listeners * connections} are served at a time\n\n"
        f"hint: raise the hard limit, by `LimitNOFILE={wanted}` of systemd, `--ulimit nofile={wanted}` of a container "
        f"or `ulimit -Hn {wanted}` as root, or lower `DYNAMO_MCP_CONNECTIONS`"
    )
    return msgspec.structs.replace(limits, connections=connections)


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
