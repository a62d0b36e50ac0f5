"""What a client of a handshake version is told before the answer to its own call: that the tools have changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from edge.older import INITIALIZE, INITIALIZED
from edge.raw import Raw
from integration.places import write_template

if TYPE_CHECKING:
    from integration.places import Place

pytestmark = pytest.mark.anyio

SECONDS = 120


async def test_a_client_hears_what_its_call_changes_before_the_answer_and_nothing_after_it(place: Place) -> None:
    template = str(write_template(place.templates / "one", hook=None))
    command = [sys.executable, "-m", "dynamo_mcp"]
    async with await anyio.open_process(command, env=place.environment) as process:
        raw = Raw(process)
        with anyio.fail_after(SECONDS):
            await raw.send(INITIALIZE)
            await raw.receive()
            await raw.send(INITIALIZED)
            assert await heard(raw, 2, "add_template", url=template, name="one") == 1
            # Nothing changes, so there is nothing to wait for.
            assert await heard(raw, 3, "list_templates") == 0
            assert await heard(raw, 4, "add_template", url=template, name="one") == 0
            assert await heard(raw, 5, "remove_template", template_name="one") == 1
            assert await heard(raw, 6, "list_templates") == 0
        await raw.stdin.aclose()
        with anyio.fail_after(SECONDS):
            await process.wait()


async def heard(raw: Raw, number: int, tool: str, **arguments: str) -> int:
    """Call a tool; return how often it was told that the tools have changed until the answer came."""
    params = {"name": tool, "arguments": arguments}
    await raw.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
    told = 0
    while True:
        message = await raw.receive()
        if message.get("id") == number:
            assert "result" in message, message
            return told
        told += message["method"] == "notifications/tools/list_changed"
