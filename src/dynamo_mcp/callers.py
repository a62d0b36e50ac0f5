"""Who may call, and what may they do? What an authenticator finds out, and the edge and the log ask of."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias, get_args

import msgspec

Scope: TypeAlias = Literal["templates:read", "templates:write", "projects:create", "admin"]
"""What a caller may do; `admin` is all of it, and what belongs to others besides."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


class Caller(msgspec.Struct, frozen=True):
    """Somebody who calls.

    Attributes:
        name: Tells one from every other, such as `key:ci` or `user:anna`; what an authenticator gives begins with a
            word of its own and a colon.
        scopes: What they may do.
    """

    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Say whether they have this scope."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Caller("local", frozenset(SCOPES))
"""Whoever started the server, or reaches its loopback address where no authentication is asked for."""

current: ContextVar[Caller] = ContextVar("caller", default=LOCAL)
"""Who sent the message at hand. A transport sets it before it hands a message on; the SDK's streams carry it along."""


class Authenticator(Protocol):
    """A way to find out who calls; `dynamo_mcp.auth` has those of entry points.

    Attributes:
        challenge: What a caller who gave nothing is told to give (RFC 9110, section 11.6.1, WWW-Authenticate).
    """

    challenge: str

    async def authenticate(self, authorization: str) -> Caller | None:
        """Say who sends this `Authorization` header (in gRPC, this metadata), whatever the transport.

        Returns:
            The caller; None if the header is none of this kind, so that another authenticator may know it.

        Raises:
            Unauthenticated: It is of this kind, and not good.
        """
        ...
