"""Who listens? Many clients that ask nothing, of three kinds, and count what they are told."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, TypeAlias

import anyio
import msgspec
from anyio.abc import TaskStatus

from benchmarks.wire import HANDSHAKE, Refused, Wire, connect, encoded, initialize, modern

Kind: TypeAlias = Literal["/sse", "GET /mcp", "subscriptions/listen"]
KINDS: tuple[Kind, ...] = ("/sse", "GET /mcp", "/sse", "subscriptions/listen")
"""In turns."""
LISTS = tuple(f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources"))
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SECONDS = 60.0
"""Seconds that one may take to begin, and to hear of a change."""
AT_ONCE = 32
_EVERY = 0.1
_SESSION = "mcp-session-id"


class Listener:
    """One of them.

    Attributes:
        kind: Of which kind.
        told: How often it was told what, since that was last looked at.
    """

    def __init__(self, kind: Kind) -> None:
        """Listen to nothing yet."""
        self.kind = kind
        self.told: Counter[str] = Counter()

    async def run(self, address: str, *, task_status: TaskStatus[None]) -> None:
        """Listen until cancelled; started once it does.

        Raises:
            Refused: It is not let in, or the stream ended.
        """
        async with AsyncExitStack() as stack:
            wire = await stack.enter_async_context(connect(address))
            if self.kind == "subscriptions/listen":
                await self._subscribe(wire)
            elif self.kind == "GET /mcp":
                await self._open_session(wire, address, stack)
            else:
                await self._open_sse(wire, address)
            task_status.started()
            await self._hear(wire)
        raise Refused(f"a stream of {self.kind} ended")

    async def _hear(self, wire: Wire, until: str | None = None) -> None:
        """Count what is told: all of it, or until there was that."""
        async for _, data in wire.events():
            message = msgspec.json.decode(data)
            said = message.get("method") or f"answer {message.get('id')}"
            if said == until:
                return
            self.told[said] += 1

    async def _subscribe(self, wire: Wire) -> None:
        wanted = {f"{name}ListChanged": True for name in ("tools", "prompts", "resources")}
        await wire.send("POST", "/mcp", *modern(1, "subscriptions/listen", notifications=wanted))
        await self._hear(wire, ACKNOWLEDGED)

    async def _open_session(self, wire: Wire, address: str, stack: AsyncExitStack) -> None:
        head = await wire.send("POST", "/mcp", initialize(1))
        await wire.whole(head)
        own = {_SESSION: head.headers[_SESSION], "MCP-Protocol-Version": HANDSHAKE}
        stack.push_async_callback(_delete, address, own)
        await wire.whole(await wire.send("POST", "/mcp", encoded(None, "notifications/initialized"), own))
        await wire.send("GET", "/mcp", headers=own)

    async def _open_sse(self, wire: Wire, address: str) -> None:
        await wire.send("GET", "/sse")
        path = await self._endpoint(wire)
        async with connect(address) as sending:
            await sending.ask(path, initialize(1))
            await self._hear(wire, "answer 1")
            await sending.ask(path, encoded(None, "notifications/initialized"))

    async def _endpoint(self, wire: Wire) -> str:
        async for name, path in wire.events():
            if name == "endpoint":
                return path
        raise Refused(f"{self.kind} names no endpoint")


async def _delete(address: str, own: dict[str, str]) -> None:
    with anyio.move_on_after(SECONDS, shield=True):
        async with connect(address) as wire:
            await wire.send("DELETE", "/mcp", headers=own)


@asynccontextmanager
async def listening(address: str, count: int) -> AsyncIterator[Sequence[Listener]]:
    """Have so many listen while the caller stays in the context."""
    listeners = [Listener(kind) for _, kind in zip(range(count), itertools.cycle(KINDS), strict=False)]
    limiter = anyio.CapacityLimiter(AT_ONCE)
    async with anyio.create_task_group() as open_ones:

        async def begin(listener: Listener) -> None:
            async with limiter:
                with anyio.fail_after(SECONDS):
                    await open_ones.start(listener.run, address)

        async with anyio.create_task_group() as beginning:
            for listener in listeners:
                beginning.start_soon(begin, listener)
        yield listeners
        open_ones.cancel_scope.cancel()


async def heard(listeners: Sequence[Listener], settle: float) -> list[str]:
    """Wait until each was told that the lists have changed, and begin to count anew.

    Args:
        listeners: Those that are open.
        settle: Seconds after which nothing more is told of a change that all have heard of.

    Returns:
        What was told to one of them too often, not at all, or though it was no business of its.
    """
    with anyio.move_on_after(SECONDS):
        while not all(listener.told[each] for listener in listeners for each in LISTS):  # noqa: ASYNC110 - of a thousand
            await anyio.sleep(_EVERY)
    await anyio.sleep(settle)
    once = Counter(LISTS)
    wrong = [f"{listener.kind}: {dict(listener.told)}" for listener in listeners if listener.told != once]
    for listener in listeners:
        listener.told.clear()
    return wrong
