"""How do open responses end when the server does? First by themselves, then as if the client left, then by force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE_SECONDS = 0.15
"""That an open response has, each time, to end."""


class Ending:
    """Ends the responses that are open when the server ends, as whole HTTP messages.

    uvicorn waits for open streams, and those of clients that listen never end by themselves.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`, whose every HTTP exchange passes through here."""
        self._app = app
        self._open: set[anyio.CancelScope] = set()
        self._end = End()
        self._idle = anyio.Event()

    async def end(self) -> None:
        """Leave open responses a moment to finish, let those that have not see their client leave, cancel the rest."""
        await self._until_idle()
        self._end.come()
        await self._until_idle()
        for scope in self._open:
            scope.cancel()

    async def _until_idle(self) -> None:
        if self._open:
            self._idle = anyio.Event()
            with anyio.move_on_after(GRACE_SECONDS):
                await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = Response(receive, send, self._end)
        with anyio.CancelScope() as running:
            self._open.add(running)
            try:
                await self._app(scope, response.receive, response.send)
            finally:
                self._open.discard(running)
                if not self._open:
                    self._idle.set()
        if self._end.has_come:
            await response.finish()


class End:
    """Comes at some time, and then nothing else is waited for.

    Attributes:
        has_come: Whether it is there.
    """

    def __init__(self) -> None:
        """Begin before it."""
        self.has_come = False
        self._waiting: set[anyio.CancelScope] = set()

    def come(self) -> None:
        """End what waits."""
        self.has_come = True
        for scope in self._waiting:
            scope.cancel()

    async def unless(self, wait: Callable[[], Awaitable[Message]]) -> Message | None:
        """Return what is waited for; None once the end has come."""
        if self.has_come:
            return None
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return await wait()
            finally:
                self._waiting.discard(scope)
        return None


class Response:
    """One exchange, whose client seems to leave when it has to end."""

    def __init__(self, receive: Receive, send: Send, end: End) -> None:
        """Pass on what is received and sent.

        Args:
            receive: Of the exchange (ASGI), and so is `send`.
            send: Likewise.
            end: When it has to.
        """
        self._receive = receive
        self._send = send
        self._end = end
        self._heard = self._begun = self._finished = False

    async def receive(self) -> Message:
        """Receive for the app (ASGI)."""
        if not self._heard:
            message = await self._receive()
            self._heard = not message.get("more_body", False)
            return message
        return await self._end.unless(self._receive) or {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send for the app (ASGI)."""
        self._begun = True
        self._finished = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """Make what was sent a whole response; whoever got nothing may try again."""
        if self._finished:
            return
        with anyio.move_on_after(GRACE_SECONDS):  # of a client that reads no more
            if not self._begun:
                await self._send({"type": "http.response.start", "status": 503, "headers": [(b"connection", b"close")]})
            await self._send({"type": "http.response.body", "body": b""})
