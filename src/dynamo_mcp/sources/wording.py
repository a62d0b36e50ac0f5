"""What may a message say of an address or a name? Never a secret, and nothing that steers a terminal."""

from __future__ import annotations

import re

ARCHIVES = "zip; tar, also gz, bz2, xz, zst"
ALLOWED = (
    "give `https://host/owner/repository`, `ssh://git@host/owner/repository`, `git@host:owner/repository`, "
    "`gh:owner/repository` (also `gl:`, `bb:`, `cb:`, `sr:`), `file:///path/to/repository`, the path of a folder, the "
    f"path or https address of an archive ({ARCHIVES}), or `pypi:package`"
)
ONLINE = "leave out `--offline`, and unset `DYNAMO_MCP_OFFLINE`"
SIGN_IN = (
    "use `git@host:owner/repository` with a key in your ssh agent, set a token for its host in `DYNAMO_MCP_TOKENS`, "
    "or clone the repository yourself and give the folder's path"
)


def redacted(text: str) -> str:
    """Return a message without the user names and passwords of the addresses in it."""
    return re.sub(r"(?<=://)(?!git@)[^\s`'/]*@", "***@", text)


def safe_address(address: str) -> str:
    """Return what was typed as an address, whatever it is, without what may be a user name, a password or a token."""
    bare = re.sub(r"^([^:/]*://)?(?!git@[^@]*$).*@", r"\1***@", address, flags=re.DOTALL)
    return re.sub(r"(://[^?#]*)[?#].*$", r"\1", bare, flags=re.DOTALL)


def shown(name: str) -> str:
    """Return a name for a message: in backticks, and with what can't be printed escaped."""
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
    return f"`{text}`"
