"""What does a token say, if the issuer has signed it? It is a JWT, verified by a key of theirs (RFC 9068, RFC 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from dynamo_mcp.auth.claims import refused
from dynamo_mcp.auth.key_sets import ALGORITHMS, KeySet

MOST_CHARACTERS = 16_384
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
"""Of a token that may be one of access; a header without it says nothing (RFC 9068, section 4)."""
_CLAIMS = ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
_SIGNATURE_ALONE = {"verify_signature": True, **{f"verify_{name}": False for name in _CLAIMS}}


class Tokens:
    """Verifies the signatures of one issuer's tokens."""

    def __init__(self, keys: KeySet) -> None:
        """Verify by these keys: what a token brings along, or leads to, is never one."""
        self._keys = keys

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return what a token says; `Claims` looks at that.

        Raises:
            Unauthenticated: It is not signed by a key of the issuer.
            Failed: The issuer's keys can't be had.
        """
        if len(token) > MOST_CHARACTERS:
            raise refused("is longer than any is")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise refused("is no JWT") from None
        algorithm, identity, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise refused("is not signed in a way that this server takes")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise refused("is of a kind that gives no access")
        if not isinstance(identity, str | None):
            raise refused("names no key")
        key = await self._keys.key(identity, algorithm)
        if key is None:
            raise refused("names a key that its issuer does not have")
        try:
            return jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ALONE)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise refused("is not signed by its issuer") from None
