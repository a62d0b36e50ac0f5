"""What of a package index's address may be shown? Its host; of its path only words that every such index has.

Some indexes are opened by a token in the path, as `https://host/TOKEN/simple`, and nothing tells it from a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

HIDDEN = "***"
_PLAIN = frozenset(
    {"simple", "+simple", "pypi", "packages", "files", "repository", "artifactory", "api", "v4", "projects", "groups"}
)
"""Parts of the paths of indexes and of the products that serve them."""
_NAMED = re.compile(r"[A-Za-z0-9._-]+=(?=.+)", re.DOTALL)
"""Before an index's address: its name, as uv has it."""
_ADDRESS = re.compile(r"https?://[^\s`'\"<>]+")
_MORE = "[A-Za-z0-9._~%+-]"


def address_of(text: str) -> str:
    """Return the address of an index that may have a name, as `name=address`."""
    return _NAMED.sub("", text, count=1) if _NAMED.match(text) else text


def secrets_of(address: str) -> tuple[str, ...]:
    """Return the parts of an index's path that are nobody's business.

    Args:
        address: As it is configured; a folder's has none.
    """
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return ()
    if parts.scheme not in {"http", "https"}:
        return ()
    return tuple(dict.fromkeys(part for part in parts.path.split("/") if part and part not in _PLAIN))


def secrets_of_all(passed: dict[str, str]) -> tuple[str, ...]:
    """Return those of all indexes that uv gets.

    Args:
        passed: What it gets of an operator's environment.
    """
    indexes = " ".join(text for name, text in passed.items() if name.startswith("UV_") and "INDEX" in name).split()
    return tuple(dict.fromkeys(part for index in indexes for part in secrets_of(address_of(index))))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text, or an address, without these parts of the paths of the addresses in it."""
    known = "|".join(map(re.escape, secrets))
    if not known:
        return text
    part = re.compile(rf"(?<=[^/:]/)(?:{known})(?!{_MORE})")
    return _ADDRESS.sub(lambda found: part.sub(HIDDEN, found[0]), text)


def sealed(address: str, secrets: tuple[str, ...]) -> str:
    """Return an address with numbers for its secret parts, which `opened` puts back."""
    return "/".join(f"{HIDDEN}{secrets.index(part)}" if part in secrets else part for part in address.split("/"))


def opened(address: str, secrets: tuple[str, ...]) -> str:
    """Return an address that was `sealed` with the same secrets."""
    known = {f"{HIDDEN}{number}": part for number, part in enumerate(secrets)}
    return "/".join(known.get(part, part) for part in address.split("/"))
