"""Is it the right secret? A slow hash says so once, and so many at a time; afterwards it is remembered."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict

import anyio.to_thread

from dynamo_mcp.auth.hashing import Hash, matches
from dynamo_mcp.auth.waiting import Line

AT_A_TIME = 2
"""Hashes that are computed at the same time."""
REMEMBERED = 1000


class Verifier:
    """Verifies secrets for all who give them, without blocking anybody else.

    Of a secret that was right only a digest is remembered, by a key of this process, with what was kept of it then:
    where something else is kept by now, or nothing, it counts no more.
    """

    def __init__(self) -> None:
        """Remember nothing."""
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, Hash] = OrderedDict()
        self._line = Line(AT_A_TIME)

    async def verify(self, secret: str, kept: Hash) -> bool:
        """Say whether a secret is the one that this was kept of.

        Raises:
            Busy: Too many wait to be told.
        """
        mark = hashlib.blake2b(secret.encode(), key=self._key, digest_size=32).digest()
        if self._knows(mark, kept):
            return True
        async with self._line.turn():
            # Somebody else may have given the same one meanwhile.
            if self._knows(mark, kept):
                return True
            right = await anyio.to_thread.run_sync(matches, secret, kept)
        if right:
            self._right[mark] = kept
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return right

    def _knows(self, mark: bytes, kept: Hash) -> bool:
        if self._right.get(mark) != kept:
            return False
        self._right.move_to_end(mark)
        return True
