"""How does a server talk to one of its workers? What it hears is a message, or the worker is done with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.errors import RendererFailed
from dynamo_mcp.settings import Settings
from dynamo_mcp.workers import Key, Worker

pytestmark = pytest.mark.anyio

KEY = Key(Path("/base"), confined=True, live=None, template=None, full=False)


class Said:
    """A worker's process that has said something."""

    def __init__(self, *lines: bytes) -> None:
        self.process = self
        self.stdin = self
        self.stdout = self
        self.number = 1
        self.log = Path("/nowhere")
        self._lines = list(lines)

    async def receive(self, _most: int = 0) -> bytes:
        if not self._lines:
            raise anyio.EndOfStream
        return self._lines.pop(0)


def worker(*lines: bytes) -> Worker:
    said: Any = Said(*lines)
    return Worker(KEY, said, said, Settings(Path("/home")))


async def test_messages_are_heard_one_by_one_however_they_arrive() -> None:
    heard = worker(b'{"event": "re', b'ady"}\n{"event": "pong"}\n')
    assert [await heard.hear(), await heard.hear()] == [{"event": "ready"}, {"event": "pong"}]


@pytest.mark.parametrize("line", [b"[]", b"5", b"null", b'"done"', b"", b"{", b"\xff", b"{}{}"])
async def test_what_is_no_message_is_the_renderer_s_failure(line: bytes) -> None:
    with pytest.raises(RendererFailed):
        await worker(line + b"\n").hear()
