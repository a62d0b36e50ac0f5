"""How does a server talk to one of its workers? In JSON, a line each (`_in_environment/worker.py`)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream

from dynamo_mcp import jobs
from dynamo_mcp.last_words import printed
from dynamo_mcp.sandbox.launch import Launched
from dynamo_mcp.types import Backend

MESSAGE_BYTES = 16 << 20

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead)


class Worker:
    """A worker that runs."""

    def __init__(self, key: object, at: Launched, stack: AsyncExitStack, backend: Backend | None) -> None:
        """Take over what was launched.

        Args:
            key: Which jobs it is for.
            at: Where it is.
            stack: Ends it.
            backend: What walls it in.
        """
        assert at.process.stdin and at.process.stdout  # noqa: S101, PT018 - both are pipes: `launched` asks for them
        self.key = key
        self.at = at
        self.stack = stack
        self.backend = backend
        self._stdin = at.process.stdin
        self._stdout = BufferedByteReceiveStream(at.process.stdout)

    async def greet(self) -> None:
        """Wait until it is warm."""
        if (await self.hear()).get("event") != "ready":
            raise jobs.nonsense()

    async def tell(self, message: dict[str, Any]) -> None:
        """Send it a message.

        Raises:
            RendererFailed: It is gone.
        """
        try:
            await self._stdin.send(orjson.dumps(message) + b"\n")
        except _GONE as error:
            raise jobs.died(self.at) from error

    async def hear(self) -> dict[str, Any]:
        """Wait for its next message.

        Raises:
            RendererFailed: It is gone, or says what is none.
        """
        try:
            line = await self._stdout.receive_until(b"\n", MESSAGE_BYTES)
            message: dict[str, Any] = orjson.loads(line)
        except _GONE as error:
            raise jobs.died(self.at) from error
        except (anyio.DelimiterNotFound, orjson.JSONDecodeError) as error:
            raise jobs.nonsense() from error
        return message

    def printed(self, temporary: Path) -> str | None:
        """Return the end of what a job's hook has printed so far; None where none runs.

        Args:
            temporary: The job's temporary folder, as the worker sees it.
        """
        return printed(self.at.root / temporary.relative_to("/"))
