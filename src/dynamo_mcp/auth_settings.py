"""How does an operator write who issues tokens for this server? Each part of it is read, or refused."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dynamo_mcp.errors import UsageError
from dynamo_mcp.source_settings import PREFIX

BEGINNING = f"{PREFIX}OAUTH_"
"""Of each variable's name."""
SECRET = f"{BEGINNING}CLIENT_SECRET"
_SKEW_SECONDS = 600


class OAuthSettings(msgspec.Struct, frozen=True):
    """Whose tokens are good, and for what.

    Attributes:
        issuer: The authorization server, exactly as its tokens and its metadata say it.
        audience: What tokens have to be for: the address at which clients reach this server (RFC 8707), and whatever
            else the authorization server calls it.
        jwks: Where its keys are (RFC 7517); without it, its metadata says so (RFC 8414).
        introspection: Where it is asked of each token (RFC 7662); without it, tokens are JWTs.
        client_id: As whom it is asked there.
        client_secret: By which secret.
        client_secret_file: Or the file that holds it.
        skew_seconds: By which its clock and ours may differ.
    """

    issuer: str | None = None
    audience: tuple[str, ...] = ()
    jwks: str | None = None
    introspection: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_secret_file: Path | None = None
    skew_seconds: float = 60.0

    def __repr__(self) -> str:
        """Return whose tokens they are, and no secret."""
        return f"OAuthSettings({self.issuer!r})"


def parse_oauth(environ: Mapping[str, str]) -> OAuthSettings:
    """Read them.

    Raises:
        UsageError: One can't be meant.
    """
    given = {
        field.name: text
        for field in msgspec.structs.fields(OAuthSettings)
        if (text := environ.get(BEGINNING + field.name.upper()))
    }
    values: dict[str, object] = dict(given)
    for name in ("issuer", "jwks", "introspection"):
        if name in given:
            values[name] = _address(name, given[name])
    if "audience" in given:
        first, *others = given["audience"].split() or [""]
        values["audience"] = (_address("audience", first), *others)
    if "client_secret_file" in given:
        values["client_secret_file"] = Path(given["client_secret_file"]).expanduser()
    if "skew_seconds" in given:
        values["skew_seconds"] = _skew(given["skew_seconds"])
    return OAuthSettings(**values)  # type: ignore[arg-type]  # each was read as its field's type


def is_safe(address: str) -> bool:
    """Say whether an address is one of https, or of this very machine: nobody else hears or changes what is said."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not address.isprintable() or " " in address:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Say whether a host is this very machine, by what it is called."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _address(name: str, text: str) -> str:
    if is_safe(text):
        return text
    raise UsageError(
        f"`{BEGINNING}{name.upper()}` is `{text}`, which is no https address without a user and a fragment",
        hint="set it to one such as `https://login.example.com`; plain http is for addresses of this machine alone",
    )


def _skew(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if 0 <= number <= _SKEW_SECONDS:
        return number
    raise UsageError(
        f"`{BEGINNING}SKEW_SECONDS` is `{text}`, which is no number of seconds that clocks differ by",
        hint=f"set it to a number from 0 to {_SKEW_SECONDS}, or unset it to use its default",
    )
