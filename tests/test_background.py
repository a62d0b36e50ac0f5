"""What becomes of work that nobody waits for and that fails? The log has it, and everybody else goes on."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from dynamo_mcp import background

pytestmark = pytest.mark.anyio


async def fail(message: str) -> None:
    await anyio.lowlevel.checkpoint()
    raise ValueError(message)


async def test_a_failure_is_logged_with_what_was_done_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    done = anyio.Event()

    async def work() -> None:
        while "no such thing" not in caplog.text:
            await anyio.lowlevel.checkpoint()
        done.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            background.start(tasks, "looking for things", fail, "no such thing")
            background.start(tasks, "working", work)
    assert done.is_set()
    (record,) = caplog.records
    assert record.getMessage() == "looking for things failed"
    assert record.exc_info is not None


async def test_who_cancels_the_tasks_cancels_it_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            background.start(tasks, "sleeping", anyio.sleep_forever)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert not caplog.records
