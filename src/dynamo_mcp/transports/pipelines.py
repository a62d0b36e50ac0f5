"""What of requests that come before the first of their connection is answered? They wait, as many as one read has.

uvicorn reads on whenever one of them is answered, or looks whether its client is still there: it would keep one more
read for each. With httptools it tells the last that has come that the client has left, and not the one that is
answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.flow_control import FlowControl

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Callable

    from starlette.types import ASGIApp

_WAITING = 100
"""Requests that may wait; a client that sends more at once is left."""


class Flow(FlowControl):
    """uvicorn's, which reads no further while requests wait."""

    def __init__(self, transport: asyncio.Transport, has_waiting: Callable[[], bool]) -> None:
        """Read what comes."""
        super().__init__(transport)
        self._has_waiting = has_waiting

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if not self._has_waiting():
            super().resume_reading()


class _Pipelined:
    """Is mixed into either of uvicorn's protocols."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self.flow = Flow(self.transport, self.has_waiting)

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        if not self.transport.is_closing():
            self.flow.resume_reading()  # the last that waited may have begun, or have come in part

    def has_waiting(self) -> bool:
        raise NotImplementedError


class OfH11(_Pipelined):
    """For uvicorn's protocol of h11."""

    conn: h11.Connection

    def has_waiting(self) -> bool:
        """Say whether more has come than the request that is answered."""
        return self.conn.their_state is h11.DONE and bool(self.conn.trailing_data[0])


class OfHttptools(_Pipelined):
    """For uvicorn's protocol of httptools."""

    cycle: Any
    pipeline: deque[Any]
    answered: Any = None

    def has_waiting(self) -> bool:
        """Say whether a request waits."""
        return bool(self.pipeline)

    def on_headers_complete(self) -> None:
        """Have a request answered, or wait."""
        if len(self.pipeline) < _WAITING:
            super().on_headers_complete()  # type: ignore[misc]
        else:
            self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        """Turn into a WebSocket, unless something else is answered: nobody would see that to its end."""
        if self.answered is None or self.answered.response_complete:
            super().handle_websocket_upgrade()  # type: ignore[misc]
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so to the request that is answered."""
        self.cycle = self.answered
        super().connection_lost(exc)  # type: ignore[misc]

    def _start_asgi_task(self, cycle: Any, app: ASGIApp) -> None:
        self.answered = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[misc]
