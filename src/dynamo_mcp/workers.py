"""How does a server talk to one of its workers? In JSON, a line each (`_in_environment/worker.py`)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import msgspec
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream

from dynamo_mcp import jobs
from dynamo_mcp.last_words import printed
from dynamo_mcp.memory import taken_bytes
from dynamo_mcp.sandbox.grants import NONE, Grants
from dynamo_mcp.sandbox.launch import Launched
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Backend

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead)


class Key(msgspec.Struct, frozen=True):
    """Which jobs a worker is for.

    Attributes:
        plain: The base environment that it is started with.
        confined: Its jobs run in the sandbox.
        live: The only folder used in place that it sees.
        template: The only template that it serves; None where Landlock keeps jobs from each other's.
        full: It is the operator's own, with all that they may do.
        grants: What a person gave the templates that it serves besides.
        backend: What walls it in.
    """

    plain: Path
    confined: bool
    live: Path | None
    template: str | None
    full: bool
    grants: Grants = NONE
    backend: Backend | None = None


class Worker:
    """A worker that runs."""

    def __init__(self, key: Key, at: Launched, stack: AsyncExitStack, settings: Settings) -> None:
        """Take over what was launched.

        Args:
            key: Which jobs it is for.
            at: Where it is.
            stack: Ends it.
            settings: How much it may say.
        """
        assert at.process.stdin and at.process.stdout  # noqa: S101, PT018 - both are pipes: `launched` asks for them
        self.key = key
        self.at = at
        self.stack = stack
        self.readable: dict[Path, bool] = {}
        """Of templates, whether every user may read them."""
        self._settings = settings
        self._stdin = at.process.stdin
        self._stdout = BufferedByteReceiveStream(at.process.stdout)

    async def greet(self) -> None:
        """Wait until it is warm."""
        if (await self.hear()).get("event") != "ready":
            raise jobs.nonsense()

    async def tell(self, *messages: dict[str, Any]) -> None:
        """Send it messages, at once.

        Raises:
            RendererFailed: It is gone.
        """
        try:
            await self._stdin.send(b"".join(orjson.dumps(message) + b"\n" for message in messages))
        except _GONE as error:
            raise jobs.died(self.at) from error

    async def hear(self) -> dict[str, Any]:
        """Wait for its next message.

        Raises:
            RendererFailed: It is gone, or says what is none.
        """
        try:
            line = await self._stdout.receive_until(b"\n", 2 * self._settings.message_bytes)
            message: object = orjson.loads(line)
        except _GONE as error:
            raise jobs.died(self.at) from error
        except (anyio.DelimiterNotFound, orjson.JSONDecodeError) as error:
            raise jobs.nonsense() from error
        if not isinstance(message, dict):
            raise jobs.nonsense()
        return message

    async def ended(self) -> None:
        """Wait until its process has ended."""
        await self.at.process.wait()

    def bytes(self) -> int | None:
        """Return what it has in memory of its own, which its jobs share at first; None where that is not told."""
        return taken_bytes(self.at.number)

    def printed(self, temporary: Path) -> str | None:
        """Return the end of what a job's hook has printed so far; None where none runs.

        Args:
            temporary: The job's temporary folder, as the worker sees it.
        """
        return printed(self.seen(temporary), self._settings.hook_output_bytes)

    def seen(self, path: Path) -> Path:
        """Return how a path of the worker's is seen from here."""
        return self.at.root / path.relative_to("/")
