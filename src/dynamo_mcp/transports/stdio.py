"""How does one client talk to us over standard input and output?

The wire is private: while it is served, descriptor 0 is the null device and descriptor 1 is standard error, so that no
child and no stray `print` reads or writes it. It is read and written without a thread, only when the kernel says that
neither would block: a thread that waits in `read` can't be cancelled, and would keep the process from ending.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
from mcp.server.stdio import stdio_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.abc import TaskStatus

    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.transport import Endpoint

_CHUNK = 1 << 16
_STANDARD = 3


async def serve(server: DynamoServer, _endpoint: Endpoint, *, task_status: TaskStatus[str]) -> None:
    """Serve until the client closes standard input or reads no more, or until cancelled (`Transport`)."""
    with (
        _claimed(0, lambda: os.open(os.devnull, os.O_RDONLY)) as incoming,
        _claimed(1, lambda: os.dup(2)) as outgoing,
        opened_again(outgoing) as own,
        anyio.CancelScope() as scope,
    ):
        # Both are what `stdio_server` uses of an `anyio.AsyncFile`, which can only wrap a file read by threads.
        reader = cast("anyio.AsyncFile[str]", _Reader(incoming))
        writer = cast("anyio.AsyncFile[str]", Writer(outgoing, own, scope))
        async with stdio_server(reader, writer) as (read, write):
            task_status.started("")
            await server.run(read, write, server.create_initialization_options())


@contextmanager
def _claimed(standard: int, diversion: Callable[[], int]) -> Iterator[int]:
    """Take the wire from a standard descriptor, which leads elsewhere meanwhile."""
    wire = fcntl.fcntl(standard, fcntl.F_DUPFD_CLOEXEC, _STANDARD)
    elsewhere = diversion()
    os.dup2(elsewhere, standard)
    os.close(elsewhere)
    try:
        yield wire
    finally:
        sys.stdout.flush()  # what was printed meanwhile belongs where the descriptor led meanwhile
        os.dup2(wire, standard)
        os.close(wire)


class _Reader:
    """The lines of a descriptor, as they arrive."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = bytearray()
        self._ended = False

    def __aiter__(self) -> _Reader:
        return self

    async def __anext__(self) -> str:
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0 and not self._ended:
            searched = len(self._pending)
            chunk = await self._read()
            self._pending += chunk
            self._ended = not chunk
        if end < 0 and not self._pending:
            raise StopAsyncIteration
        end = end + 1 if end >= 0 else len(self._pending)
        line = self._pending[:end].decode("utf-8", "replace")
        del self._pending[:end]
        return line

    async def _read(self) -> bytes:
        while True:
            await _until_ready(anyio.wait_readable, self._descriptor)
            try:
                return os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                continue  # another process that shares the descriptor was faster
            except OSError:
                return b""  # a terminal that is gone says so by an error


class Writer:
    """A descriptor that is written as fast as it is read; when nobody reads any more, serving ends."""

    def __init__(self, descriptor: int, own: int | None, scope: anyio.CancelScope) -> None:
        """Write nothing yet.

        Args:
            descriptor: Where to.
            own: The same pipe once more, as `opened_again` opens it, if that could be.
            scope: Is cancelled when nobody reads any more.
        """
        self._descriptor = descriptor if own is None else own
        self._waits = own is None
        self._scope = scope

    async def write(self, text: str) -> None:
        """Write all of it; others have their turn while there is no room."""
        rest = memoryview(text.encode())
        while rest:
            if self._waits:
                await _until_ready(anyio.wait_writable, self._descriptor)
            try:
                # A pipe that is ready takes PIPE_BUF bytes without blocking, and may block on one more (pipe(7)).
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF] if self._waits else rest) :]
            except BlockingIOError:
                await _until_ready(anyio.wait_writable, self._descriptor)
            except OSError as error:
                self._scope.cancel()
                raise anyio.ClosedResourceError from error

    async def flush(self) -> None:
        """Do nothing: what is written is out."""


@contextmanager
def opened_again(descriptor: int) -> Iterator[int | None]:
    """Open a pipe that is written to once more, so that writing never blocks; yields None where that can't be.

    Whoever shares the descriptor would no longer block either if it was made so itself (fcntl(2), O_NONBLOCK).
    """
    own = None
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        with suppress(OSError):
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield own
    finally:
        if own is not None:
            os.close(own)


async def _until_ready(wait: Callable[[int], Any], descriptor: int) -> None:
    try:
        await wait(descriptor)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        # epoll refuses what is always ready: a regular file (epoll_ctl(2), EPERM).
        await anyio.lowlevel.checkpoint()
