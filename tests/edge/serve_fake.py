"""Serves a `FakeDynamo` as a process of its own: `serve_fake.py stdio|http OUTPUTS [GRACE]`.

SIGUSR1 lets creates that are held go on.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.running import run
from dynamo_mcp.transports.transport import Endpoint

sys.path.insert(0, str(Path(__file__).parent.parent))

from fakes import FakeDynamo

if TYPE_CHECKING:
    from dynamo_mcp.project_views import Project


class Noisy(FakeDynamo):
    """A fake whose creates print, and run a child that reads standard input and writes standard output."""

    async def create_project(self, *given: Any, **named: Any) -> Project:
        print("noise of the server")  # noqa: T201
        await anyio.to_thread.run_sync(lambda: subprocess.run(["sh", "-c", "cat; echo noise of a child"], check=True))
        return await super().create_project(*given, **named)


async def main(transport: str, outputs: Path, grace: float = 0.0) -> None:
    fake = Noisy(outputs)
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        async with anyio.create_task_group() as tasks:

            async def release() -> None:
                async for _ in signals:
                    fake.release()

            tasks.start_soon(release)
            await run(fake.dynamo, [transport], Endpoint(limits=Serving(grace_seconds=grace)))
            tasks.cancel_scope.cancel()
    await anyio.Path(outputs / "ended").touch()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]) if sys.argv[3:] else 0.0)
