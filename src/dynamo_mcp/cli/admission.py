"""Whom does `serve` let in? What an operator types becomes what a transport asks."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

import msgspec
import typer

from dynamo_mcp.auth_settings import is_loopback
from dynamo_mcp.errors import Refused, UsageError
from dynamo_mcp.settings import Settings

Auth = Annotated[
    list[str] | None,
    typer.Option(
        envvar="DYNAMO_MCP_AUTH",
        metavar="WAY",
        help="How callers say who they are: keys, basic, oauth; several may be given.",
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME[:PORT]",
        help="A further name by which clients reach the server, such as mcp.example.com; several may be given.",
    ),
]
AllowedOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-origin",
        metavar="ORIGIN",
        help="An origin whose pages may ask, such as https://app.example; several may be given.",
    ),
]
BehindTls = Annotated[
    bool, typer.Option("--behind-tls", help="A proxy in front of the address encrypts all that comes from elsewhere.")
]
_HOST = re.compile(
    r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::(?P<port>\d{1,5}))?", re.ASCII
)
_ORIGIN = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://{_HOST.pattern}", re.ASCII)
_PORTS = range(1, 1 << 16)
_USUAL = {"http": ":80", "https": ":443"}


class Admission(msgspec.Struct, frozen=True):
    """Whom to let in, as typed.

    Attributes:
        ways: To find out who calls.
        hosts: Further names of the server.
        origins: Whose pages may ask.
        behind_tls: Nobody but a proxy that encrypts reaches the address from elsewhere.
    """

    ways: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    behind_tls: bool = False

    def check(self) -> None:
        """Check what was typed.

        Raises:
            UsageError: A host or an origin can't be meant.
        """
        for name in self.hosts:
            if not _is_one(_HOST.fullmatch(name)):
                raise UsageError(
                    f"`{name}` is not a host",
                    hint="name one as `--allowed-host mcp.example.com`, with a port from 1 to 65535 if it has one",
                )
        for origin in self.origins:
            if not _is_one(_ORIGIN.fullmatch(origin)):
                raise UsageError(
                    f"`{origin}` is not an origin",
                    hint="name one as `--allowed-origin https://app.example`, with a port from 1 to 65535 if it has "
                    "one, and no path",
                )

    def fields(self, settings: Settings, *, host: str) -> dict[str, Any]:
        """Return the fields of an `Endpoint` that say so.

        Args:
            settings: Whose keys, users and issuer.
            host: The address that will be listened on.

        Raises:
            UsageError: A way can't be meant.
            Refused: Passwords would cross a network in clear.
            DynamoError: A way lacks something.
        """
        named = {"hosts": self.hosts, "origins": tuple(map(_as_browsers_write, self.origins))}
        if not self.ways:
            return named
        from dynamo_mcp.auth.ways import way_of  # noqa: PLC0415 - most servers ask nobody

        ways = {name: way_of(name, settings) for name in dict.fromkeys(self.ways)}
        for name, way in ways.items():
            if way.encrypted and not self.behind_tls and not is_loopback(host):
                raise Refused(
                    f"`{name}` would have passwords sent to `{host}` in clear, for everybody on the way to read",
                    hint="give it a certificate with `--tls-certificate`; or serve on `127.0.0.1` behind a proxy that "
                    "does TLS; or say `--behind-tls`, if nothing but such a proxy reaches this address; or use "
                    "`--auth keys` or `oauth`",
                )
        return {
            **named,
            "authenticators": tuple(way.authenticator for way in ways.values()),
            "documents": {path: content for way in ways.values() for path, content in way.documents.items()},
            "hosts": (*self.hosts, *(host for way in ways.values() for host in way.hosts)),
        }


def _is_one(found: re.Match[str] | None) -> bool:
    """Tell whether what looks like a host has an address and a port that there can be."""
    if found is None:
        return False
    try:
        ipaddress.IPv6Address(found["address"] or "::")
    except ValueError:
        return False
    return int(found["port"] or 1) in _PORTS


def _as_browsers_write(origin: str) -> str:
    """Return an origin without capitals, and without the port that its scheme has anyway (RFC 6454, section 6.2)."""
    origin = origin.lower()
    return origin.removesuffix(_USUAL.get(origin.partition("://")[0], ":"))
