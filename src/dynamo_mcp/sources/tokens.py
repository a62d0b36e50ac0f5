"""Which of the operator's tokens is for an address? The one of its host whose path is longest; no other host gets any.

A token is never part of an address, a command line or a record: it goes into the header of a request, and into the
environment of a git that asks its host.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import urlsplit

from dynamo_mcp.source_settings import Token

HIDDEN = "***"
_HTTPS = 443


def token_for(address: str, tokens: Iterable[Token]) -> Token | None:
    """Return the token that is for an address.

    Args:
        address: Where something is about to be asked; only https gets a token.
        tokens: The operator's.
    """
    if not address.startswith("https://"):
        return None
    parts = urlsplit(address)
    segments = parts.path.strip("/").split("/")
    # What a host may read as another path than it begins with is only for a token of the whole host.
    clear = "%" not in parts.path and not {"", ".", ".."} & set(segments)
    fitting = [
        token
        for token in tokens
        if (token.host, token.port) == (parts.hostname, parts.port or _HTTPS)
        and (not token.path or (clear and f"/{'/'.join(segments)}/".startswith(f"{token.path}/")))
    ]
    return max(fitting, key=lambda token: len(token.path), default=None)


def authorization(token: Token) -> str:
    """Return the value of the header that signs in (RFC 7617)."""
    return f"Basic {_encoded(token)}"


def for_git(token: Token | None) -> dict[str, str]:
    """Return the variables by which a git sends a token to its own host; none without one."""
    if token is None:
        return {}
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.https://{token.host}:{token.port}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {authorization(token)}",
    }


def without(text: str, token: Token | None) -> str:
    """Return what somebody said without the token, which a host may have said back."""
    if token is None:
        return text
    return text.replace(_encoded(token), HIDDEN).replace(token.secret, HIDDEN)


def _encoded(token: Token) -> str:
    return base64.b64encode(f"{token.user}:{token.secret}".encode()).decode()
