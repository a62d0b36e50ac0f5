"""Is the server alive, and would it take a call? What whoever watches over it may ask, without saying who they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from dynamo_mcp.server import DynamoServer

_METHODS = frozenset({"GET", "HEAD"})


class Health:
    """Answers `/healthz` and `/readyz` with a word; strangers learn nothing from it, so any host and page may ask."""

    def __init__(self, app: ASGIApp, server: DynamoServer) -> None:
        """Answer before `app` hears of it."""
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        path = scope["path"] if scope["type"] == "http" and scope["method"] in _METHODS else ""
        if path == "/healthz":
            await _word("alive", 200)(scope, receive, send)
        elif path == "/readyz":
            # The answer must be of this moment: a balancer asks again and again.
            ready = self._server.takes_calls and os.access(self._server.home, os.W_OK | os.X_OK)
            await _word("ready" if ready else "not ready", 200 if ready else 503)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _word(word: str, status: int) -> PlainTextResponse:
    return PlainTextResponse(f"{word}\n", status, {"Cache-Control": "no-store"})
