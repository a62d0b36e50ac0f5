"""Where do clients reach us? A socket that listens, on an address that may be listened on."""

from __future__ import annotations

import errno
import ipaddress
import math
import socket

from dynamo_mcp.errors import Failed, Refused, UsageError

_PORTS = range(1 << 16)


def listen(
    host: str, port: int, *, anywhere: bool = False, flag: str = "--port", seconds: float = 30.0
) -> socket.socket:
    """Listen on a port.

    Args:
        host: An address; `localhost` is 127.0.0.1.
        port: 0 takes a free one.
        anywhere: The address may be one that other machines reach, since callers have to say who they are.
        flag: What chooses the port.
        seconds: Seconds that a client has to take what is sent to it.

    Raises:
        Refused: Other machines reach the address, and may not.
        UsageError: The port can't be one.
        Failed: The port can't be had.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        address = None
    if address is None and anywhere:
        raise UsageError(
            f"`{host}` is not an address", hint="listen on one, such as `0.0.0.0` or `::` for all there are"
        )
    if address is None or not (anywhere or address.is_loopback):
        raise Refused(
            f"`{host}` is not a loopback address, and without authentication whoever reached it could run templates",
            hint="say with `--auth` how callers are known (`keys`, `basic` or `oauth`); or serve on `127.0.0.1`, and "
            "reach it from elsewhere through a tunnel such as `ssh -L`",
        )
    if port not in _PORTS:
        raise UsageError(f"`{port}` is not a port", hint="choose one from 1 to 65535, or 0 for any that is free")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004
    # asyncio sends at once (TCP_NODELAY) only where a socket says that it is TCP's; else each answer waits for the
    # client's acknowledgement of its head, up to 40 ms.
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Of each connection too: what a client does not take, nobody could get rid of otherwise (tcp(7)).
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(seconds * 1000))
        listener.bind((str(address), port))
        listener.listen()
    except OSError as error:
        if listener is not None:
            listener.close()
        in_use = f"end the program that uses the port, or choose another with `{flag}`; 0 takes any that is free"
        hints = {
            errno.EACCES: f"choose a port above 1023 with `{flag}`: those below are root's",
            errno.EADDRNOTAVAIL: "choose an address of this machine with `--host`",
            errno.EAFNOSUPPORT: "choose an address of IPv4 with `--host`: this machine has no IPv6",
        }
        raise Failed(
            f"Can't listen on `{authority(str(address), port)}`: {error.strerror or error}",
            hint=hints.get(error.errno or 0, in_use),
        ) from error
    return listener


def authority(host: str, port: int) -> str:
    """Return how a URL names a host and a port (RFC 3986, section 3.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
