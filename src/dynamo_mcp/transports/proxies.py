"""Who is behind a proxy? Whom it says, if it is one of ours; anybody else may say what they like."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, cast

from dynamo_mcp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

UNIX = "unix"
"""The address of whoever reaches us by a unix socket, which has none."""


def check(trusted: Sequence[str]) -> None:
    """Check what trusted peers are called, as `Peer` takes them.

    Raises:
        UsageError: One of them is none.
    """
    for each in trusted:
        try:
            if each != UNIX:
                ipaddress.ip_network(each)
        except ValueError as error:
            raise UsageError(
                f"`{each}` is no address of a proxy: {error}",
                hint="name an address, a network such as `10.0.0.0/8`, or `unix`",
            ) from error


class Peer:
    """Says of each request where it comes from: `scope["client"]`, `scope["scheme"]`."""

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        """Believe `X-Forwarded-For` and `X-Forwarded-Proto` of these peers.

        Args:
            app: What is told.
            trusted: Addresses, networks, and `unix` for whoever reaches the unix socket.

        Raises:
            UsageError: One of them is none.
        """
        check(trusted)
        self._app = app
        if trusted:
            from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware  # noqa: PLC0415 - `check` needs none

            self._app = cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), list(trusted)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        if scope["type"] != "lifespan" and not scope.get("client"):
            scope["client"] = (UNIX, 0)
        await self._app(scope, receive, send)
