"""How many work at a time, who waits, and who is refused?"""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from dynamo_mcp.errors import Busy
from dynamo_mcp.slots import Place, Slots, caller

pytestmark = pytest.mark.anyio

SECONDS = 30.0


class Callers:
    """Callers that hold a place until they may leave."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.working: list[int] = []
        self.told: list[tuple[int, int]] = []
        self.leave = anyio.Event()

    async def call(self, number: int, name: str = "") -> None:
        async def tell(place: Place) -> None:
            await anyio.lowlevel.checkpoint()
            self.told.append((number, place.before))

        caller.set(name)
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

    async def slow(_place: Place) -> None:
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

    async def fails(_place: Place) -> None:
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


class Turns:
    """Callers that work one after the other, each until it is told to end."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.order: list[str] = []
        self.places: list[Place] = []

    async def work(self, name: str) -> None:
        async def tell(place: Place) -> None:
            await anyio.lowlevel.checkpoint()
            self.places.append(place)

        caller.set(name)
        async with self.slots.one(tell):
            self.order.append(name)
            await settled()


@pytest.mark.parametrize("number", [1, 2])
async def test_a_caller_with_a_hundred_does_not_keep_another_with_one_waiting_for_them(number: int) -> None:
    turns = Turns(Slots(number, 200, SECONDS))
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(turns.work, "many")
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(turns.work, "one")
    assert turns.order.index("one") <= 2 * number
    assert len(turns.order) == 101


async def test_callers_take_turns_and_those_of_one_are_served_as_they_came() -> None:
    turns = Turns(Slots(1, 200, SECONDS))
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for name in "aaaabbbbcccc":
                tasks.start_soon(turns.work, name)
    assert "".join(turns.order) == "aabcabcabcbc"


async def test_one_waits_with_its_place_and_about_how_long_that_will_take() -> None:
    turns = Turns(Slots(1, 200, SECONDS))
    with anyio.fail_after(SECONDS):
        await turns.work("before")
        async with anyio.create_task_group() as tasks:
            for name in "aaab":
                tasks.start_soon(turns.work, name)
    assert [place.before for place in turns.places] == [0, 1, 1]
    assert all(place.seconds is not None for place in turns.places)
    assert Place(3, 7.2).words == "3 more before this one, about 8 s"
    assert Place(0, None).words == "0 more before this one"


async def test_a_queue_that_one_caller_has_filled_still_has_room_for_one_of_each_other() -> None:
    callers = Callers(Slots(1, 2, SECONDS))
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(callers.call, number, "many")
            await settled()
            with pytest.raises(Busy):
                await callers.call(3, "many")
            tasks.start_soon(callers.call, 4, "one")
            await settled()
            with pytest.raises(Busy):
                await callers.call(5, "one")
            tasks.start_soon(callers.call, 6, "two")
            await settled()
            with pytest.raises(Busy, match="1 creates are running and 4 wait, as many as may"):
                await callers.call(7, "three")
            callers.leave.set()
    assert sorted(callers.working) == [0, 1, 2, 4, 6]


async def test_who_leaves_just_when_its_turn_comes_hands_it_on() -> None:
    slots = Slots(1, 5, SECONDS)
    holding, leave = anyio.Event(), anyio.Event()
    served = anyio.Event()

    async def hold() -> None:
        async with slots.one():
            holding.set()
            await leave.wait()
            scope.cancel()

    async def go() -> None:
        with scope:
            async with slots.one():
                pytest.fail("it had left")

    async def stay() -> None:
        async with slots.one():
            served.set()

    scope = anyio.CancelScope()
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await holding.wait()
            tasks.start_soon(go)
            await settled()
            tasks.start_soon(stay)
            await settled()
            leave.set()
            await served.wait()
    assert slots.waiting == 0
