"""What does the issuer say of a token? It is asked, and the answer is believed for a moment (RFC 7662)."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

import anyio

from dynamo_mcp.auth.claims import refused
from dynamo_mcp.auth.reaching import Asking
from dynamo_mcp.auth.tokens import MOST_CHARACTERS
from dynamo_mcp.errors import Busy

BELIEVED_SECONDS = 30.0
"""A token that was revoked is good for so long still."""
AT_A_TIME = 8
WAITING = 64
REMEMBERED = 1000


class Introspection:
    """Asks the issuer of each token."""

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
        self._turns = anyio.Semaphore(AT_A_TIME)
        self._waiting = 0
        self._said: OrderedDict[bytes, tuple[float, Mapping[str, Any]]] = OrderedDict()

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return what the issuer says of a token; `Claims` looks at that.

        Raises:
            Unauthenticated: It says that it is not good.
            Busy: It has to be asked of too many.
            Failed: It can't be asked.
        """
        if len(token) > MOST_CHARACTERS:
            raise refused("is longer than any is")
        mark = hashlib.sha256(token.encode()).digest()
        until, said = self._said.get(mark, (0.0, {}))
        if until <= self._clock():
            said = await self._ask(token)
            self._said[mark] = (self._clock() + BELIEVED_SECONDS, said)
            self._said.move_to_end(mark)
            if len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
        if said.get("active") is not True:
            raise refused("is not good, says its issuer")
        return said

    async def _ask(self, token: str) -> Mapping[str, Any]:
        if self._waiting >= WAITING:
            raise Busy("Too many callers have to be verified at the moment", hint="try again in a few seconds")
        self._waiting += 1
        try:
            async with self._turns:
                form = {"token": token, "token_type_hint": "access_token"}
                return await self._asking.post(self._address, form, self._user)
        finally:
            self._waiting -= 1
