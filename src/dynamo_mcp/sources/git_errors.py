"""What did git mean? Its last words become an error that names the location and says what to do."""

from __future__ import annotations

import re

from dynamo_mcp.errors import DynamoError, FetchFailed, StorageFailed
from dynamo_mcp.sources.wording import SIGN_IN, redacted
from dynamo_mcp.types import Location


class Unreached(FetchFailed):
    """The host could not be reached, or broke off."""


_LINES = 3
_LINE = 300
_SAYS_NOTHING = (
    "hint:",
    "warning:",
    "fatal: Could not read from remote",
    "Please make sure you have",
    "and the repository",
)

# The first that fits says what it was: a pattern, what is wrong with the location, and what to do.
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    (
        r"could not read (?:Username|Password)|Authentication failed|returned error: 40[13]|Permission denied \(",
        "needs a sign-in that was not given, or does not exist",
        "check the spelling; if it is private, " + SIGN_IN,
    ),
    (
        r"Host key verification failed|host key is known",
        "is on a host whose ssh key is not known here",
        "connect to it once with `ssh` and check its key, so that it is in your `known_hosts`",
    ),
    (
        r"certificate|SSL|TLS|gnutls",
        "is on a host whose certificate can't be verified",
        "if the host uses your own authority, name its certificate with `SSL_CERT_FILE`",
    ),
    (
        r"Could not resolve (?:host|proxy)|Could not resolve hostname|Name or service not known",
        "is on a host that can't be found",
        "check the host's spelling, the network, and the proxy settings",
    ),
    (
        r"Failed to connect|Couldn't connect|Connection (?:refused|timed out|reset)|is unreachable|No route to host",
        "is on a host that can't be reached",
        "check the host and its port, the network, and the proxy settings",
    ),
    (
        r"returned error: 30\d|unable to update url base from redirection",
        "was redirected while it was fetched",
        "open it in a browser and give the address that it leads to",
    ),
    (
        r"dubious ownership|unsafe repository",
        "belongs to another user of this machine, whose repositories git does not trust",
        "clone it yourself and give the clone, or give it as a folder",
    ),
    (
        r"too slow|timed out|error: (?:408|425|429|5\d\d)|HTTP/2 stream|RPC failed|early EOF|disconnect|hung up unexp",
        "broke off while it was fetched",
        "try again; the host may be overloaded",
    ),
    (
        r"not found|does not appear to be a git repository|is this a git repository|returned error: 404|not a git repo",
        "is not a git repository, or does not exist",
        "check the address's spelling; if it is private, " + SIGN_IN,
    ),
    (
        r"fsck|badTree|hasDot|invalid path|fullPathname|object corrupt",
        "holds something that git refuses as unsafe",
        "ask the template's author to repair the repository",
    ),
)


_FULL = re.compile(r"^(?!remote:).*(?:No space left on device|Disk quota exceeded)", re.MULTILINE)
_PASSES = re.compile(
    r"returned error: (?:408|425|429|500|502|503|504)|early EOF|RPC failed|unexpected disconnect|HTTP/2 stream"
    r"|hung up unexpectedly|Connection (?:refused|reset|timed out|closed)|Failed to connect|Couldn't connect"
    r"|Operation too slow|Temporary failure in name resolution|kex_exchange_identification|bad pack header"
    r"|pack has \d+ unresolved|Empty reply|transfer closed|SSL_ERROR_SYSCALL"
    r"|TLS connection was non-properly terminated",
    re.IGNORECASE,
)
"""What another try may mend."""
_STAYS = re.compile(
    r"could not read (?:Username|Password)|Authentication failed|Permission denied|Host key verification|certificate"
    r"|fsck|object corrupt|No space left on device|Disk quota exceeded|does not support shallow|not our ref",
    re.IGNORECASE,
)
"""What no other try does, whatever git says besides."""


def passes(said: str) -> bool:
    """Tell whether another try may help."""
    return _PASSES.search(said) is not None and _STAYS.search(said) is None


def is_full(said: str) -> bool:
    """Tell whether git found a disk of this machine full."""
    return _FULL.search(said) is not None


def full(address: str) -> StorageFailed:
    """Return the error for a fetch that found the disk full."""
    return StorageFailed(
        f"`{address}` could not be fetched: No space left on device",
        hint="free some space on the disk of the home, or choose another with `DYNAMO_MCP_HOME`",
    )


def explain(location: Location, said: str, *, signed: str | None = None) -> DynamoError:
    """Return the error for a fetch that failed.

    Args:
        location: What was fetched.
        said: What git said, all of it.
        signed: What the token is for that was sent.
    """
    if is_full(said):
        return full(location.address)
    words = last_words(said)
    if signed is not None and re.search(_MEANINGS[0][0], said, re.IGNORECASE):
        return FetchFailed(
            f"`{location.address}` does not let the token for `{signed}` in; git said: {words}",
            hint="check the address's spelling, and that the token in `DYNAMO_MCP_TOKENS` is valid and may read it",
        )
    for pattern, wrong, hint in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            kind = Unreached if passes(said) or "host that can't be" in wrong else FetchFailed
            return kind(f"`{location.address}` {wrong}; git said: {words}", hint=hint)
    return FetchFailed(
        f"`{location.address}` could not be fetched; git said: {words}", hint="see what git says, then try again"
    )


def last_words(said: str) -> str:
    """Return git's last lines as one, without secrets and without what could steer a terminal."""
    lines = (re.split(r"[\r\n]+", said) if said else [])[-50:]
    clean = ["".join(char for char in redacted(line) if char.isprintable())[:_LINE].strip() for line in lines]
    telling = [line for line in clean if line and not line.startswith(_SAYS_NOTHING)]
    return "; ".join((telling or [line for line in clean if line])[-_LINES:]) or "nothing"
