"""Which person calls? One who gives a name and a password (RFC 7617)."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

from dynamo_mcp.auth.books import Book, Entry
from dynamo_mcp.auth.hashing import OF_A_PASSWORD, Hash, hashed
from dynamo_mcp.auth.verifying import Verifier
from dynamo_mcp.auth.ways import Way
from dynamo_mcp.callers import Caller, Scope
from dynamo_mcp.errors import Unauthenticated, UsageError

if TYPE_CHECKING:
    from dynamo_mcp.settings import Settings

LEAST_CHARACTERS = 15
"""Of a password beside which nothing else is asked for (NIST SP 800-63B-4, section 3.1.1.2)."""
MOST_CHARACTERS = 256
_HINT = "check the name and the password; whoever runs the server makes them with `dynamo-mcp users add`"


def make(settings: Settings) -> Way:
    """Return the way (`Maker`)."""
    return Way(Basic(book(settings)), encrypted=True)


def book(settings: Settings) -> Book:
    """Return where users are kept."""
    return Book(
        settings.home / "keys" / "users.json",
        "user",
        removal="dynamo-mcp users remove",
        lock_seconds=settings.lock_seconds,
    )


def new(name: str, scopes: tuple[Scope, ...], password: str) -> Entry:
    """Return what is kept of a user.

    Raises:
        UsageError: The password can't be one.
    """
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS or not password.isprintable():
        wrong = f"has {len(password)} characters" if password.isprintable() else "holds what nobody can see or type"
        raise UsageError(
            f"The password {wrong}",
            hint=f"it is a line of {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters; a few words will do",
        )
    return Entry(name, name, scopes, hashed(password, OF_A_PASSWORD), time.time())


class Basic:
    """Knows users (`Authenticator`)."""

    challenge = 'Basic realm="dynamo-mcp", charset="UTF-8"'

    def __init__(self, book: Book) -> None:
        """Know those of a book."""
        self._book = book
        self._verifier = Verifier()
        # Who is not there costs as much as who is, so that time does not tell.
        self._nobody = Hash(b"\0" * 16, b"\0" * 32, OF_A_PASSWORD)

    async def authenticate(self, authorization: str) -> Caller | None:
        """Say which user it is (`Authenticator`)."""
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        name, password = _decoded(given.strip(" "))
        entry = self._book.find(name)
        right = await self._verifier.verify(password, self._nobody if entry is None else entry.hash)
        if entry is None or not right:
            raise _wrong()
        return Caller(f"user:{entry.name}", frozenset(entry.scopes))


def _decoded(given: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(given, validate=True).decode()
    except ValueError:
        raise _wrong() from None
    name, colon, password = text.partition(":")
    if not colon or len(password) > MOST_CHARACTERS:
        raise _wrong()
    return name, password


def _wrong() -> Unauthenticated:
    return Unauthenticated("The name or the password is wrong", hint=_HINT, challenges=(Basic.challenge,))
