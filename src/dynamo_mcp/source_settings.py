"""How does an operator write where templates may come from? Each part of such a setting is read, or refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

import msgspec

from dynamo_mcp.errors import UsageError

PREFIX = "DYNAMO_MCP_"

ABBREVIATIONS = {
    "gh": "https://github.com/{}.git",
    "gl": "https://gitlab.com/{}.git",
    "bb": "https://bitbucket.org/{}.git",
    "cb": "https://codeberg.org/{}.git",
    "sr": "https://git.sr.ht/~{}",
}
"""What may stand before an owner and a repository, and the address that is meant."""
_NOT_ABBREVIATIONS = frozenset(
    {*ABBREVIATIONS, "file", "ftp", "git", "http", "https", "ssh", "pypi", "pip", "npm", "conda"}
)
"""What means something else already."""
_ABBREVIATION = re.compile(r"([a-z][a-z0-9+-]+)=(.+)")
_MEANT = re.compile(
    r"(?:(?:https://|ssh://git@)[A-Za-z0-9._:\[\]-]+/|git@[A-Za-z0-9._\[\]:-]+:|file:///)[^{}?#\\@]*\{0?\}[^{}?#\\@]*"
)

_TRUSTED = re.compile(
    r"(?:(?:gh|gl|bb|cb):|sr:~?)[\w.-]+/[\w./-]*"
    r"|(?:https://|ssh://git@)[\w.:\[\]-]+/[^,*?#%@\\{}]*"
    r"|git@[\w.\[\]:-]+:[^,*?#%@\\{}]+"
    r"|(?:file://)?/[^,]+"
    r"|~[^,]*/[^,]+"
)
"""What a location is or begins with (`sources/addresses.py`)."""
_ANYBODYS = re.compile(
    r"(?:https://|ssh://git@)(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org|git\.sr\.ht)/", re.IGNORECASE
)
_PRIVATE_SUFFIXES = frozenset(
    {"corp", "home", "internal", "intranet", "lan", "local", "localdomain", "private", "test"}
)
"""Of one label, and nobody's on the public internet (RFC 6762, appendix G)."""
_WIDEST = {4: 8, 6: 7}
"""The shortest prefixes of private networks (RFC 1918, RFC 4193)."""


_TOKEN_PLACE = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(:\d{1,5})?((?:/[\w.~-]+)*)/?", re.ASCII)
_USERS = {"bitbucket.org": "x-token-auth"}
"""Whom a host wants to be told besides a token; elsewhere any name will do."""
_USER = "oauth2"
_HTTPS = 443
_SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Token(msgspec.Struct, frozen=True):
    """A secret that signs in at one host; it says itself to nobody.

    Attributes:
        host: In small letters.
        port: Of https there.
        path: Below which it is for; empty for all of the host.
        user: Whom the host is told besides.
        secret: The token.
    """

    host: str
    port: int
    path: str
    user: str
    secret: str

    def __repr__(self) -> str:
        """Return where it is for, and nothing of what it is."""
        return f"Token({self.where!r})"

    @property
    def where(self) -> str:
        """Where it is for, for messages."""
        return f"{self.host}{'' if self.port == _HTTPS else f':{self.port}'}{self.path}"


def parse_tokens(text: str) -> tuple[Token, ...]:
    """Return the tokens of a setting, of which no message says anything.

    Args:
        text: All of `DYNAMO_MCP_TOKENS`.

    Raises:
        UsageError: One is not of the form, or two are for one place.
    """
    found: dict[str, Token] = {}
    for number, part in enumerate(text.split(), 1):
        place, _, secret = part.partition("=")
        user, colon, password = secret.partition(":")
        at = _TOKEN_PLACE.fullmatch(place)
        good = at is not None and secret.isascii() and secret.isprintable() and (password if colon else secret)
        if at is None or not good or {".", ".."} & set(at[3].split("/")):
            raise UsageError(
                f"`{PREFIX}TOKENS` holds nothing that can be a token as its part {number}",
                hint="write `host=token`, `host=user:token` or `host/owner=token`, such as "
                "`git.example.com/team=…`, with spaces between them",
            )
        host = at[1].lower()
        port = int(at[2][1:]) if at[2] else _HTTPS
        token = Token(host, port, at[3], user if colon else _USERS.get(host, _USER), password if colon else secret)
        if token.where in found:
            raise UsageError(f"`{PREFIX}TOKENS` holds two tokens for `{token.where}`", hint="leave one of them out")
        found[token.where] = token
    return tuple(found.values())


