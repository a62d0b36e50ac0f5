"""Runs the command line in processes that did not have to import it: each is a fork of one that has.

A fork is a process of its own, with the arguments, environment, folder and pipes that it is given, and ends as any
Python does. What it shares with the others is what a start costs most: a second of imports.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio

SECONDS = 60

SCRIPT = """
import contextlib, json, os, runpy, selectors, signal, socket, sys
import asyncio, typer.rich_utils  # what is imported when it is needed, which is nearly always
import dynamo_mcp.cli, dynamo_mcp.dynamo

def listen(asked):
    # Returns in each fork what it was asked for; in this process when nobody asks any more.
    running = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    child = key.data
                    if key.fd == running.get(child):
                        os.kill(child, signal.SIGKILL)  # nobody hears its answer any more
                    elif child in running:
                        answer = running.pop(child)
                        selector.unregister(answer)
                        selector.unregister(key.fd)
                        _, status = os.waitpid(child, 0)
                        with contextlib.suppress(BrokenPipeError):
                            os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
                        os.close(answer)
                        os.close(key.fd)
                    continue
                message, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 3)
                if not message:
                    for child in running:
                        os.kill(child, signal.SIGKILL)
                    return None
                child = os.fork()
                if child == 0:
                    asked.detach()
                    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                    os.dup2(descriptors[0], 1)
                    os.dup2(descriptors[1], 2)
                    return json.loads(message)
                os.close(descriptors[0])
                os.close(descriptors[1])
                running[child] = descriptors[2]
                selector.register(os.pidfd_open(child), selectors.EVENT_READ, child)
                # Of a pipe's writing end it is told only that nobody reads (epoll_ctl(2), `EPOLLERR`).
                selector.register(descriptors[2], selectors.EVENT_READ, child)

given = listen(socket.socket(fileno=0))
if given is not None:
    os.closerange(3, 1 << 10)
    os.chdir(given["cwd"])
    os.environ.clear()
    os.environ.update(given["env"])
    sys.argv = ["dynamo-mcp", *given["arguments"]]
    runpy.run_module("dynamo_mcp", run_name="__main__", alter_sys=True)
"""


class Forks:
    """The command line, imported; `forks` makes it."""

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked

    async def run(
        self, arguments: tuple[str, ...], *, env: Mapping[str, str], cwd: Path
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end, and to that of whatever else holds its pipes; it is killed when nobody waits any more."""
        message = json.dumps({"arguments": arguments, "env": dict(env), "cwd": str(cwd)})
        pipes = [os.pipe() for _ in range(3)]
        socket.send_fds(self._asked, [message.encode()], [writer for _, writer in pipes])
        for _, writer in pipes:
            os.close(writer)
        heard = [b""] * 3

        async def hear(number: int, reader: int) -> None:
            with open(reader, "rb", buffering=0) as pipe:  # noqa: ASYNC230 - it is open already, and waited for
                while True:
                    await anyio.wait_readable(pipe)
                    if not (piece := pipe.read(1 << 16)):
                        return
                    heard[number] += piece

        async with anyio.create_task_group() as tasks:
            for number, (reader, _) in enumerate(pipes):
                tasks.start_soon(hear, number, reader)
        return subprocess.CompletedProcess(arguments, int(heard[2]), heard[0], heard[1])


@contextmanager
def forks() -> Iterator[Forks]:
    """Import the command line in a process that waits to be forked, while the caller stays in the context."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=theirs.fileno()) as process:
        theirs.close()
        yield Forks(ours)
        ours.close()
        process.wait(SECONDS)
