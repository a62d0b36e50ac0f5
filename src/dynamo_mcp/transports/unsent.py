"""Who takes what was written last? Nobody waits to write after it, and asyncio keeps it for as long as a client lives.

A client that takes nothing has no end to it either: the connection closes when the last byte has gone, which is never.
"""

from __future__ import annotations

import asyncio


class Unsent:
    """What one connection has written and not sent, while nothing more is written."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        """Wait for nothing yet.

        Args:
            transport: The connection; it may be closing.
            seconds: That its client may take nothing.
        """
        self._transport = transport
        self._seconds = seconds
        self._patience: asyncio.TimerHandle | None = None

    def wait(self) -> None:
        """Wait until it has gone, and end the connection if nothing of it does for so long."""
        self.stop()
        unsent = self._transport.get_write_buffer_size()
        if unsent:
            self._patience = asyncio.get_running_loop().call_later(self._seconds, self._look, unsent)

    def stop(self) -> None:
        """Wait no longer: something is written again, or the connection has ended."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _look(self, unsent: int) -> None:
        if self._transport.get_write_buffer_size() >= unsent:
            self._transport.abort()
        else:
            self.wait()
