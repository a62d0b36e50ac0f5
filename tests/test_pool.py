"""Who has which worker, and when does one start and end? With workers that are none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from anyio.abc import TaskGroup

from dynamo_mcp.errors import RendererFailed
from dynamo_mcp.pool import Pool
from dynamo_mcp.settings import Settings
from dynamo_mcp.workers import Key
from homes import until

pytestmark = pytest.mark.anyio

SECONDS = 30.0
KEY = Key(Path("/base"), confined=True, live=None, template=None, full=False)
OTHER = msgspec.structs.replace(KEY, full=True)


class Fake:
    """Answers what a worker answers."""

    def __init__(self, key: Key, number: int) -> None:
        self.key = key
        self.number = number
        self.dead = anyio.Event()
        self.closed = False
        self.stack = self
        self.faulty = False
        self.mute = False
        self.told: list[dict[str, Any]] = []

    async def tell(self, *messages: dict[str, Any]) -> None:
        assert messages[0] == {"action": "ping"}
        self.told += messages[1:]
        await anyio.lowlevel.checkpoint()
        if self.dead.is_set() or self.mute:
            raise RendererFailed("A renderer died", hint="try again")

    async def hear(self) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return {"event": "pong"}

    async def ended(self) -> None:
        await self.dead.wait()

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        assert not self.closed, "it was ended twice"
        self.closed = True
        if self.faulty:
            raise ValueError("a fault while it ends")

    def bytes(self) -> int:
        return 1


class Workers:
    """A pool, and all that it has started."""

    def __init__(self, tasks: TaskGroup, *, free: int = 1 << 40, **chosen: Any) -> None:
        self.started: list[Fake] = []
        self.may_start = anyio.Event()
        self.may_start.set()
        self.fails = False
        self.faulty = False
        self.mute = False
        settings = Settings(Path("/home"), **{"renderers": 8, "concurrent_creates": 2, **chosen})
        self.pool = Pool(self._start, settings, tasks, lambda: free)

    async def _start(self, key: Key) -> Any:
        await self.may_start.wait()
        await anyio.lowlevel.checkpoint()
        if self.fails:
            raise RendererFailed("A renderer can't be started", hint="try again")
        if self.faulty:
            raise ValueError("a fault of the program")
        self.started.append(Fake(key, len(self.started)))
        self.started[-1].mute = self.mute
        return self.started[-1]

    @property
    def living(self) -> list[int]:
        return [worker.number for worker in self.started if not worker.closed]

    async def take(self, key: Key = KEY) -> Any:
        with anyio.fail_after(SECONDS):
            return await self.pool.take(key, asked)


def asked(worker: Any) -> dict[str, Any]:
    return {"action": "create", "of": worker.number}


@asynccontextmanager
async def opened(**chosen: Any) -> AsyncIterator[Workers]:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            workers = Workers(tasks, **chosen)
            yield workers
            tasks.cancel_scope.cancel()
    assert not any(workers.pool._busy.values())  # noqa: SLF001 - what was taken was given back


async def cleared() -> bool:
    await anyio.lowlevel.checkpoint()
    return True


async def spoilt() -> bool:
    await anyio.lowlevel.checkpoint()
    return False


async def settled(condition: Callable[[], bool] = lambda: False) -> None:
    """Let everybody come as far as they can."""
    for _ in range(50):
        if condition():
            return
        await anyio.lowlevel.checkpoint()


async def test_who_comes_while_a_worker_clears_up_waits_for_it_and_starts_none() -> None:
    async with opened() as workers:
        first = await workers.take()
        may_clear = anyio.Event()

        async def clear() -> bool:
            await may_clear.wait()
            return True

        workers.pool.give_back(first, clear)
        taken: list[Any] = []

        async def take() -> None:
            taken.append(await workers.take())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await settled()
            assert taken == []
            may_clear.set()
        assert taken == [first]
        assert len(workers.started) == 1
        workers.pool.give_back(first, cleared)


async def test_of_two_who_come_while_one_worker_clears_up_the_second_starts_one() -> None:
    async with opened() as workers:
        first = await workers.take()
        never = anyio.Event()

        async def clear() -> bool:
            await never.wait()
            return True

        workers.pool.give_back(first, clear)
        taken: list[Any] = []

        async def take() -> None:
            taken.append(await workers.take())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            tasks.start_soon(take)
            await settled(lambda: len(taken) == 1)
            assert [worker.number for worker in taken] == [1]
            never.set()
        for worker in taken:
            workers.pool.give_back(worker, cleared)


async def test_a_worker_that_can_not_clear_up_ends_and_who_waited_for_it_starts_one() -> None:
    async with opened() as workers:
        first = await workers.take()
        workers.pool.give_back(first, spoilt)
        second = await workers.take()
        assert (first.closed, second.number) == (True, 1)
        await workers.pool.end(second)
        assert workers.living == []


async def test_a_worker_that_died_while_it_waited_for_work_is_ended_and_not_handed_out() -> None:
    async with opened() as workers:
        first = await workers.take()
        workers.pool.give_back(first, cleared)
        await settled()
        first.dead.set()
        second = await workers.take()
        assert second is not first
        assert first.closed
        workers.pool.give_back(second, cleared)


async def test_the_worker_that_was_used_last_is_taken_first() -> None:
    async with opened() as workers:
        one, two = await workers.take(), await workers.take()
        workers.pool.give_back(two, cleared)
        await settled()
        workers.pool.give_back(one, cleared)
        await settled()
        assert await workers.take() is one
        workers.pool.give_back(one, cleared)


async def test_each_is_told_what_to_do_once_and_where_one_turns_out_to_be_dead_another_is() -> None:
    async with opened() as workers:
        first = await workers.take()
        assert first.told == [{"action": "create", "of": 0}]
        workers.pool.give_back(first, cleared)
        await settled()
        first.mute = True
        second = await workers.take()
        assert first.closed
        assert second.told == [{"action": "create", "of": 1}]
        workers.pool.give_back(second, cleared)
        await settled()
        assert await workers.take() is second
        assert second.told == [{"action": "create", "of": 1}] * 2
        await workers.pool.end(second)


async def test_one_that_dies_as_soon_as_it_has_started_is_told_to_who_needs_it() -> None:
    async with opened() as workers:
        workers.mute = True
        with pytest.raises(RendererFailed, match="died before it had heard"):
            await workers.take()
        assert workers.living == []


async def test_of_idle_workers_the_one_that_was_used_last_stays_when_time_has_passed() -> None:
    async with opened(renderer_seconds=0.05) as workers:
        one, two = await workers.take(), await workers.take(OTHER)
        workers.pool.give_back(one, cleared)
        await settled()
        workers.pool.give_back(two, cleared)
        await until(lambda: one.closed)
        await anyio.sleep(0.2)
        assert workers.living == [two.number]


async def test_no_more_stay_idle_than_are_allowed() -> None:
    async with opened(renderers=2) as workers:
        taken = [await workers.take() for _ in range(3)]
        for worker in taken:
            workers.pool.give_back(worker, cleared)
            await settled()
        assert workers.living == [1, 2]


async def test_a_server_keeps_one_more_ready_than_are_in_use_up_to_one_more_than_may_work() -> None:
    async with opened(serves=True, concurrent_creates=2) as workers:
        taken = [await workers.take()]
        await settled()
        assert len(workers.started) == 2
        taken.append(await workers.take())
        await settled()
        assert len(workers.started) == 3
        taken.append(await workers.take())
        await settled()
        assert len(workers.started) == 3
        for worker in taken:
            workers.pool.give_back(worker, cleared)


@pytest.mark.parametrize(("chosen", "number"), [({"serves": False}, 1), ({"renderers": 1}, 1)])
async def test_a_command_starts_none_ahead_and_a_server_none_beyond_what_it_keeps(
    chosen: dict[str, Any], number: int
) -> None:
    async with opened(**{"serves": True, **chosen}) as workers:
        worker = await workers.take()
        await settled()
        assert len(workers.started) == number
        workers.pool.give_back(worker, cleared)


async def test_none_is_started_ahead_where_there_is_no_memory_for_it() -> None:
    async with opened(serves=True, free=0) as workers:
        worker = await workers.take()
        await settled()
        assert len(workers.started) == 1
        workers.pool.give_back(worker, cleared)


async def test_who_comes_while_one_is_started_ahead_waits_for_that() -> None:
    async with opened() as workers:
        workers.may_start = anyio.Event()
        workers.pool.ahead(KEY)
        workers.pool.ahead(KEY)  # there is one already
        taken: list[Any] = []

        async def take() -> None:
            taken.append(await workers.take())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await settled()
            workers.may_start.set()
        assert len(workers.started) == 1
        workers.pool.give_back(taken[0], cleared)


async def test_that_none_could_be_started_ahead_is_told_to_who_needs_it() -> None:
    async with opened() as workers:
        workers.fails = True
        workers.pool.ahead(KEY)
        await settled()
        with pytest.raises(RendererFailed):
            await workers.take()
        workers.fails = False
        workers.pool.give_back(await workers.take(), cleared)


async def test_at_the_end_all_that_wait_for_work_or_clear_up_have_ended() -> None:
    async with opened() as workers:
        one, two = await workers.take(), await workers.take(OTHER)

        async def never() -> bool:
            await anyio.sleep_forever()
            return True

        workers.pool.give_back(one, cleared)
        workers.pool.give_back(two, never)
        workers.pool.ahead(msgspec.structs.replace(KEY, confined=False))
        await settled()
    assert workers.living == []


async def test_who_leaves_while_a_worker_is_asked_whether_it_lives_ends_it() -> None:
    async with opened() as workers:
        worker = await workers.take()
        workers.pool.give_back(worker, cleared)
        await settled()

        async def forever() -> dict[str, Any]:
            await anyio.sleep_forever()
            return {}

        worker.hear = forever
        with anyio.move_on_after(0.05):
            await workers.pool.take(KEY, asked)
        assert worker.closed
        assert workers.living == []


async def test_a_fault_while_one_is_started_ahead_of_need_is_logged_and_ends_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as workers:
        first = await workers.take()
        workers.faulty = True
        workers.pool.ahead(OTHER)
        await settled(lambda: "a fault of the program" in caplog.text)
        assert "a fault of the program" in caplog.text
        workers.faulty = False
        await workers.pool.end(await workers.take(OTHER))
        await workers.pool.end(first)


@pytest.mark.parametrize("closing", [False, True])
async def test_a_fault_while_one_is_cleared_ends_that_one_alone_and_who_waits_for_it_gets_another(
    closing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened() as workers:
        first = await workers.take()
        may_clear = anyio.Event()

        async def clear() -> bool:
            await may_clear.wait()
            first.faulty = closing
            raise ValueError("a fault of the program")

        workers.pool.give_back(first, clear)
        taken: list[Any] = []

        async def take() -> None:
            taken.append(await workers.take())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await settled()
            may_clear.set()
        assert taken == [workers.started[1]]
        assert first.closed
        assert "a fault of the program" in caplog.text
        await workers.pool.end(taken[0])


async def test_a_worker_that_another_one_would_replace_can_be_spared_and_a_lone_one_when_it_is_quiet() -> None:
    async with opened() as workers:
        assert not workers.pool.can_spare(KEY, 0.0)
        one, two = await workers.take(), await workers.take()
        workers.pool.give_back(one, cleared)
        await settled(lambda: workers.pool._coming.total() == 0)  # noqa: SLF001 - it waits for work
        assert not workers.pool.can_spare(KEY, 0.0)  # a caller may come for it
        assert not workers.pool.can_spare(KEY, 0.01)  # somebody is at work
        workers.pool.give_back(two, cleared)
        await settled(lambda: workers.pool._coming.total() == 0)  # noqa: SLF001 - likewise
        assert workers.pool.can_spare(KEY, 0.0)
        assert not workers.pool.can_spare(OTHER, 0.0)
        assert not workers.pool.can_spare(KEY, SECONDS)
        await anyio.sleep(0.02)
        assert workers.pool.can_spare(KEY, 0.01)
        await workers.pool.end(await workers.take())
        assert not workers.pool.can_spare(KEY, 0.01)
        await anyio.sleep(0.02)
        assert workers.pool.can_spare(KEY, 0.01)
        assert not workers.pool.can_spare(KEY, 0.0)
