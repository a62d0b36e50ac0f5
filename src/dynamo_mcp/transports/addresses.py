"""Whose is an address, and how many connections has it?

Of IPv6 a network is one caller's: each has as many addresses as they like.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_NETWORK = 64
"""Bits of an IPv6 address that one customer has at least (RFC 6177)."""


def owned(address: str) -> str:
    """Return what counts as one: an address, the network of one of IPv6, and whatever else as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _NETWORK), strict=False))
    return str(parsed)


class Counted:
    """Counts the connections of each address; is mixed into uvicorn's protocols, whose attributes it uses.

    Attributes:
        addresses: How many each has, of all connections of one server.
        address_counted: Whose this one counts as; None where it does not.
    """

    addresses: Counter[str]
    client: tuple[str, int] | None
    transport: asyncio.Transport
    address_counted: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)  # type: ignore[misc]
        if self.client is not None:  # a unix socket's has none
            self.address_counted = owned(self.client[0])
            self.addresses[self.address_counted] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no longer."""
        self.count_no_longer()
        super().connection_lost(exc)  # type: ignore[misc]

    def count_no_longer(self) -> None:
        """Leave its place to another."""
        if self.address_counted is not None:
            self.addresses[self.address_counted] -= 1
            if not self.addresses[self.address_counted]:
                del self.addresses[self.address_counted]
            self.address_counted = None
