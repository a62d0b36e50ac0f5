"""How is a secret kept so that whoever reads what is kept does not have it? As a slow hash (RFC 7914, scrypt)."""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata

import msgspec

_BLOCK = 128
"""Bytes of scrypt's block, for each `r` (RFC 7914, section 2)."""
_MOST_MEMORY = 256 << 20
_SLACK = 1 << 20


class Cost(msgspec.Struct, frozen=True):
    """What one attempt costs: `_BLOCK * n * r` bytes of memory, `p` times over."""

    n: int
    r: int
    p: int

    def __post_init__(self) -> None:
        """Refuse what no secret's hash costs: what is kept may have been tampered with.

        Raises:
            ValueError: It is too much, or nothing at all.
        """
        if self.n < 2 or self.n & (self.n - 1) or min(self.r, self.p) < 1 or self.memory > _MOST_MEMORY:  # noqa: PLR2004 - RFC 7914, section 2
            msg = f"a hash that costs n={self.n}, r={self.r}, p={self.p}"
            raise ValueError(msg)

    @property
    def memory(self) -> int:
        """Bytes of memory that one attempt takes."""
        return _BLOCK * self.r * (self.n + self.p) + _SLACK


OF_A_KEY = Cost(1 << 14, 8, 1)
"""16 MiB: a key has 256 random bits, which nobody guesses."""
OF_A_PASSWORD = Cost(1 << 15, 8, 3)
"""32 MiB, three times: what OWASP's Password Storage Cheat Sheet asks for (scrypt)."""


class Hash(msgspec.Struct, frozen=True):
    """What is kept of a secret."""

    salt: bytes
    digest: bytes
    cost: Cost


def hashed(secret: str, cost: Cost) -> Hash:
    """Return what to keep of a secret; it takes the better part of a second at most."""
    salt = os.urandom(16)
    return Hash(salt, _scrypt(secret, salt, cost), cost)


def matches(secret: str, kept: Hash) -> bool:
    """Say whether it is this secret, in a time that tells nothing of it."""
    return hmac.compare_digest(_scrypt(secret, kept.salt, kept.cost), kept.digest)


def _scrypt(secret: str, salt: bytes, cost: Cost) -> bytes:
    # One person's keyboard composes `é`, another's does not (RFC 8265, section 4.2.2).
    text = unicodedata.normalize("NFC", secret).encode()
    return hashlib.scrypt(text, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=cost.memory, dklen=32)
