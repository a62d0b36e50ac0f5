"""Which tasks a server does, and how each ends, whatever its work does and whatever the disk does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from dynamo_mcp.errors import Busy, StorageFailed
from dynamo_mcp.running_tasks import Outcome, Running, RunningTasks
from dynamo_mcp.store import open_store
from dynamo_mcp.task_records import Task, TaskRecords

pytestmark = pytest.mark.anyio

DONE = Outcome("completed", result={"done": True})


@asynccontextmanager
async def running(home: Path, *, most: int = 10, kept: float = 60.0) -> AsyncIterator[RunningTasks]:
    async with open_store(home, lock_seconds=1) as store:
        tasks = RunningTasks(TaskRecords(store), most=most, most_of_caller=most, kept=kept)
        async with anyio.create_task_group() as group:
            await group.start(tasks.run)
            yield tasks
            group.cancel_scope.cancel()


async def finished(tasks: RunningTasks, task: Task) -> Task:
    with anyio.fail_after(20):
        while (found := await tasks.get("me", task.name)) is None or found.unfinished:  # noqa: ASYNC110 - as clients do
            await anyio.sleep(0.005)
        return found


async def test_each_change_is_told_to_whoever_watches_and_no_more_when_they_have_left(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    async def work(task: Running) -> Outcome:
        await task.say("step 1/2", "a half of it is left")
        return DONE

    async with running(tmp_path) as tasks:
        leave = tasks.watch(lambda task: told.append((task.status, task.message)))
        await finished(tasks, await tasks.begin("me", work, left="nothing is left", poll=1.0))
        assert told == [("working", "step 1/2"), ("completed", "")]
        leave()
        leave()
        await finished(tasks, await tasks.begin("me", work, left="nothing is left", poll=1.0))
        assert len(told) == 2


async def test_several_questions_wait_at_once_and_each_is_asked_under_a_name_of_its_own(tmp_path: Path) -> None:
    answers: dict[str, object] = {}

    async def work(task: Running) -> Outcome:
        async def ask(name: str) -> None:
            answers[name] = await task.ask({"method": name})

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "one")
            group.start_soon(ask, "two")
        await ask("three")
        return DONE

    async with running(tmp_path) as tasks:
        task = await tasks.begin("me", work, left="nothing is left", poll=1.0)
        seen: dict[str, str] = {}
        with anyio.fail_after(20):
            while len(answers) < 3:
                current = await tasks.get("me", task.name)
                assert current is not None
                assert (current.status == "input_required") == bool(current.requests)
                for key, request in current.requests.items():
                    assert seen.setdefault(key, request["method"]) == request["method"]
                if current.requests and (own := tasks.running("me", task.name)):
                    own.answer({"unknown": {}, next(iter(current.requests)): {"to": next(iter(current.requests))}})
                await anyio.sleep(0.005)
        assert (await finished(tasks, task)).requests == {}
    assert sorted(seen.values()) == ["one", "three", "two"]
    assert answers == {method: {"to": key} for key, method in seen.items()}


async def test_work_that_breaks_fails_its_own_task_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_task: Running) -> Outcome:
        raise ZeroDivisionError("a secret of the program")

    async def work(_task: Running) -> Outcome:
        return DONE

    async with running(tmp_path) as tasks:
        failed = await finished(tasks, await tasks.begin("me", broken, left="nothing is left", poll=1.0))
        assert failed.status == "failed"
        assert failed.error is not None
        assert "secret" not in str(failed)
        assert "a secret of the program" in caplog.text
        done = await finished(tasks, await tasks.begin("me", work, left="nothing is left", poll=1.0))
        assert done.result == {"done": True}


async def test_a_task_that_can_not_be_written_down_is_not_begun_and_one_that_was_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def work(task: Running) -> Outcome:
        begun.set()
        await go_on.wait()
        await task.say("step 2/2", "nothing is left")
        return DONE

    async with running(tmp_path, kept=0.2) as tasks:
        task = await tasks.begin("me", work, left="nothing is left", poll=1.0)
        with anyio.fail_after(20):
            await begun.wait()
        aside = (tmp_path / "tasks").rename(tmp_path / "aside")
        (tmp_path / "tasks").touch()
        with pytest.raises(StorageFailed):
            await tasks.begin("me", work, left="nothing is left", poll=1.0)
        go_on.set()
        assert (await finished(tasks, task)).result == {"done": True}  # this server knows
        assert "can't be written down" in caplog.text
        (tmp_path / "tasks").unlink()
        aside.rename(tmp_path / "tasks")
        with anyio.fail_after(20):
            while tasks.running("me", task.name) is not None:
                await anyio.sleep(0.05)
                await tasks.begin("me", work, left="nothing is left", poll=1.0)


async def test_whoever_finishes_begins_no_more_and_waits_for_what_works_not_for_what_asks_a_person(
    tmp_path: Path,
) -> None:
    go_on = anyio.Event()

    async def works(_task: Running) -> Outcome:
        await go_on.wait()
        return DONE

    async def asks(task: Running) -> Outcome:
        await go_on.wait()
        await task.ask({"method": "how"})
        return DONE

    async with running(tmp_path) as tasks:
        worked, asked = [await tasks.begin("me", work, left="nothing is left", poll=1.0) for work in (works, asks)]
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(tasks.finish)
                while tasks.serves:
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(Busy):
                    await tasks.begin("me", works, left="nothing is left", poll=1.0)
                told = await tasks.get("me", worked.name)
                assert told is not None
                assert told.status == "working"
                go_on.set()
        statuses = [(await tasks.get("me", task.name) or task).status for task in (worked, asked)]
        assert statuses == ["completed", "input_required"]


async def test_none_is_begun_while_nobody_does_them(tmp_path: Path) -> None:
    async def work(_task: Running) -> Outcome:
        return DONE

    async with running(tmp_path) as tasks:
        served = tasks.serves
    assert (served, tasks.serves) == (True, False)
    with pytest.raises(Busy):
        await tasks.begin("me", work, left="nothing is left", poll=1.0)
