"""Which transports serve, and until when? All of them one server, until a signal or until one of them has ended."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio

from dynamo_mcp.errors import DynamoError
from dynamo_mcp.server import build
from dynamo_mcp.transports.transport import Endpoint, Transport, transport_of

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.server import DynamoServer


async def run(dynamo: Dynamo, names: Sequence[str], endpoint: Endpoint) -> None:
    """Serve until a signal asks to end, or a transport has: standard input is closed, for one.

    After a signal no call and no task is begun, and those that run may finish for a while (`Serving.grace_seconds`) or
    until another signal. What still runs then is cancelled, and cleaned up before this returns.

    Args:
        dynamo: What is served.
        names: Of the transports, at least one.
        endpoint: Where they listen, and whom they serve.

    Raises:
        DynamoError: One of them is not there, or can't serve.
    """
    transports = [transport_of(name) for name in dict.fromkeys(names)]
    failed: DynamoError | None = None
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as telling:
            server = build(dynamo)
            await telling.start(server.announce)
            # What there is by now stays to the end; to look through it for garbage, over and over, slows every call.
            gc.freeze()
            async with anyio.create_task_group() as serving:
                grace = endpoint.limits.grace_seconds
                serving.start_soon(_end_on_signal, signals, server, grace, serving.cancel_scope)
                try:
                    for transport in transports:
                        if words := await serving.start(_serve, transport, server, endpoint, serving.cancel_scope):
                            sys.stderr.write(f"dynamo-mcp {words}\n")
                            sys.stderr.flush()
                except DynamoError as error:
                    failed = error
                    serving.cancel_scope.cancel()
            telling.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def _serve(
    transport: Transport,
    server: DynamoServer,
    endpoint: Endpoint,
    scope: anyio.CancelScope,
    *,
    task_status: TaskStatus[str],
) -> None:
    """Serve on one, and end the others when it ends."""
    await transport.serve(server, endpoint, task_status=task_status)
    scope.cancel()


async def _end_on_signal(signals: Any, server: DynamoServer, grace: float, scope: anyio.CancelScope) -> None:
    async def finish() -> None:
        await server.finish(grace)
        scope.cancel()

    async with anyio.create_task_group() as finishing:
        async for _ in signals:
            if not server.takes_calls:
                scope.cancel()
            finishing.start_soon(finish)
