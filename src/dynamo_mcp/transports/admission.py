"""Who is let in? Whoever one of the authenticators knows; without any, everybody who reaches us."""

from __future__ import annotations

from collections.abc import Sequence

from dynamo_mcp.callers import LOCAL, Authenticator, Caller
from dynamo_mcp.errors import Unauthenticated


async def admit(authenticators: Sequence[Authenticator], authorization: str | None) -> Caller:
    """Say who calls.

    Args:
        authenticators: In the order in which they are asked.
        authorization: The header, or what a transport without headers has in its place.

    Raises:
        Unauthenticated: Nobody that any of them knows.
    """
    if not authenticators:
        return LOCAL
    challenges = tuple(each.challenge for each in authenticators)
    if authorization is None:
        raise Unauthenticated("No credentials were given", hint="send an `Authorization` header", challenges=challenges)
    for authenticator in authenticators:
        caller = await authenticator.authenticate(authorization)
        if caller is not None:
            return caller
    raise Unauthenticated(
        "The credentials are of a kind that this server does not take",
        hint=f"it takes {', '.join(sorted({challenge.split()[0] for challenge in challenges}))}",
        challenges=challenges,
    )
