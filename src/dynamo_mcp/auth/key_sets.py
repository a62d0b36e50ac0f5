"""By which key is a token to be verified? One of the issuer's, which are fetched again when they change (RFC 7517)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import jwt

from dynamo_mcp.auth.reaching import Asking
from dynamo_mcp.auth_settings import is_safe
from dynamo_mcp.errors import Failed
from dynamo_mcp.rates import Rate

ALGORITHMS: dict[str, tuple[str, str | None]] = {
    **{f"RS{bits}": ("RSA", None) for bits in (256, 384, 512)},
    **{f"PS{bits}": ("RSA", None) for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Of each algorithm that is taken, the type and the curve of its keys (RFC 7518, 3.1; RFC 8037). All are asymmetric:
with a symmetric one whoever can verify can issue, and what an issuer publishes would be the secret (RFC 8725, 2.1)."""
FRESH_SECONDS = 600.0
"""After which keys are fetched again, while those there are go on to be used."""
GOOD_SECONDS = 3600.0
"""After which keys that could not be fetched again are used no more."""
FETCHES, SECONDS_BETWEEN = 5, 10.0
"""How often keys are fetched at once, and then once in so many seconds, whatever tokens name."""
_MOST_KEYS = 100
_LEAST_BITS = 2048
"""Of RSA (RFC 7518, section 3.3)."""

_log = logging.getLogger(__name__)


class KeySet:
    """The keys of one issuer."""

    def __init__(
        self, asking: Asking, issuer: str, address: str | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Fetch nothing yet.

        Args:
            asking: Asks the issuer.
            issuer: Whose keys.
            address: Where they are; None asks the issuer's metadata.
            clock: Says the time in seconds.
        """
        self._asking = asking
        self._issuer = issuer
        self._address = address
        self._clock = clock
        self._rate = Rate(FETCHES, SECONDS_BETWEEN, clock)
        self._turn = anyio.Lock()
        self._fetches = 0
        self._fetched: float | None = None
        self._keys: list[Mapping[str, Any]] = []

    async def key(self, identity: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that a token names; None if the issuer has none of this name for this algorithm.

        Args:
            identity: The token's `kid`; without one the issuer must have one fitting key only.
            algorithm: The token's `alg`, one of `ALGORITHMS`.

        Raises:
            Failed: The keys can't be had.
        """
        age = self._age
        if age > GOOD_SECONDS:
            await self._renew()
        elif age > FRESH_SECONDS and not self._turn.locked():
            await self._renew(needed=False)
        found = self._find(identity, algorithm)
        if found is None and age <= GOOD_SECONDS:
            await self._renew(needed=False)
            found = self._find(identity, algorithm)
        return found

    @property
    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock() - self._fetched

    async def _renew(self, *, needed: bool = True) -> None:
        """Fetch the keys, unless somebody else has while we waited, or it was done too often.

        Raises:
            Failed: They are needed, and can't be had.
        """
        before = self._fetches
        async with self._turn:
            if self._fetches != before:
                return
            if not self._rate.take():
                if needed:
                    raise Failed("The keys of the authorization server can't be had", hint="try again in a minute")
                return
            try:
                keys = await self._fetch()
            except Failed as error:
                _log.warning("the keys of `%s` could not be fetched: %s", self._issuer, error.message)
                if needed:
                    raise
                return
            self._fetches += 1
            self._fetched, self._keys = self._clock(), keys

    async def _fetch(self) -> list[Mapping[str, Any]]:
        address = self._address or await self._find_address()
        keys = (await self._asking.get(address)).get("keys")
        if not isinstance(keys, list):
            raise Failed(f"`{address}` has no `keys`", hint="check `DYNAMO_MCP_OAUTH_JWKS`")
        return [key for key in keys[:_MOST_KEYS] if isinstance(key, dict) and _verifies(key)]

    async def _find_address(self) -> str:
        """Ask the issuer's metadata (RFC 8414, section 3; OpenID Connect Discovery 1.0, section 4)."""
        parts = urlsplit(self._issuer)
        origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        said = ""
        for address in (
            f"{origin}/.well-known/oauth-authorization-server{path}",
            f"{origin}{path}/.well-known/openid-configuration",
        ):
            try:
                metadata = await self._asking.get(address)
            except Failed as error:
                said = said or error.message
                continue
            found = metadata.get("jwks_uri")
            if metadata.get("issuer") == self._issuer and isinstance(found, str) and is_safe(found):
                return found
            said = f"`{address}` is another issuer's, or has no `jwks_uri` by https"
        raise Failed(
            said, hint="set `DYNAMO_MCP_OAUTH_JWKS` to the address of its keys, or mend `DYNAMO_MCP_OAUTH_ISSUER`"
        )

    def _find(self, identity: str | None, algorithm: str) -> jwt.PyJWK | None:
        kind, curve = ALGORITHMS[algorithm]
        fitting = [
            key
            for key in self._keys
            if key.get("kty") == kind
            and (curve is None or key.get("crv") == curve)
            and key.get("alg", algorithm) == algorithm
            and (identity is None or key.get("kid") == identity)
        ]
        if len(fitting) != 1:
            return None
        try:
            found = jwt.PyJWK.from_dict(dict(fitting[0]), algorithm)
        except jwt.PyJWTError as error:
            _log.warning("a key of `%s` can't be used: %s", self._issuer, type(error).__name__)
            return None
        return None if kind == "RSA" and found.key.key_size < _LEAST_BITS else found


def _verifies(key: Mapping[str, Any]) -> bool:
    """Say whether it is a public key for signatures (RFC 7517, sections 4.2 and 4.3)."""
    operations = key.get("key_ops", ["verify"])
    verifies = isinstance(operations, list) and "verify" in operations
    return "d" not in key and key.get("use", "sig") == "sig" and verifies
