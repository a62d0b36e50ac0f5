"""Which program calls? One that has a key: `Authorization: Bearer dmcp_<identity>_<secret>`."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING

from dynamo_mcp.auth.books import Book, Entry
from dynamo_mcp.auth.hashing import OF_A_KEY, hashed
from dynamo_mcp.auth.verifying import Verifier
from dynamo_mcp.auth.ways import Way
from dynamo_mcp.callers import Caller, Scope
from dynamo_mcp.errors import Unauthenticated

if TYPE_CHECKING:
    from dynamo_mcp.settings import Settings

PREFIX = "dmcp_"
"""Begins every key, so that it is known for one wherever it turns up, and no token of others is taken for one."""
_KEY = re.compile(rf"{PREFIX}([0-9a-f]{{16}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_REFUSED = 'Bearer realm="dynamo-mcp", error="invalid_token"'
_HINT = "ask whoever runs the server for a key: `dynamo-mcp keys add` makes one"


def make(settings: Settings) -> Way:
    """Return the way (`Maker`)."""
    return Way(Keys(book(settings)))


def book(settings: Settings) -> Book:
    """Return where keys are kept."""
    return Book(
        settings.home / "keys" / "api.json", "key", removal="dynamo-mcp keys revoke", lock_seconds=settings.lock_seconds
    )


def new(name: str, scopes: tuple[Scope, ...], seconds: float | None) -> tuple[Entry, str]:
    """Make a key.

    Args:
        name: What people call it by.
        scopes: What it allows.
        seconds: For which it is good; None for ever.

    Returns:
        What is kept of it, and the key itself, which is kept nowhere.
    """
    identity, secret, now = secrets.token_hex(8), secrets.token_urlsafe(32), time.time()
    entry = Entry(name, identity, scopes, hashed(secret, OF_A_KEY), now, None if seconds is None else now + seconds)
    return entry, f"{PREFIX}{identity}_{secret}"


class Keys:
    """Knows keys (`Authenticator`)."""

    challenge = 'Bearer realm="dynamo-mcp"'

    def __init__(self, book: Book) -> None:
        """Know those of a book."""
        self._book = book
        self._verifier = Verifier()

    async def authenticate(self, authorization: str) -> Caller | None:
        """Say whose key it is (`Authenticator`)."""
        scheme, _, key = authorization.partition(" ")
        key = key.strip(" ")
        if scheme.lower() != "bearer" or not key.startswith(PREFIX):
            return None
        parts = _KEY.fullmatch(key)
        entry = self._book.find(parts[1]) if parts else None
        if parts is None or entry is None or not await self._verifier.verify(parts[2], entry.hash):
            raise Unauthenticated(
                "The key is none of this server's; it may have been revoked", hint=_HINT, challenges=(_REFUSED,)
            )
        if entry.expired():
            raise Unauthenticated(f"The key `{entry.name}` has expired", hint=_HINT, challenges=(_REFUSED,))
        return Caller(f"key:{entry.name}", frozenset(entry.scopes))
