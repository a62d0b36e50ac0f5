"""How many calls may run at a time, and that nobody has less for it than they may."""

from __future__ import annotations

import anyio
import pytest

from dynamo_mcp import ongoing
from dynamo_mcp.errors import Busy
from dynamo_mcp.ongoing import Calls

pytestmark = pytest.mark.anyio


async def test_one_caller_and_all_together_have_so_many_calls_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ongoing, "CALLER_CALLS", 3)
    monkeypatch.setattr(ongoing, "CALLS", 5)
    calls, end, begun, refused = Calls(), anyio.Event(), 0, []

    async def act() -> str:
        nonlocal begun
        begun += 1
        await end.wait()
        return "done"

    async def call(caller: str) -> None:
        try:
            assert await calls.run(caller, act) == "done"
        except Busy:
            refused.append(caller)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for caller in ("one", "one", "one", "one", "two", "two", "three"):
                tasks.start_soon(call, caller)
            await anyio.wait_all_tasks_blocked()
            assert (begun, refused) == (5, ["one", "three"])
            end.set()
        assert await calls.run("three", act) == "done"
