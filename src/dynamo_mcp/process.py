"""How does a child run, and die? The only module that spawns.

A child gets the environment that its caller composed, no standard input unless asked for, and a session of its own:
when its caller leaves, for whatever reason, the whole session is killed and reaped.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import msgspec

from dynamo_mcp.errors import Failed, TimedOut

SECONDS_TO_REAP = 5.0


class Completed(msgspec.Struct, frozen=True):
    """A child that ended.

    Attributes:
        code: Its exit code; negative when a signal ended it.
        stdout: What it wrote, up to the caller's limit in bytes.
        stderr: The last of what it wrote, up to the caller's limit in bytes.
    """

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def error(self) -> str:
        """What it said, for a person: its standard error, else its output, else its code."""
        text = (self.stderr.strip() or self.stdout.strip()).decode("utf-8", "replace")
        return text or f"exit code {self.code}"


@asynccontextmanager
async def open_process(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
    gently: bool = False,
) -> AsyncIterator[anyio.abc.Process]:
    """Run a child while the caller stays in the context; kill its whole session on the way out.

    Args:
        command: The executable and its arguments.
        env: Its whole environment.
        cwd: Where it runs.
        stdin: As of `subprocess.Popen`, and so are stdout and stderr.
        stdout: What becomes of its output.
        stderr: What becomes of its errors.
        pass_fds: Descriptors that it inherits.
        gently: Ask it to end first, by SIGTERM: it has to end others, beyond its session.

    Raises:
        Failed: It can't be started.
    """
    try:
        process = await anyio.open_process(
            [os.fspath(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(
            f"`{command[0]}` can't be started: {error.strerror}", hint="check that it is installed and may be run"
        ) from error
    try:
        yield process
    finally:
        if gently:
            await _ask(process)
        await _end(process)


async def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    seconds: float,
    cwd: Path | None = None,
    limit: int = 1 << 20,
    on_error_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a child to its end.

    Args:
        command: The executable and its arguments.
        env: Its whole environment.
        seconds: Seconds that it may take.
        cwd: Where it runs.
        limit: Bytes that are kept of each of its outputs.
        on_error_line: Called with each line of its standard error as it arrives.

    Raises:
        TimedOut: It took too long; it was killed.
        Failed: It can't be started.
    """
    outputs: list[bytes] = [b"", b""]

    async def collect(index: int, stream: anyio.abc.ByteReceiveStream | None) -> None:
        kept, pending = bytearray(), bytearray()
        async for chunk in stream or ():  # type: ignore[union-attr]  # both are pipes
            kept += chunk
            # Of the output the beginning matters, of the errors the end.
            if index == 0:
                del kept[limit:]
            else:
                del kept[:-limit]
            if index == 1 and on_error_line is not None:
                pending += chunk
                *lines, rest = pending.split(b"\n")
                pending = bytearray(rest[-limit:])
                for line in lines:
                    on_error_line(line.decode("utf-8", "replace"))
        outputs[index] = bytes(kept)

    try:
        with anyio.fail_after(seconds):
            async with open_process(command, env=env, cwd=cwd) as process:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(collect, 0, process.stdout)
                    tasks.start_soon(collect, 1, process.stderr)
                code = await process.wait()
    except TimeoutError as error:
        raise TimedOut(
            f"`{Path(command[0]).name}` did not end within {seconds:g} seconds",
            hint="try again, or allow more seconds in the settings",
        ) from error
    return Completed(code, outputs[0], outputs[1])


async def _ask(process: anyio.abc.Process) -> None:
    """Ask a child to end, and wait for it for a while."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(SECONDS_TO_REAP), suppress(ProcessLookupError):
        process.terminate()
        await process.wait()


async def _end(process: anyio.abc.Process) -> None:
    """Kill the child's session, reap the child and close its pipes, whatever happens to the caller meanwhile."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True), anyio.move_on_after(SECONDS_TO_REAP):
        await process.aclose()
