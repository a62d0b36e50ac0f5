"""Real Python processes that tests start, talk to and kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

SECONDS = 30.0
"""Seconds after which a wait in a test has failed."""

NOBODY = 65534
UNPRIVILEGED = f"""
import os
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
"""
"""Goes before what root, who may write everywhere, can't show; imports go before it: the interpreter may be root's."""


class Child:
    """A Python process that reads commands and writes lines."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin = process.stdin
        self._stdout = BufferedByteReceiveStream(process.stdout)

    async def line(self) -> str:
        with anyio.fail_after(SECONDS):
            return (await self._stdout.receive_until(b"\n", 1 << 20)).decode()

    async def tell(self, text: str = "") -> None:
        with anyio.fail_after(SECONDS):
            await self._stdin.send(text.encode() + b"\n")

    async def end(self) -> int:
        await self._stdin.aclose()
        with anyio.fail_after(SECONDS):
            return await self.process.wait()

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        with anyio.fail_after(SECONDS):
            await self.process.wait()


@asynccontextmanager
async def python(script: str, *arguments: str | Path) -> AsyncIterator[Child]:
    """Run a script as long as the caller stays in the context."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            yield Child(process)
        finally:
            if process.returncode is None:
                process.kill()


def run_python(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, however it ends."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def alive(identity: int) -> bool:
    """Tell whether a process runs; one that died and was not reaped does not."""
    try:
        status = Path(f"/proc/{identity}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


async def gone(*identities: int) -> None:
    """Wait until none of these processes runs."""
    with anyio.fail_after(SECONDS):
        while any(alive(identity) for identity in identities):  # noqa: ASYNC110 - only the kernel knows
            await anyio.sleep(0.01)
