"""How large may a request be, how long may it take to arrive, how often may it come? The rest costs nothing else.

The body is read here, before any of it is parsed: what handles it gets all of it at once, or never hears of it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from dynamo_mcp.bodies import Body, current
from dynamo_mcp.transports.shares import COUNT_FOR, Full, TooMuch, caller_of, current_caller

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dynamo_mcp.transports.shares import Shares

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AT_ONCE = 1 << 16
"""Bytes that are looked through within the loop."""
_SECONDS_LATER = "1"
_HEADERS = {408: {"Connection": "close"}, 503: {"Retry-After": _SECONDS_LATER}}


class _Refused(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Bounds:
    """Refuses what is too large, too deep, too slow or too often, with what says so (413, 400, 408, 429, 503)."""

    def __init__(self, app: ASGIApp, shares: Shares) -> None:
        """Guard `app`."""
        self._app = app
        self._limits = shares.limits
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        caller = caller_of(scope)
        token = current_caller.set(caller)
        if (count_for := scope.get("state", {}).get(COUNT_FOR)) is not None:
            count_for(caller)
        try:
            self._shares.spend(caller)
            self._check_head(scope)
            with self._shares.running(caller) if _works(scope) else self._shares.open(caller):
                await (self._app if scope["type"] == "websocket" else self._whole)(scope, receive, send)
        except TooMuch as error:
            await _refuse(429, str(error), {"Retry-After": str(error.seconds)})(scope, receive, send)
        except Full as error:
            await _refuse(503, str(error), _HEADERS[503])(scope, receive, send)
        except _Refused as error:
            await _refuse(error.status, str(error), _HEADERS.get(error.status, {}))(scope, receive, send)
        finally:
            current_caller.reset(token)

    def _check_head(self, scope: Scope) -> None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._limits.head_bytes:
            raise _Refused(431, f"the head has more than {self._limits.head_bytes} bytes")

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(partial(self._shares.bytes.count, current_caller.get()))
        token = current.set(body)
        try:
            with body.held():
                whole = await self._read(scope, receive, body)
                if whole is not None:
                    await self._app(scope, _again([whole], receive), _with_retry(send))
        finally:
            current.reset(token)

    async def _read(self, scope: Scope, receive: Receive, body: Body) -> bytes | None:
        """Return the whole body; None where its client has left."""
        chunks: list[bytes] = []
        more = True
        with anyio.move_on_after(self._limits.body_seconds) as waiting:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunk, more = message.get("body", b""), message.get("more_body", False)
                body.add(len(chunk))
                self._check(scope, body.bytes)
                if chunk:
                    self._shares.bytes.check(current_caller.get())
                    chunks.append(chunk)
        if waiting.cancelled_caught:
            raise _Refused(408, f"the body did not arrive within {self._limits.body_seconds:g} seconds")
        whole = b"".join(chunks)
        if await is_too_deep(whole, self._limits.body_depth):
            raise _Refused(400, f"the body is nested deeper than {self._limits.body_depth} levels")
        return whole

    def _check(self, scope: Scope, held: int) -> None:
        announced = Headers(scope=scope).get("content-length", "")
        length = int(announced) if announced.isdecimal() and len(announced) < 20 else 0  # noqa: PLR2004
        if max(held, length) > self._limits.body_bytes:
            raise _Refused(413, f"the body has more than {self._limits.body_bytes} bytes")


async def is_too_deep(body: bytes, most: int) -> bool:
    """Say whether JSON is nested deeper, and let others go on meanwhile."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    return too_deep(body, most) if len(body) < _AT_ONCE else await to_thread.run_sync(too_deep, body, most)


def too_deep(body: bytes, most: int) -> bool:
    """Say whether JSON is nested deeper, without parsing it; of what is no JSON either may be said."""
    brackets = _STRING.sub(b"", body).translate(None, _BUT_BRACKETS)
    for _ in range(most):
        if not brackets:
            return False
        # Each level goes at once, whatever it is of: what is empty now, in its place nothing.
        brackets = brackets.replace(b"[]", b"\0").replace(b"{}", b"\0").replace(b"\0", b"")
    return bool(brackets)


def _works(scope: Scope) -> bool:
    """Say whether a request is one that has something done, and does not merely listen or wait."""
    if scope["type"] == "websocket":
        return False
    headers = Headers(scope=scope)
    modern = headers.get("mcp-protocol-version", HANDSHAKE_PROTOCOL_VERSIONS[0]) not in HANDSHAKE_PROTOCOL_VERSIONS
    return scope["method"] == "POST" and not (modern and headers.get("mcp-method") == "subscriptions/listen")


def _again(body: list[bytes], receive: Receive) -> Receive:
    async def first_the_body() -> Message:
        return {"type": "http.request", "body": body.pop(), "more_body": False} if body else await receive()

    return first_the_body


def _with_retry(send: Send) -> Send:
    """Say with each refusal for now when to come back, as the SDK does not."""

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 503:  # noqa: PLR2004
            headers = [header for header in message["headers"] if header[0] != b"retry-after"]
            message = {**message, "headers": [*headers, (b"retry-after", _SECONDS_LATER.encode())]}
        await send(message)

    return tell


def _refuse(status: int, words: str, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse({"error": words}, status, headers)
