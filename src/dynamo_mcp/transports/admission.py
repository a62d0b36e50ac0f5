"""Who is let in? Whoever one of the authenticators knows; without any, everybody who reaches us."""

from __future__ import annotations

from collections.abc import Sequence

from dynamo_mcp.callers import LOCAL, Authenticator, Caller
from dynamo_mcp.errors import DynamoError, Unauthenticated
from dynamo_mcp.transports.attempts import Attempts


async def admit(
    authenticators: Sequence[Authenticator],
    authorization: str | None,
    attempts: Attempts | None = None,
    peer: str | None = None,
) -> Caller:
    """Say who calls.

    Args:
        authenticators: In the order in which they are asked.
        authorization: The header, or what a transport without headers has in its place.
        attempts: Who has failed too often: `Endpoint.attempts`.
        peer: The address that it comes from; None for whoever has none.

    Raises:
        Unauthenticated: Nobody that any of them knows.
        TooManyAttempts: There were too many such from there.
        DynamoError: It can't be found out at the moment.
    """
    if not authenticators:
        return LOCAL
    challenges = tuple(each.challenge for each in authenticators)
    if authorization is None:
        # Clients begin so, to be told what to give.
        raise Unauthenticated("No credentials were given", hint="send an `Authorization` header", challenges=challenges)
    if attempts is not None:
        attempts.check(peer, authorization)
    try:
        caller = await _known(authenticators, authorization, challenges)
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
    return caller


async def _known(authenticators: Sequence[Authenticator], authorization: str, challenges: tuple[str, ...]) -> Caller:
    for authenticator in authenticators:
        caller = await authenticator.authenticate(authorization)
        if caller is not None:
            return caller
    raise Unauthenticated(
        "The credentials are of a kind that this server does not take",
        hint=f"it takes {', '.join(sorted({challenge.split()[0] for challenge in challenges}))}",
        challenges=challenges,
    )
