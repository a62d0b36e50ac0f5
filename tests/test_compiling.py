"""When does a server have a template compiled? With a renderer that is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from dynamo_mcp import compiling
from dynamo_mcp.compiling import MOST, PATIENCE, QUIET_SECONDS, Compiling

pytestmark = pytest.mark.anyio

SECONDS = 30.0
JOB: Any = "a job"  # which nobody here looks into


class Aside:
    """Compiles what it is asked for, as soon as it may, one at a time."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.idle = anyio.Event()
        self.asked: list[tuple[str, float]] = []
        self.done: list[str] = []
        self.working = 0
        self.compiling = Compiling(self.compile, tasks)

    async def compile(self, place: Path, job: object, quiet: float) -> bool:
        assert job == JOB
        self.asked.append((place.name, quiet))
        if not self.idle.is_set():
            return False
        self.working += 1
        assert self.working == 1
        await anyio.lowlevel.checkpoint()
        self.working -= 1
        self.done.append(place.name)
        return True

    def want(self, name: str) -> None:
        self.compiling.want(Path(name), JOB)

    async def until_asked(self, times: int = 1) -> None:
        while len(self.asked) < times:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "LOOK_SECONDS", 0.001)


@asynccontextmanager
async def opened() -> AsyncIterator[Aside]:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            yield Aside(tasks)
            tasks.cancel_scope.cancel()


async def test_what_is_wanted_once_waits_until_nobody_has_worked_for_a_while() -> None:
    async with opened() as aside:
        aside.want("one")
        assert aside.asked == []  # not before the create has been answered
        await aside.until_asked(2)
        assert set(aside.asked) == {("one", QUIET_SECONDS)}
        aside.idle.set()
        await aside.until_asked(len(aside.asked) + 1)
        assert aside.done == ["one"]


async def test_what_is_wanted_again_waits_for_an_idle_renderer_alone() -> None:
    async with opened() as aside:
        aside.want("one")
        aside.want("one")
        await aside.until_asked()
        assert aside.asked[0] == ("one", 0.0)


async def test_what_was_wanted_last_is_compiled_first_and_each_once() -> None:
    async with opened() as aside:
        for name in ("one", "two", "three", "one"):
            aside.want(name)
        aside.idle.set()
        while len(aside.done) < 3:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)
        await anyio.sleep(0.02)
        assert aside.done == ["one", "three", "two"]
        aside.want("four")  # after everything was done it begins anew
        while len(aside.done) < 4:  # noqa: ASYNC110 - likewise
            await anyio.sleep(0.001)


async def test_of_many_the_one_that_was_wanted_least_recently_is_left_out() -> None:
    async with opened() as aside:
        for number in range(MOST + 1):
            aside.want(str(number))
        aside.idle.set()
        while len(aside.done) < MOST:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)
        await anyio.sleep(0.02)
        assert sorted(aside.done, key=int) == [str(number) for number in range(1, MOST + 1)]


async def test_where_no_renderer_is_ever_idle_one_create_has_it_done_first() -> None:
    async with opened() as aside:
        for _ in range(PATIENCE):
            assert not aside.compiling.is_due(Path("one"))
            aside.want("one")
        assert [aside.compiling.is_due(Path("one")) for _ in range(3)] == [True, False, False]
        assert not aside.compiling.is_due(Path("other"))


async def test_a_fault_does_not_end_it_for_good() -> None:
    async with opened() as aside:
        aside.idle.set()
        aside.working = 1  # at which it fails
        aside.want("one")
        await aside.until_asked()
        aside.working = 0
        aside.want("two")
        while "two" not in aside.done:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)