def parse_abbreviation(text: str) -> tuple[str, str]:
    """Return what stands before the colon, and the address that is meant, with `{}` for what stands after it.

    Args:
        text: One part of `DYNAMO_MCP_ABBREVIATIONS`.

    Raises:
        UsageError: It is no abbreviation, or no address that may be fetched from.
    """
    said = f"`{PREFIX}ABBREVIATIONS` holds `{text}`, "
    form = "write `name=address` with `{}` for what stands after the colon, such as "
    form += "`work=https://git.example.com/{}.git`, with spaces between them"
    found = _ABBREVIATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{said}which is no abbreviation", hint=form)
    if found[1] in _NOT_ABBREVIATIONS:
        raise UsageError(f"{said}but `{found[1]}:` means something else already", hint="choose another name")
    if not _MEANT.fullmatch(found[2]):
        raise UsageError(f"{said}whose address has no host, or no `{{}}` behind it", hint=form)
    return found[1], found[2].replace("{0}", "{}")


def parse_switch(name: str, text: str) -> bool:
    """Return whether something is on.

    Args:
        name: The setting.
        text: What it is set to.

    Raises:
        UsageError: It is neither on nor off.
    """
    if text.lower() in _SWITCHES:
        return _SWITCHES[text.lower()]
    raise UsageError(
        f"`{PREFIX}{name.upper()}` is `{text}`, which is neither on nor off", hint="set it to `1` or `0`, or unset it"
    )


def parse_trusted(text: str, abbreviations: Mapping[str, str]) -> str:
    """Return what a location of the operator's own is or begins with.

    Args:
        text: One part of `DYNAMO_MCP_TRUSTED`.
        abbreviations: The operator's own, as `parse_abbreviation` returns them; they are written out.

    Raises:
        UsageError: No location is or begins so, or every location does.
    """
    form = "name a host and an owner, such as `https://github.com/me/` or `gh:me/`, or a folder, such as "
    form += "`/srv/templates/`, with spaces between them; one that ends in `/` is the beginning of many"
    meant = _written_out(text, abbreviations)
    whole = meant.rstrip("/").rpartition(":")[2].strip("/")
    if not whole or _ANYBODYS.fullmatch(meant):
        raise UsageError(f"`{PREFIX}TRUSTED` holds `{text}`, which is the beginning of every location", hint=form)
    parts = meant.rpartition("://")[2].removesuffix("/").lstrip("/").split("/")
    owner_alone = re.fullmatch(r"(?:gh|gl|bb|cb|sr):[^/]+", text)
    if not _TRUSTED.fullmatch(meant) or owner_alone or {"", ".", ".."} & set(parts):
        raise UsageError(f"`{PREFIX}TRUSTED` holds `{text}`, which no location is or begins with", hint=form)
    return meant


def _written_out(text: str, abbreviations: Mapping[str, str]) -> str:
    """Return an address, or the beginning of one, without an abbreviation of the operator's own."""
    short, _, rest = text.partition(":")
    before, found, after = abbreviations.get(short, "").partition("{}")
    if not found:
        return text
    if (not rest or rest.endswith("/")) and after in {"", ".git"}:
        return before + rest
    return before + rest.removesuffix(".git") + after


def parse_host(name: str, text: str) -> str:
    """Return a host's name, `*.suffix`, or a network, in small letters.

    Args:
        name: The setting.
        text: One part of it.

    Raises:
        UsageError: It is none of them, or lets anybody's host in.
    """
    said = f"`{PREFIX}{name.upper()}` names `{text}`, which"
    if re.fullmatch(r"(\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?", text, re.IGNORECASE):
        suffix = text.lower().removeprefix("*.")
        if text.startswith("*.") and "." not in suffix and suffix not in _PRIVATE_SUFFIXES:
            raise UsageError(
                f"{said} lets anybody's host in, and so undoes the check",
                hint=f"name your own part of it, such as `*.example.{suffix}`",
            )
        return text.lower()
    try:
        network = ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError as error:
        raise UsageError(
            f"{said} is neither a host nor a network",
            hint="name hosts such as `git.example.com` or `*.example.com`, and networks such as `10.0.0.0/8`",
        ) from error
    if network.prefixlen < _WIDEST[network.version]:
        raise UsageError(
            f"{said} is most of all addresses, and so undoes the check",
            hint="name your own networks, such as `10.0.0.0/8`, or hosts such as `git.example.com`",
        )
    if "/" in text and ipaddress.ip_interface(text.strip("[]")).ip != network.network_address:
        raise UsageError(
            f"{said} is an address within a network",
            hint=f"name the network `{network}`, or the address alone: `{text.strip('[]').partition('/')[0]}`",
        )
    return str(network)
