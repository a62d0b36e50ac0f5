"""How many work at a time, who waits, and who is refused?"""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from dynamo_mcp.errors import Busy
from dynamo_mcp.slots import Slots

pytestmark = pytest.mark.anyio

SECONDS = 30.0


class Callers:
    """Callers that hold a place until they may leave."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.working: list[int] = []
        self.told: list[tuple[int, int]] = []
        self.leave = anyio.Event()

    async def call(self, number: int) -> None:
        async def tell(before: int) -> None:
            await anyio.lowlevel.checkpoint()
            self.told.append((number, before))

        async with self.slots.one(tell):
            self.working.append(number)
            await self.leave.wait()


async def settled() -> None:
    """Let everybody come as far as they can."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def test_so_many_work_so_many_wait_and_the_next_is_refused_at_once() -> None:
    callers = Callers(Slots(2, 3, SECONDS))
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(callers.call, number)
            await settled()
            assert callers.working == [0, 1]
            assert callers.told == [(2, 0), (3, 1), (4, 2)]
            with pytest.raises(Busy) as raised:
                await callers.call(5)
            assert raised.value.message == "2 creates are running and 3 wait, as many as may"
            assert "`DYNAMO_MCP_QUEUED_CREATES`" in raised.value.hint
            callers.leave.set()
    assert callers.working == [0, 1, 2, 3, 4]


async def test_many_who_come_at_once_are_counted_before_they_are_told() -> None:
    slots = Slots(1, 2, SECONDS)
    refused = []
    holding, leave = anyio.Event(), anyio.Event()

    async def slow(_before: int) -> None:
        await leave.wait()

    async def call() -> None:
        try:
            async with slots.one(slow):
                holding.set()
                await leave.wait()
        except Busy as error:
            refused.append(error)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(call)
            await holding.wait()
            await settled()
            assert len(refused) == 3
            leave.set()


async def test_who_waits_for_too_long_is_told_what_allows_more() -> None:
    slots = Slots(1, 5, 0.01)
    async with slots.one():
        with pytest.raises(Busy) as raised:
            async with slots.one():
                pass
    assert "1 creates have been running for 0.01 seconds" in raised.value.message
    assert "`DYNAMO_MCP_CONCURRENT_CREATES`" in raised.value.hint
    assert "`DYNAMO_MCP_LOCK_SECONDS`" in raised.value.hint


async def test_who_stops_waiting_or_fails_leaves_its_place_to_others() -> None:
    callers = Callers(Slots(1, 1, SECONDS))

    async def fails(_before: int) -> None:
        raise ValueError("the client is gone")

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(callers.call, 0)
            await settled()
            with pytest.raises(ValueError, match="the client is gone"):
                async with callers.slots.one(fails):
                    pass
            with anyio.move_on_after(0.01):
                await callers.call(1)
            tasks.start_soon(callers.call, 2)
            await settled()
            callers.leave.set()
    assert callers.working == [0, 2]
