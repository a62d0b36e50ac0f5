"""What has each session of streamable HTTP of its own? Its events, from its first request to its end."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mcp.server import _streamable_http_modern as modern
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from sse_starlette import EventSourceResponse

from dynamo_mcp.transports.events import Log, Shelf
from dynamo_mcp.transports.shares import TooMuch, current_caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
    from mcp.server.streamable_http import StreamableHTTPServerTransport
    from mcp.server.transport_security import TransportSecuritySettings

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.shares import Shares


class Sessions(StreamableHTTPSessionManager):
    """The SDK's sessions, each with a log of its own.

    The SDK would give all of them the same, in which the streams of two sessions have the same names.
    """

    def __init__(self, server: DynamoServer, security: TransportSecuritySettings, shares: Shares) -> None:
        """Begin with none."""
        limits = shares.limits
        super().__init__(
            server,
            security_settings=security,
            retry_interval=round(1000 * limits.retry_seconds),
            session_idle_timeout=limits.session_seconds,
            max_sessions=limits.sessions,
            max_request_body_size=limits.body_bytes,
        )
        self.shelf = Shelf(limits)
        self._shares = shares
        self._logs: dict[str, Log] = {}
        self._counted: dict[str, ExitStack] = {}

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        counted = ExitStack()
        try:
            counted.enter_context(self._shares.open(current_caller.get()))
        except TooMuch:
            return None
        transport = super()._admit_session(requestor)
        if transport is None or transport.mcp_session_id is None:
            counted.close()
        else:
            self._counted[transport.mcp_session_id] = counted
            # mcp 2.3 has no other place where a session's own log could be given to it.
            transport._event_store = self._logs[transport.mcp_session_id] = Log(self.shelf)  # noqa: SLF001
        return transport

    async def _discard_session(self, session_id: str, transport: StreamableHTTPServerTransport) -> None:
        log = self._logs.pop(session_id, None)
        if log is not None:
            log.close()
            self._counted.pop(session_id).close()
        await super()._discard_session(session_id, transport)


@contextmanager
def keep_alive(seconds: float) -> Iterator[None]:
    """Have streams of both eras carry a comment after so much silence, instead of after 15 s."""
    before = EventSourceResponse.DEFAULT_PING_INTERVAL, modern._SSE_PING_INTERVAL  # noqa: SLF001
    EventSourceResponse.DEFAULT_PING_INTERVAL = seconds  # type: ignore[assignment]  # it takes a float
    modern._SSE_PING_INTERVAL = seconds  # noqa: SLF001
    try:
        yield
    finally:
        EventSourceResponse.DEFAULT_PING_INTERVAL, modern._SSE_PING_INTERVAL = before  # noqa: SLF001
