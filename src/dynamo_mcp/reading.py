"""Who reads a stranger's code? A thread; where a piece of it is large, a process of its own.

Parsing keeps the interpreter's lock until it is done, for a second with the densest file that is read, and so nobody
else would have a turn. The process runs nothing of what it reads, no more than the thread does.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.effort import TooLarge
from dynamo_mcp.errors import Failed
from dynamo_mcp.process import open_process

PIECE_BYTES = 16 << 10
"""Of a file that is parsed in this process: others wait for 60 ms at most."""
SECONDS = 20.0
"""For all that is read of one template: `effort` bounds it before that."""
_ANSWER_BYTES = 16 << 20
_CODE = "from dynamo_mcp.reading import main; main()"

Value = TypeVar("Value")


async def read(function: Callable[..., Value], *given: Any, kind: type[Value], otherwise: Value, **named: Any) -> Value:
    """Call a function that reads code.

    Args:
        function: One of a module; takes `piece`, and raises TooLarge where a file has more bytes than that.
        given: Its arguments.
        kind: What it returns, so that it can come back from another process as JSON.
        otherwise: The answer where that process fails or takes too long.
        named: Further arguments of the function.
    """
    try:
        return await anyio.to_thread.run_sync(partial(function, *given, **named, piece=PIECE_BYTES))
    except TooLarge:
        pass
    asked = pickle.dumps((function.__module__, function.__name__, given, named))
    environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-s", "-c", _CODE]
    try:
        with anyio.fail_after(SECONDS):
            async with open_process(command, env=environ, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                assert process.stdin and process.stdout  # noqa: S101, PT018 - both are pipes
                await process.stdin.send(asked)
                await process.stdin.aclose()
                answer = bytearray()
                async for chunk in process.stdout:
                    answer += chunk
                    if len(answer) > _ANSWER_BYTES:
                        return otherwise
        return msgspec.json.decode(answer, type=kind)
    except (TimeoutError, Failed, OSError, anyio.BrokenResourceError, msgspec.DecodeError):
        return otherwise


def main() -> None:
    """Do what standard input asks for, and answer in JSON: the process that `read` starts."""
    module, name, given, named = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - it comes from `read`
    answer = getattr(importlib.import_module(module), name)(*given, **named)
    sys.stdout.buffer.write(msgspec.json.encode(answer))
