"""How does uvicorn run as a task? It leaves signals alone, says when it serves, and ends when it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn

from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.connections import protocol
from dynamo_mcp.transports.ending import Ending

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator
    from ssl import SSLContext

    from anyio.abc import TaskStatus
    from starlette.types import ASGIApp

_LAST_SECONDS = 0.4
_USUAL = Serving()


@asynccontextmanager
async def serving(
    app: ASGIApp,
    listener: socket.socket,
    close: Callable[[], None],
    tls: SSLContext | None = None,
    limits: Serving = _USUAL,
) -> AsyncIterator[None]:
    """Serve an app while the caller stays in the context; on the way out its open responses are ended.

    Args:
        app: What answers.
        listener: Where clients connect.
        tls: How TLS is spoken, if it is.
        limits: Of connections.
        close: Ends what would not end by itself; is called on the way out.
    """
    ending = Ending(app)
    web = _Web(
        uvicorn.Config(
            ending,
            log_config=None,
            access_log=False,
            http=protocol(limits),
            h11_max_incomplete_event_size=limits.head_bytes,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # asyncio takes a float
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=limits.body_bytes,
            proxy_headers=False,  # it would believe whoever is on this machine
            ws_per_message_deflate=False,  # a few bytes could be unpacked to as much as a message may have
            timeout_graceful_shutdown=_LAST_SECONDS,  # type: ignore[arg-type]  # asyncio takes a float
        ),
        tls,
        limits.head_seconds,
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(web.run_on, listener)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                web.should_exit = True
                close()
                await ending.end()
                await web.ended.wait()


class _Web(uvicorn.Server):
    """uvicorn as a task."""

    def __init__(self, config: uvicorn.Config, tls: SSLContext | None, handshake_seconds: float) -> None:
        super().__init__(config)
        self._tls = tls
        self._handshake_seconds = handshake_seconds if tls else None
        self.ended = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again, and the process would die before it has cleaned up."""
        yield

    async def run_on(
        self, listener: socket.socket, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until `should_exit`, whatever happens to the caller: connections are ended, never dropped."""
        self._status = task_status
        try:
            with anyio.CancelScope(shield=True):
                await self.serve([listener])
        finally:
            self.ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so.

        uvicorn would leave a client a minute for the handshake of TLS: it makes no server here.
        """
        await super().startup([])
        loop = asyncio.get_running_loop()
        made: Any = self.config.http_protocol_class
        connected = partial(made, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        self.servers = [
            await loop.create_server(
                connected,
                sock=each,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_seconds,
                backlog=self.config.backlog,
            )
            for each in sockets or []
        ]
        self._status.started()
