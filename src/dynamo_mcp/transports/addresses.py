"""Whose is an address? Of IPv6 a network is one caller's: each has as many addresses as they like."""

from __future__ import annotations

import ipaddress

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
