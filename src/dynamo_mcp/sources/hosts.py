"""Which machine does an address mean, and may it be asked?

A name says nothing: it may lead to this machine, to its neighbours, or to the service that hands out a cloud's
credentials, and to another machine at the next look. So a host is resolved once, every address is checked, and the
connection goes to what was checked. A person may name any host; what it redirects to is somebody else's word.

Where the operator's proxy connects, the proxy resolves, so only hosts written as addresses are checked here. Whether it
does is decided here too, not by git.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TypeAlias
from urllib.parse import urlsplit

import anyio
import msgspec

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.settings import Settings

SECONDS_TO_RESOLVE = 20.0

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"https": 443, "ssh": 22, "http": 80}
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_PROXIES_IN_CLEAR = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
"""For an index that the operator has by http; nothing else goes without encryption."""
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
"""All that IANA has given out of IPv6 for hosts of the whole world."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""An IPv4 address for networks that have only IPv6 (RFC 6052)."""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's own services
        "192.0.0.0/24",  # protocols; Oracle's metadata at 192.0.0.192
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocols; Teredo, which wraps an IPv4 address
        "2001:db8::/32",  # documents
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "3fff::/20",  # documents
    )
)


class Route(msgspec.Struct, frozen=True):
    """How a host is reached.

    Attributes:
        host: As it is written in the address, in small letters; an IPv6 address without brackets.
        addresses: Where a connection may go; none where whoever connects looks the name up.
        proxy: The operator's proxy that connects.
    """

    host: str
    port: int
    addresses: tuple[str, ...] = ()
    proxy: str | None = None


async def route_to(address: str, settings: Settings, *, typed: bool = True) -> Route:
    """Find out how the host of an https address is reached, and whether it may be.

    Args:
        address: The address, which `parse` has taken.
        settings: Who speaks, the hosts that an operator allows, and the proxies.
        typed: The caller named this host; it is not where another one led.

    Raises:
        InvalidLocation: It is none of the public internet, and neither allowed nor named by a person.
        FetchFailed: It can't be found.
    """
    parts = urlsplit(address)
    clear = parts.scheme == "http"
    host, port = parts.hostname or "", parts.port or _PORTS["http" if clear else "https"]
    proxy = _proxy(host, port, settings.passed, _PROXIES_IN_CLEAR if clear else _PROXIES)
    if typed and settings.person:
        return Route(host, port, proxy=proxy)
    if proxy is None:
        return Route(host, port, await checked(host, port, settings))
    await check_written(host, port, settings)
    return Route(host, port, proxy=proxy)


async def checked(host: str, port: int, settings: Settings) -> tuple[str, ...]:
    """Return the addresses of a host, each of which may be asked.

    Raises:
        InvalidLocation: One of them is none of the public internet, and the operator does not allow it.
        FetchFailed: It can't be found.
    """
    addresses = await _look_up(host, port)
    if any(_is_refused(host, address, settings) for address in addresses):
        raise _refused(host)
    if _written(host) is None and await _is_number(host, port):
        # What is read as an address by one program may be another one to the next.
        raise InvalidLocation(
            f"`{host}` is an address in an unusual spelling", hint=f"write it as `{addresses[0]}`, or give a name"
        )
    return tuple(str(address) for address in addresses)


async def check_written(host: str, port: int, settings: Settings) -> None:
    """Check a host that a proxy will look up, as far as it says by itself where it is.

    Raises:
        InvalidLocation: It is none of the public internet, and the operator does not allow it.
    """
    if await _is_number(host, port):
        await checked(host, port, settings)
    elif _is_here(host) and not _is_named(host, settings):
        raise _refused(host)


async def _look_up(host: str, port: int, *, flags: int = 0) -> list[_Address]:
    try:
        with anyio.fail_after(SECONDS_TO_RESOLVE):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise FetchFailed(
            f"The host `{host}` can't be found", hint="check the host's spelling, the network, and the proxy settings"
        ) from error
    # A zone, as in `fe80::1%eth0`, says nothing of the address.
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


async def _is_number(host: str, port: int) -> bool:
    """Tell whether a host is an address, in any spelling that the system's own resolver reads without asking."""
    try:
        return bool(await _look_up(host, port, flags=socket.AI_NUMERICHOST))
    except FetchFailed:
        return False


def _written(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_refused(host: str, address: _Address, settings: Settings) -> bool:
    return not (is_public(address) or _is_named(host, settings) or _is_in_network(address, settings))


def _is_named(host: str, settings: Settings) -> bool:
    """Tell whether the operator allows a host by its name."""
    return any(
        host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:]))
        for allowed in settings.allowed_hosts
    )


def _is_in_network(address: _Address, settings: Settings) -> bool:
    """Tell whether the operator allows an address."""
    inside = _inside(address)
    networks = [ipaddress.ip_network(allowed) for allowed in settings.allowed_hosts if _is_network(allowed)]
    return any(inside in network for network in networks)


def _is_network(allowed: str) -> bool:
    return re.fullmatch(r"[0-9a-f.:]+/\d+", allowed) is not None


def is_public(address: _Address) -> bool:
    """Tell whether an address is one of the public internet, for every program that could read it."""
    inside = _inside(address)
    return (
        inside.is_global
        and not inside.is_multicast
        and not inside.is_reserved
        and not any(inside in network for network in _NOT_PUBLIC)
        and (inside.version == 4 or inside in _GIVEN_OUT)  # noqa: PLR2004 - IP's version
    )


def _inside(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_here(host: str) -> bool:
    """Tell whether a name means the machine that looks it up (RFC 6761)."""
    return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")


def _proxy(host: str, port: int, passed: dict[str, str], names: tuple[str, ...]) -> str | None:
    """Return the proxy that the operator set for a host."""
    proxy = next((passed[name] for name in names if name in passed), None)
    no_proxy = passed.get("no_proxy", passed.get("NO_PROXY", ""))
    if proxy is None:
        return None
    # Typeshed knows it by another name; to import it takes long, and most machines have no proxy.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # noqa: PLC0415 - see above

    if proxy_bypass_environment(f"{host}:{port}", {"no": no_proxy}):
        return None
    return proxy


def _refused(host: str) -> InvalidLocation:
    """Say no more than that: whether a machine of the operator's network is there is nobody's business."""
    return InvalidLocation(
        f"`{host}` leads to this machine or to a network that is not public",
        hint="ask the operator to allow it with `DYNAMO_MCP_ALLOWED_HOSTS`, or a person to add it in a shell",
    )
