"""How is the authorization server asked? In bounded time, for a bounded answer, and nobody else in its place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2
import msgspec

from dynamo_mcp.auth_settings import is_loopback, is_safe
from dynamo_mcp.errors import Failed, FetchFailed
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.hosts import Route, route_to
from dynamo_mcp.sources.redirects import client_for
from dynamo_mcp.text import plain

SECONDS = 10.0
"""That one question may take."""
BYTES = 512 << 10
"""That an answer may have."""
_REDIRECTS = 3
_MOVED = frozenset({301, 302, 303, 307, 308})
_OK = 200
_HINT = (
    "see that the authorization server runs and can be reached from here, and check the `DYNAMO_MCP_OAUTH_*` settings"
)


class Asking:
    """Asks an authorization server."""

    def __init__(self, settings: Settings, *, seconds: float = SECONDS) -> None:
        """Ask nothing yet.

        Args:
            settings: Proxies and certificates.
            seconds: That one question may take.
        """
        # Its address is the operator's own word, as what a person types is.
        self._settings = msgspec.structs.replace(settings, person=True)
        self._seconds = seconds

    async def get(self, address: str) -> Mapping[str, Any]:
        """Return the object at an address; a redirect is followed on the same server only.

        Raises:
            Failed: It can't be had.
        """
        for _ in range(_REDIRECTS + 1):
            status, headers, content = await self._exchange("GET", address)
            if status not in _MOVED:
                return _object(address, status, content)
            target = urljoin(address, headers.get("location", ""))
            if urlsplit(target)[:2] != urlsplit(address)[:2] or not is_safe(target):
                raise Failed(f"`{address}` leads to another server, `{plain(target, 200)}`", hint=_HINT)
            address = target
        raise Failed(f"`{address}` leads on and on", hint=_HINT)

    async def post(self, address: str, form: Mapping[str, str], user: tuple[str, str] | None) -> Mapping[str, Any]:
        """Send a form and return the object that is answered.

        Args:
            address: Where to; it may lead nowhere else.
            form: What is sent.
            user: As whom, and by which secret.

        Raises:
            Failed: It is not answered.
        """
        status, _, content = await self._exchange("POST", address, data=dict(form), auth=user)
        return _object(address, status, content)

    async def _route(self, address: str) -> Route:
        parts = urlsplit(address)
        if parts.hostname and is_loopback(parts.hostname):
            return Route(parts.hostname, parts.port or 0)  # no proxy could reach it
        return await route_to(address, self._settings)

    async def _exchange(self, method: str, address: str, **sent: Any) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            with anyio.fail_after(self._seconds):
                async with AsyncExitStack() as stack:
                    route = await self._route(address)
                    client = await stack.enter_async_context(client_for(route, self._settings, seconds=self._seconds))
                    answer = await stack.enter_async_context(client.stream(method, address, headers=headers, **sent))
                    content = bytearray()
                    async for chunk in answer.aiter_raw():
                        content += chunk
                        if len(content) > BYTES:
                            raise Failed(f"`{address}` answers more than {BYTES} bytes", hint=_HINT)
                    return answer.status_code, answer.headers, bytes(content)
        except TimeoutError as error:
            raise Failed(f"`{address}` does not answer within {self._seconds:g} seconds", hint=_HINT) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, FetchFailed) as error:
            raise Failed(f"`{address}` can't be asked: {plain(str(error), 200)}", hint=_HINT) from error


def _object(address: str, status: int, content: bytes) -> Mapping[str, Any]:
    if status != _OK:
        raise Failed(f"`{address}` answers {status}", hint=_HINT)
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed(f"`{address}` answers what is no JSON object", hint=_HINT) from error
