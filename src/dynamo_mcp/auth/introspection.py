"""What does the issuer say of a token? It is asked, and the answer is believed for a moment (RFC 7662)."""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote_plus

from dynamo_mcp.auth.claims import refused
from dynamo_mcp.auth.reaching import Asking
from dynamo_mcp.auth.tokens import MOST_CHARACTERS
from dynamo_mcp.auth.waiting import Line, busy
from dynamo_mcp.rates import Rate

BELIEVED_SECONDS = 30.0
"""A token that was revoked is good for so long still."""
AT_A_TIME = 8
NEW, SECONDS_BETWEEN = 200, 0.05
"""How often the issuer is asked, at once, of tokens that it has not called good, and then once in so many seconds."""
GOOD = 10_000
"""Tokens that were good, and are remembered; the one that was given least recently is forgotten first."""
BAD = 1000
"""Likewise of those that were not: more than are asked of while what was said of one is believed."""

_Said: TypeAlias = OrderedDict[bytes, tuple[float, Mapping[str, Any]]]
"""Of a token's digest what was said, and until when it is believed."""


class Introspection:
    """Asks the issuer of each token.

    Whoever sends tokens that are none is in the way of nobody whose token was good: the issuer is asked of that one
    whenever it has to be, in a line of its own, and it is forgotten for no other that was not.
    """

    def __init__(
        self, asking: Asking, address: str, user: tuple[str, str] | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask nothing yet.

        Args:
            asking: Asks the issuer.
            address: Where.
            user: As whom, and by which secret.
            clock: Says the time in seconds.
        """
        self._asking = asking
        self._address = address
        # RFC 6749, section 2.3.1: each is encoded as in a form before it is put into the header.
        self._user = (quote_plus(user[0]), quote_plus(user[1])) if user else None
        self._clock = clock
        self._rate = Rate(NEW, SECONDS_BETWEEN, clock)
        self._new, self._known = Line(AT_A_TIME), Line(AT_A_TIME)
        self._good: _Said = OrderedDict()
        self._bad: _Said = OrderedDict()

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return what the issuer says of a token; `Claims` looks at that.

        Raises:
            Unauthenticated: It says that it is not good.
            Busy: It has to be asked of too many, or of too many new ones.
            Failed: It can't be asked.
        """
        if len(token) > MOST_CHARACTERS:
            raise refused("is longer than any is")
        mark = hashlib.sha256(token.encode()).digest()
        said = self._believed(mark)
        if said is None:
            known = mark in self._good
            async with (self._known if known else self._new).turn():
                # Somebody else may have given the same one meanwhile.
                said = self._believed(mark)
                if said is None:
                    if not known and not self._rate.take():
                        raise busy()
                    said = await self._ask(token, mark)
        if not said:
            raise refused("is not good, says its issuer")
        return said

    def _believed(self, mark: bytes) -> Mapping[str, Any] | None:
        """Return what was said of a token, nothing if that it is not good; None if that was too long ago."""
        for kept in (self._good, self._bad):
            until, said = kept.get(mark, (-math.inf, {}))
            if until > self._clock():
                kept.move_to_end(mark)
                return said
        return None

    async def _ask(self, token: str, mark: bytes) -> Mapping[str, Any]:
        form = {"token": token, "token_type_hint": "access_token"}
        said = await self._asking.post(self._address, form, self._user)
        kept, most, other = self._good, GOOD, self._bad
        if said.get("active") is not True:
            said, kept, most, other = {}, self._bad, BAD, self._good
        other.pop(mark, None)
        kept[mark] = (self._clock() + BELIEVED_SECONDS, said)
        kept.move_to_end(mark)
        if len(kept) > most:
            kept.popitem(last=False)
        return said
