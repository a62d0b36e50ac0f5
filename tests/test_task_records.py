"""What is known of tasks: written whole, told by every server of the home, and true when a server has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from child import SECONDS
from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.store import Store, lives, open_store
from dynamo_mcp.task_records import Task, TaskRecords

pytestmark = pytest.mark.anyio

SERVER = """
import sys, pathlib, anyio
from dynamo_mcp.store import open_store
from dynamo_mcp.task_records import TaskRecords

async def main():
    async with open_store(pathlib.Path(sys.argv[1]), lock_seconds=20) as store:
        records = TaskRecords(store)
        task = records.new("local", left="nothing was left", poll=1.0, kept=60.0)
        await records.write(task)
        print(task.name, flush=True)
        sys.stdin.read()

anyio.run(main)
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def new(records: TaskRecords) -> Task:
    return records.new("local", left="nothing was left", poll=1.0, kept=60.0)


async def test_a_task_is_read_as_it_was_written_last(tmp_path: Path) -> None:
    async with open_store(tmp_path, lock_seconds=1) as store, open_store(tmp_path, lock_seconds=1) as another:
        records = TaskRecords(store)
        task = new(records)
        await records.write(task)
        later = msgspec.structs.replace(task, message="step 2/6", updated=task.updated + 1)
        await records.write(later)
        assert await records.read(task.name) == later
        assert await TaskRecords(another).read(task.name) == later
        assert [path.name for path in (tmp_path / "tasks").iterdir()] == [f"{task.name}.json"]
        assert new(records).name != task.name


async def test_a_task_whose_server_was_killed_has_failed_and_says_what_is_left_and_a_finished_one_keeps_its_result(
    tmp_path: Path,
) -> None:
    server = subprocess.Popen(  # noqa: ASYNC220 - it says one line and waits
        [sys.executable, "-c", SERVER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        name = server.stdout.readline().strip()
        async with open_store(tmp_path, lock_seconds=1) as store:
            records = TaskRecords(store)
            task = await records.read(name)
            assert task is not None
            assert task.status == "working"
            assert lives(tmp_path, task.server)
            finished = msgspec.structs.replace(new(records), server=task.server, status="completed", result={"a": 1})
            await records.write(finished)
            os.kill(server.pid, signal.SIGKILL)
            server.communicate(timeout=SECONDS)
            for _ in range(2):  # before and after what it has left is swept
                assert not lives(tmp_path, task.server)
                found = await records.read(name)
                assert found is not None
                assert found.status == "failed"
                assert found.message == "the server ended before it was done; nothing was left"
                assert found.error == {"code": -32603, "message": found.message}
                assert await records.read(finished.name) == finished
                async with open_store(tmp_path, lock_seconds=1):
                    pass
            assert not (tmp_path / "scratch" / task.server).exists()
    finally:
        server.kill()
        server.communicate(timeout=SECONDS)


async def test_what_has_ended_is_forgotten_in_time_and_what_is_worked_on_is_not(tmp_path: Path) -> None:
    clock = Clock()
    async with open_store(tmp_path, lock_seconds=1) as store:
        records = TaskRecords(store, clock)
        working = new(records)
        ended = msgspec.structs.replace(new(records), status="cancelled")
        of_the_dead = msgspec.structs.replace(new(records), server="0" * 32)
        for task in (working, ended, of_the_dead):
            await records.write(task)
        (tmp_path / "tasks" / f"{'x' * 32}.json").write_text("{")  # of a power cut
        clock.now += 60
        assert await records.read(ended.name) == ended
        clock.now += 1
        assert await records.read(ended.name) is None
        assert await records.read(of_the_dead.name) is None
        assert await records.read(working.name) == working
        await records.forget()
        assert [path.stem for path in (tmp_path / "tasks").iterdir()] == [working.name]


@pytest.mark.parametrize("name", ["", "..", "../locks/x", "a" * 31, "a" * 33, "a" * 31 + "\n", "é" * 32])
async def test_nothing_but_a_task_s_name_is_looked_for(name: str, tmp_path: Path) -> None:
    async with open_store(tmp_path, lock_seconds=1) as store:
        assert await TaskRecords(store).read(name) is None


async def test_a_file_that_is_another_task_s_is_none(tmp_path: Path) -> None:
    async with open_store(tmp_path, lock_seconds=1) as store:
        records = TaskRecords(store)
        task = new(records)
        await records.write(task)
        other = task.name.swapcase()  # as on a disk that ignores case
        (tmp_path / "tasks" / f"{task.name}.json").rename(tmp_path / "tasks" / f"{other}.json")
        assert await records.read(other) is None


async def test_a_disk_that_can_not_be_written_or_read_is_told(tmp_path: Path) -> None:
    async with open_store(tmp_path, lock_seconds=1) as store:
        records = TaskRecords(store)
        task = new(records)
        (tmp_path / "tasks" / f"{task.name}.json").mkdir()
        with pytest.raises(StorageFailed, match="Can't read the task"):
            await records.read(task.name)
        with pytest.raises(StorageFailed, match="Can't write"):
            await TaskRecords(Store(tmp_path, tmp_path / "nowhere", 1.0)).write(task)
