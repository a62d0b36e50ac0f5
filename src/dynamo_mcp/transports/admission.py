"""Who is let in, and until when? Whoever one of the authenticators knows, and for as long as it does.

Without authenticators everybody who reaches us is let in.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from dynamo_mcp.callers import LOCAL, Authenticator, Caller
from dynamo_mcp.errors import DynamoError, Unauthenticated
from dynamo_mcp.text import plain
from dynamo_mcp.transports.attempts import Attempts

SECONDS_BETWEEN = 30.0
"""After which what opened a connection is looked at again, however little comes over it."""
_UNDECIDED_SECONDS = 60.0
"""For which what was good is taken for good where that can't be found out, such as while an issuer starts anew."""
_SHOWN = 100

_log = logging.getLogger(__name__)


class Admission:
    """Somebody who was let in, for as long as what they gave holds.

    A request stands alone; whatever stays open, a WebSocket or a stream, asks this again with each message, and is
    ended when it is `over`.

    Attributes:
        caller: Who it is.
        is_over: It was found to hold no more, and never will again.
    """

    def __init__(
        self,
        caller: Caller,
        authenticators: Sequence[Authenticator] = (),
        authorization: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold from now on; as of `admit`."""
        self.caller = caller
        self.is_over = False
        self._authenticators = authenticators
        self._authorization = authorization
        self._clock = clock
        self._confirmed = clock()
        self._over = anyio.Event()

    async def still_holds(self) -> bool:
        """Ask the authenticators again: what was given is good still, and allows no more and no less than it did."""
        if self.is_over or not self._authenticators:
            return not self.is_over
        try:
            known = await _known(self._authenticators, self._authorization)
            why = "" if known == self.caller else "it allows something else now"
            self._confirmed = self._clock()
        except Unauthenticated as error:
            why = error.message
        except DynamoError as error:
            why = error.message if self._clock() - self._confirmed >= _UNDECIDED_SECONDS else ""
        if why and not self.is_over:
            self.is_over = True
            self._over.set()
            _log.warning("what `%s` gave holds no more: %s", plain(self.caller.name, _SHOWN), why)
        return not self.is_over

    async def over(self) -> None:
        """Wait until it holds no more."""
        while not self.is_over:
            with anyio.move_on_after(SECONDS_BETWEEN):
                await self._over.wait()
            await self.still_holds()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Cancel what is done within when it holds no more."""
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await self.over()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            yield
            tasks.cancel_scope.cancel()


async def admit(
    authenticators: Sequence[Authenticator],
    given: Sequence[str],
    attempts: Attempts | None = None,
    peer: str | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Admission:
    """Let somebody in.

    Args:
        authenticators: In the order in which they are asked.
        given: Each `Authorization` header, or what a transport without headers has in its place.
        attempts: Who has failed too often: `Endpoint.attempts`.
        peer: The address that it comes from; None for whoever has none.
        clock: Says the time in seconds.

    Raises:
        Unauthenticated: Nobody that any of them knows.
        TooManyAttempts: There were too many such from there.
        DynamoError: It can't be found out at the moment.
    """
    if not authenticators:
        return Admission(LOCAL)
    if len(given) != 1:
        # Clients begin with none, to be told what to give. Of several a proxy may have looked at another than we would.
        raise Unauthenticated(
            "There is more than one `Authorization`" if given else "No credentials were given",
            hint="send one `Authorization` header",
            challenges=_challenges(authenticators),
        )
    (authorization,) = given
    if attempts is not None:
        attempts.check(peer, authorization)
    try:
        caller = await _known(authenticators, authorization)
    except Unauthenticated as error:
        if attempts is not None:
            attempts.failed(peer, error.message)
        raise
    except DynamoError as error:
        if attempts is not None:
            attempts.undecided(error.message)
        raise
    if attempts is not None:
        attempts.succeeded(peer, authorization)
    return Admission(caller, authenticators, authorization, clock)


async def _known(authenticators: Sequence[Authenticator], authorization: str) -> Caller:
    for authenticator in authenticators:
        caller = await authenticator.authenticate(authorization)
        if caller is not None:
            return caller
    challenges = _challenges(authenticators)
    raise Unauthenticated(
        "The credentials are of a kind that this server does not take",
        hint=f"it takes {', '.join(sorted({challenge.split()[0] for challenge in challenges}))}",
        challenges=challenges,
    )


def _challenges(authenticators: Sequence[Authenticator]) -> tuple[str, ...]:
    return tuple(each.challenge for each in authenticators)
