"""Who has failed too often to say who they are? Each peer may so many times at once, and then once in a while."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable

from dynamo_mcp.errors import TooManyAttempts
from dynamo_mcp.rates import Rate
from dynamo_mcp.transports.addresses import owned

FAILURES, SECONDS_BETWEEN = 20, 6.0
"""That a peer may have at once, and then one in so many seconds."""
SECONDS_BETWEEN_COMPLAINTS = 10.0
PEERS = 10_000
"""That are remembered; the one that failed least recently is forgotten first."""
ADMITTED = 10_000

_log = logging.getLogger(__name__)


class Attempts:
    """Counts failures by peer.

    A peer may be a proxy, or a network, of many callers: who was let in from there goes on to be heard while others,
    who guess, are not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nobody.

        Args:
            clock: Says the time in seconds.
        """
        self._clock = clock
        self._rates: OrderedDict[str, Rate] = OrderedDict()
        self._key = os.urandom(32)
        self._admitted: OrderedDict[bytes, None] = OrderedDict()
        self._complaints = Rate(1, SECONDS_BETWEEN_COMPLAINTS, clock)

    def check(self, peer: str | None, authorization: str) -> None:
        """Let an attempt be made.

        Args:
            peer: The address that it comes from; None for whoever has none.
            authorization: What is given.

        Raises:
            TooManyAttempts: It may not, for now.
        """
        rate = self._rates.get(_whole(peer))
        if rate is None or (wait := rate.wait) <= 0 or self._mark(peer, authorization) in self._admitted:
            return
        raise TooManyAttempts(
            "Too many attempts to sign in have failed", hint=f"try again in {wait:.0f} seconds", seconds=wait
        )

    def failed(self, peer: str | None, why: str) -> None:
        """Count one that failed, and log it.

        Args:
            peer: As above.
            why: In words, with no secret in them.
        """
        name = _whole(peer)
        rate = self._rates.setdefault(name, Rate(FAILURES, SECONDS_BETWEEN, self._clock))
        self._rates.move_to_end(name)
        if len(self._rates) > PEERS:
            self._rates.popitem(last=False)
        rate.take()
        until = "" if rate.wait <= 0 else "; others of this address are not heard for a while"
        _log.warning("refused a caller at %s: %s%s", name, why, until)

    def undecided(self, why: str) -> None:
        """Log, once in a while, that nobody can be told from anybody else, which is no failure of theirs.

        Args:
            why: As above.
        """
        if self._complaints.take():
            _log.warning("nobody can be let in: %s", why)

    def succeeded(self, peer: str | None, authorization: str) -> None:
        """Remember who was let in; only a digest of what they gave."""
        mark = self._mark(peer, authorization)
        self._admitted[mark] = None
        self._admitted.move_to_end(mark)
        if len(self._admitted) > ADMITTED:
            self._admitted.popitem(last=False)

    def _mark(self, peer: str | None, authorization: str) -> bytes:
        given = f"{_whole(peer)} {authorization}".encode(errors="surrogateescape")
        return hashlib.blake2b(given, key=self._key, digest_size=16).digest()


def _whole(peer: str | None) -> str:
    return owned(peer) if peer else "a local socket"
