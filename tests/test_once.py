"""How is shared work done once? It belongs to nobody: a caller may leave, and only the last one takes it along."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import TaskGroup

from dynamo_mcp.once import OnceMap, Say

pytestmark = pytest.mark.anyio

SECONDS = 10.0


class Work:
    """Work that begins, waits to be let go, and knows how it ended."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go = anyio.Event()
        self.cancelled = anyio.Event()
        self.runs = 0

    async def __call__(self, _say: Say = print) -> int:
        self.runs += 1
        self.begun.set()
        try:
            await self.go.wait()
        except BaseException:
            self.cancelled.set()
            raise
        return self.runs


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as group:
            yield group
            group.cancel_scope.cancel()


class Caller:
    """Somebody who asks, may leave, and keeps what came of it."""

    def __init__(self, once: OnceMap[str, int], work: Work, key: str = "key") -> None:
        self.scope = anyio.CancelScope()
        self.asked = anyio.Event()
        self.left = anyio.Event()
        self.value: int | None = None
        self.error: Exception | None = None
        self._once, self._work, self._key = once, work, key

    async def __call__(self) -> None:
        with self.scope:
            self.asked.set()
            try:
                self.value = await self._once.get(self._key, self._work)
            except Exception as error:  # noqa: BLE001 - kept for the test to look at
                self.error = error
        self.left.set()


async def _ask(tasks: TaskGroup, once: OnceMap[str, int], work: Work, count: int, key: str = "key") -> list[Caller]:
    callers = [Caller(once, work, key) for _ in range(count)]
    for caller in callers:
        tasks.start_soon(caller)
        await caller.asked.wait()
    return callers


async def test_many_callers_share_one_run_and_its_value(tasks: TaskGroup, work: Work) -> None:
    callers = await _ask(tasks, OnceMap(tasks), work, 50)
    work.go.set()
    for caller in callers:
        await caller.left.wait()
    assert work.runs == 1
    assert {caller.value for caller in callers} == {1}


async def test_the_first_caller_may_leave_without_failing_the_others(tasks: TaskGroup, work: Work) -> None:
    first, *others = await _ask(tasks, OnceMap(tasks), work, 3)
    await work.begun.wait()
    first.scope.cancel()
    await first.left.wait()
    assert not work.cancelled.is_set()
    work.go.set()
    for caller in others:
        await caller.left.wait()
    assert [caller.value for caller in others] == [1, 1]
    assert work.runs == 1


async def test_the_last_caller_who_leaves_takes_the_work_along(tasks: TaskGroup, work: Work) -> None:
    callers = await _ask(tasks, OnceMap(tasks), work, 3)
    await work.begun.wait()
    for caller in callers[:2]:
        caller.scope.cancel()
        await caller.left.wait()
    assert not work.cancelled.is_set()
    callers[2].scope.cancel()
    await work.cancelled.wait()


async def test_the_last_caller_is_gone_only_when_the_work_has_ended(tasks: TaskGroup, work: Work) -> None:
    ended = anyio.Event()

    async def tidy(_say: Say) -> int:
        try:
            return await work()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(10):
                    await anyio.lowlevel.checkpoint()
            ended.set()

    once: OnceMap[str, int] = OnceMap(tasks)
    with anyio.CancelScope() as scope:
        tasks.start_soon(_cancel_when, work.begun, scope)
        await once.get("key", tidy)
    assert scope.cancelled_caught
    assert ended.is_set()


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def test_work_that_everybody_left_is_begun_anew_by_the_next(tasks: TaskGroup, work: Work) -> None:
    once: OnceMap[str, int] = OnceMap(tasks)
    (first,) = await _ask(tasks, once, work, 1)
    await work.begun.wait()
    first.scope.cancel()
    await first.left.wait()
    (second,) = await _ask(tasks, once, work, 1)
    await work.cancelled.wait()
    work.go.set()
    await second.left.wait()
    assert second.value == 2


async def test_an_error_is_told_to_every_caller_and_not_kept(tasks: TaskGroup, work: Work) -> None:
    once: OnceMap[str, int] = OnceMap(tasks)
    broken = Work()

    async def fail(_say: Say) -> int:
        await broken()
        raise ZeroDivisionError

    errors: list[BaseException] = []
    left = [anyio.Event() for _ in range(3)]

    async def call(event: anyio.Event) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            await once.get("key", fail)
        errors.append(caught.value)
        event.set()

    for event in left:
        tasks.start_soon(call, event)
    await broken.begun.wait()
    broken.go.set()
    for event in left:
        await event.wait()
    assert len(errors) == 3
    work.go.set()
    assert await once.get("key", work) == 1


async def test_what_is_done_is_done_again_when_asked_again(tasks: TaskGroup, work: Work) -> None:
    once: OnceMap[str, int] = OnceMap(tasks)
    work.go.set()
    assert [await once.get("key", work), await once.get("key", work)] == [1, 2]


async def test_different_keys_do_not_wait_for_each_other(tasks: TaskGroup, work: Work) -> None:
    once: OnceMap[str, int] = OnceMap(tasks)
    await _ask(tasks, once, work, 1, "slow")
    await work.begun.wait()
    quick = Work()
    quick.go.set()
    assert await once.get("quick", quick) == 1


async def test_callers_are_told_when_the_owner_of_the_work_goes_away(work: Work) -> None:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as outer:
            async with anyio.create_task_group() as owner:
                (caller,) = await _ask(outer, OnceMap(owner), work, 1)
                await work.begun.wait()
                owner.cancel_scope.cancel()
            await caller.left.wait()
    assert isinstance(caller.error, anyio.ClosedResourceError)


async def test_who_comes_after_the_owner_went_away_does_not_wait_for_ever(work: Work) -> None:
    async with anyio.create_task_group() as owner:
        once: OnceMap[str, int] = OnceMap(owner)
    for _ in range(2):
        with anyio.fail_after(1), pytest.raises(RuntimeError):
            await once.get("key", work)


async def test_what_the_work_says_is_told_to_all_who_wait_and_a_slow_one_keeps_nobody_waiting(tasks: TaskGroup) -> None:
    once: OnceMap[str, int] = OnceMap(tasks)
    go = anyio.Event()
    told: list[str] = []
    slow: list[str] = []

    async def work(say: Say) -> int:
        say("begins")
        await go.wait()
        for words in ("goes on", "ends"):
            say(words)
            await settled(told, words)
        return 1

    async def tell(words: str) -> None:
        told.append(words)

    async def tell_slowly(words: str) -> None:
        slow.append(words)
        await anyio.sleep_forever()

    tasks.start_soon(once.get, "key", work, tell_slowly)
    tasks.start_soon(once.get, "key", work, tell)
    await settled(told, "begins")
    go.set()
    assert await once.get("key", work) == 1
    assert told == ["begins", "goes on", "ends"]
    assert slow == ["begins"]


async def settled(told: list[str], words: str) -> None:
    with anyio.fail_after(SECONDS):
        while words not in told:  # noqa: ASYNC110 - a list tells nobody what is added to it
            await anyio.sleep(0.001)


async def test_who_can_not_be_told_leaves_and_the_work_goes_on_for_the_others(tasks: TaskGroup) -> None:
    once: OnceMap[str, int] = OnceMap(tasks)
    told: list[str] = []

    async def work(say: Say) -> int:
        say("begins")
        await settled(told, "left")
        return 1

    async def broken(_words: str) -> None:
        raise ConnectionError

    async def leave() -> None:
        with pytest.raises(ConnectionError):
            await once.get("key", work, broken)
        told.append("left")

    tasks.start_soon(leave)
    assert await once.get("key", work) == 1
