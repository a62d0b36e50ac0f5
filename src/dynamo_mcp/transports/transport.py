"""What is a transport, and what is it told? Each is a module beside this one, or of an installed package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from dynamo_mcp import plugins
from dynamo_mcp.callers import Authenticator
from dynamo_mcp.errors import Failed, UsageError
from dynamo_mcp.extras import install, missing
from dynamo_mcp.serving import Serving
from dynamo_mcp.text import plain
from dynamo_mcp.transports.attempts import Attempts

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from dynamo_mcp.server import DynamoServer

GROUP = "dynamo_mcp.transports"
OWN = ("stdio", "http", "grpc")
"""Modules beside this one."""
_NEEDING = ("grpc",)
"""Those of them that need the packages of an extra of the same name."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where to listen and whom to serve: what an operator chose for all transports of one process.

    Attributes:
        host: The address that HTTP listens on.
        port: The port there; 0 takes a free one.
        grpc_port: The port that gRPC listens on, at the same address; likewise.
        authenticators: Ways to find out who calls, in the order in which they are asked; none lets everybody in who
            reaches a loopback address, as `callers.LOCAL`.
        attempts: Who has failed too often to say who they are, on any transport.
        documents: What anybody may read over HTTP, in JSON by its path: where to get credentials, for one.
        hosts: Further names under which clients know this server, such as `mcp.example.com`, with or without a port.
        origins: Origins whose web pages may ask it, besides its own.
        tls_certificate: A file of PEM, with which all that listens speaks TLS.
        tls_key: Its key, where the certificate's file has none.
        uds: The path of a unix socket that HTTP listens on, instead of an address.
        trusted_proxies: Addresses and networks that say whom they speak for.
        limits: How much clients may ask for.
    """

    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = 0
    authenticators: tuple[Authenticator, ...] = ()
    attempts: Attempts = msgspec.field(default_factory=Attempts)
    documents: Mapping[str, bytes] = {}
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    uds: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    limits: Serving = Serving()


class Transport(Protocol):
    """Carries the messages of clients."""

    async def serve(self, server: DynamoServer, endpoint: Endpoint, *, task_status: TaskStatus[str]) -> None:
        """Serve until cancelled, or until the only client has left; then clean up in bounded time.

        Args:
            server: Is what is served: `server.run(read, write, server.create_initialization_options())` for each
                connection, in a context where `callers.current` says who it is.
            endpoint: Where, and whom.
            task_status: Is started, once clients can connect, with what a person should read on standard error, or "".

        Raises:
            DynamoError: It can't be served there.
        """


def check_transport(name: str) -> None:
    """Check that there is a transport, without importing it.

    Raises:
        UsageError: There is none of this name.
        Failed: A package that it needs is not installed.
    """
    if name in _NEEDING and (lacking := missing(name)):
        raise _without(name, lacking[0])
    if name not in OWN and name not in plugins.found(GROUP):
        raise _unknown(name)


def transport_of(name: str) -> Transport:
    """Return a transport.

    Raises:
        UsageError: There is none of this name.
        Failed: It can't be imported.
    """
    if name in OWN:
        try:
            return cast("Transport", import_module(f"dynamo_mcp.transports.{name}"))
        except ModuleNotFoundError as error:
            raise _without(name, str(error.name)) from error
    entry = plugins.found(GROUP).get(name)
    if entry is None:
        raise _unknown(name)
    return cast("Transport", plugins.load(entry, "transport"))


def _without(name: str, package: str) -> Failed:
    return Failed(
        f"The transport `{name}` needs the package `{package}`, which is not installed",
        hint=f"`{install(name)}` brings it; or run `uvx 'dynamo-mcp[{name}]'` instead of `uvx dynamo-mcp`",
    )


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"There is no transport `{plain(name, plugins.SHOWN)}`",
        hint=f"it is one of {', '.join(f'`{known}`' for known in dict.fromkeys((*OWN, *plugins.found(GROUP))))}",
    )
