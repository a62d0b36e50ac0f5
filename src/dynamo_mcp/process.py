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

from dynamo_mcp import descriptors
from dynamo_mcp.errors import Failed, TimedOut

SECONDS_TO_REAP = 5.0
SECONDS_FOR_PIPES = 1.0
_SESSION = 3


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
        # Cancelled in the middle of a start, only the child itself would be killed.
        with anyio.CancelScope(shield=True):
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
            descriptors.restore(process.pid)
    except OSError as error:
        where = f" in `{cwd}`" if cwd is not None and not cwd.is_dir() else ""
        raise Failed(
            f"`{command[0]}` can't be started{where}: {error.strerror}",
            hint="check that it is installed and may be run, and that the folder exists",
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
    kept = (bytearray(), bytearray())

    async def collect(index: int, stream: anyio.abc.ByteReceiveStream | None) -> None:
        pending = b""
        async for chunk in stream or ():  # type: ignore[union-attr]  # both are pipes
            kept[index].extend(chunk)
            # Of the output the beginning matters, of the errors the end.
            if index == 0:
                del kept[0][limit:]
                continue
            del kept[1][:-limit]
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-limit:]
            for line in lines:
                tell(line)
        if pending:
            tell(pending)

    def tell(line: bytes) -> None:
        if on_error_line is not None:
            on_error_line(line.decode("utf-8", "replace"))

    try:
        with anyio.fail_after(seconds):
            async with open_process(command, env=env, cwd=cwd) as process, anyio.create_task_group() as tasks:
                tasks.start_soon(collect, 0, process.stdout)
                tasks.start_soon(collect, 1, process.stderr)
                code = await process.wait()
                # What it left running may hold its pipes open for ever.
                tasks.cancel_scope.deadline = anyio.current_time() + SECONDS_FOR_PIPES
    except TimeoutError as error:
        raise TimedOut(
            f"`{Path(command[0]).name}` did not end within {seconds:g} seconds",
            hint="try again, or allow more seconds in the settings",
        ) from error
    return Completed(code, bytes(kept[0]), bytes(kept[1]))


async def _ask(process: anyio.abc.Process) -> None:
    """Ask a child to end, and wait for it for a while."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(SECONDS_TO_REAP), suppress(ProcessLookupError):
        process.terminate()
        process.send_signal(signal.SIGCONT)  # one that is stopped would not hear
        await process.wait()


async def _end(process: anyio.abc.Process) -> None:
    """Kill the child's session, reap the child and close its pipes, whatever happens to the caller meanwhile."""
    for victim in _session(process.pid) if process.returncode is None else []:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(victim, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True), anyio.move_on_after(SECONDS_TO_REAP):
        await process.aclose()


def _session(leader: int) -> list[int]:
    """Return the processes of a session but its leader, also those in a group of their own (proc_pid_stat(5))."""
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if entry.name.isdigit() and int(entry.name) != leader:
            with suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold anything, also parentheses.
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[_SESSION]) == leader:
                    found.append(int(entry.name))
    return found
