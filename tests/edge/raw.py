"""A client that speaks JSON-RPC by hand, to a server that is a process of its own."""

from __future__ import annotations

import functools
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from edge.joining import SERVE_FAKE

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from anyio.abc import Process

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def request(number: int, method: str, **params: Any) -> dict[str, Any]:
    """A request of the version 2026-07-28."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params | {"_meta": params.get("_meta", META)}}


class TooSlowError(AssertionError):
    """Something took a second."""


def check_within_a_second(seconds: float) -> None:
    if seconds >= 1:
        raise TooSlowError(seconds)


def three_attempts(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Run a test again while it is too slow: a busy machine is so now and then, a server that hangs always is."""

    @functools.wraps(test)
    async def run(*, tmp_path: Path, **given: Any) -> None:
        folders = [tmp_path / str(attempt) for attempt in range(3)]
        for folder in folders:
            folder.mkdir()
            try:
                return await test(tmp_path=folder, **given)
            except TooSlowError:
                if folder == folders[-1]:
                    raise
        return None

    return run


class Raw:
    """The server's process, and its wire."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdin = process.stdin
        self.stdout = BufferedByteReceiveStream(process.stdout)
        self.stderr = BufferedByteReceiveStream(process.stderr)

    async def send(self, message: dict[str, Any]) -> None:
        await self.stdin.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Return the next message; whatever else is on the wire is no JSON, and fails."""
        message: dict[str, Any] = json.loads(await self.stdout.receive_until(b"\n", 1 << 24))
        return message

    async def end(self, sent: signal.Signals | None = None) -> float:
        """Send a signal, if any, and return the seconds until the process has ended well."""
        began = anyio.current_time()
        if sent is not None:
            self.process.send_signal(sent)
        with anyio.fail_after(20):
            assert await self.process.wait() == 0
        return anyio.current_time() - began


@asynccontextmanager
async def start(transport: str, outputs: Path, grace: float = 0.0) -> AsyncIterator[Raw]:
    """Start a server; whatever happens, it does not outlive the context."""
    # What it prints is buffered, as it is for most people, and so may come at any time.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = await anyio.open_process([sys.executable, str(SERVE_FAKE), transport, str(outputs), str(grace)], env=env)
    try:
        yield Raw(process)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
