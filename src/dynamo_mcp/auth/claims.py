"""Whom does a token speak of, if it is for us and good now? Whatever way its claims came, they are looked at here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from dynamo_mcp.callers import SCOPES, Caller
from dynamo_mcp.errors import Unauthenticated

PATHS = ("/mcp", "/sse", "/ws", "/poll")
"""Below an address without a path, what clients call the server by."""
_SUBJECT = 255
"""Characters (OpenID Connect Core 1.0, section 2, `sub`)."""


class Claims:
    """Reads claims of one issuer's tokens (RFC 7519, section 4.1; RFC 7662, section 2.2; RFC 9068, section 2.2)."""

    def __init__(
        self, issuer: str, audience: tuple[str, ...], *, skew_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Read none yet.

        Args:
            issuer: Whose tokens.
            audience: What they have to be for, the address of this server first.
            skew_seconds: By which the issuer's clock and ours may differ.
            clock: Says the time, in seconds since 1970.
        """
        self._issuer = issuer
        where = urlsplit(issuer)
        self._name = where.netloc.lower() + where.path.rstrip("/")
        address, *others = audience
        address = address.rstrip("/")
        below = PATHS if not urlsplit(address).path else ()
        self._audience = {address, *(address + path for path in below), *(other.rstrip("/") for other in others)}
        self._skew = skew_seconds
        self._clock = clock

    def caller(self, claims: Mapping[str, Any], *, stated: bool = True) -> Caller:
        """Return who is meant.

        Args:
            claims: Of a token that the issuer has vouched for.
            stated: The token says by itself who issued it; otherwise its issuer was asked.

        Raises:
            Unauthenticated: It is not for us, not good now, or says too little.
        """
        issuer = claims.get("iss")
        if issuer != self._issuer and (stated or issuer is not None):
            raise refused("is another issuer's than this server takes tokens of")
        audience = claims.get("aud")
        names = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(name, str) and name.rstrip("/") in self._audience for name in names):
            raise refused("is not for this server")
        now = self._clock()
        expires = _seconds(claims, "exp")
        if expires is None or expires <= now - self._skew:
            raise refused("has expired" if expires is not None else "does not say when it expires")
        for name in ("nbf", "iat"):
            begins = _seconds(claims, name)
            if begins is not None and begins > now + self._skew:
                raise refused("is not good yet")
        if "cnf" in claims:
            # RFC 9449, section 7.2, and RFC 8705, section 3: without the proof it is good for nobody.
            raise refused("is bound to a key of its owner, which this server does not check")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT or not subject.isprintable():
            raise refused("does not say whom it is of")
        given = _scopes(claims)
        return Caller(f"oauth:{self._name}:{subject}", frozenset(scope for scope in SCOPES if scope in given))


def refused(why: str) -> Unauthenticated:
    """Return the error of a token; whoever raises it to a caller says where to get another."""
    return Unauthenticated(f"The token {why}", hint="get another from the authorization server, for this server")


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise refused(f"has a `{name}` that is no time")
    return float(value)


def _scopes(claims: Mapping[str, Any]) -> set[str]:
    """Return what the token allows: `scope` is words (RFC 8693, section 4.2), `scp` what others have in its place."""
    given = claims.get("scope", claims.get("scp", ""))
    if isinstance(given, str):
        return set(given.split())
    return {each for each in given if isinstance(each, str)} if isinstance(given, list) else set()
