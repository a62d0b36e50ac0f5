"""A task of a real server outlives its client; every server of the home tells of it, and of its server's death."""

from __future__ import annotations

import os
import signal
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from edge.task_client import WithTasks, begin, cancel, ended, get, until
from homes import hooks_of
from homes import until as until_there
from integration.places import SECONDS, Place, write_template

pytestmark = pytest.mark.anyio

ENDLESS = 'import time\nprint("waiting", flush=True)\ntime.sleep(600)\n'
LEFT = "the server ended before it was done; no project was made"


def connect(url: str) -> Client:
    return Client(f"{url}/mcp", mode="auto", extensions=[WithTasks()], read_timeout_seconds=SECONDS)


def hook_runs(task: dict[str, Any]) -> bool:
    return "running the hook" in task.get("statusMessage", "")


async def until_not_ready(url: str) -> None:
    async with httpx2.AsyncClient() as watcher:
        with anyio.fail_after(SECONDS):
            while (await watcher.get(f"{url}/readyz")).status_code != 503:  # noqa: ASYNC110 - as who watches does
                await anyio.sleep(0.01)


async def test_a_task_outlives_its_client_and_the_truth_about_it_its_server(place: Place) -> None:
    slow = write_template(place.templates / "slow", hook=ENDLESS)
    quick = write_template(place.templates / "quick", hook=None)
    async with place.serving() as (url, pid):
        async with connect(url) as client:
            added = [await begin(client, "add_template", {"url": str(folder)}) for folder in (slow, quick)]
            for handle in added:
                told = await until(client, handle.task_id, ended, SECONDS)
                assert told["status"] == "completed"
                assert not told["result"]["isError"], told
            done = await begin(client, "create_quick", {"_output_dir": str(place.outputs)})
            finished = await until(client, done.task_id, ended, SECONDS)
            assert finished["result"]["structuredContent"]["path"] == str(place.outputs / "my-project")
            held = await begin(client, "create_slow", {"slug": "half", "_output_dir": str(place.outputs)})
        async with place.serving() as (another, _), connect(another) as other:
            told = await until(other, held.task_id, hook_runs, SECONDS)
            assert told["status"] == "working"
            assert told["statusMessage"].startswith("step 5/6: ")
            with pytest.raises(MCPError, match="done by another server of this home"):
                await cancel(other, held.task_id)
            await until_there(lambda: hooks_of(place.home))
            os.kill(pid, signal.SIGKILL)
            told = await until(other, held.task_id, ended, SECONDS)
            assert told["status"] == "failed"
            assert told["statusMessage"] == told["error"]["message"] == LEFT
            assert await get(other, done.task_id) == finished
    assert place.made == ["my-project"]
    async with place.serving() as (url, _), connect(url) as client:
        assert (await get(client, held.task_id))["error"]["message"] == LEFT
        assert await get(client, done.task_id) == finished
    assert place.made == ["my-project"]


async def test_a_server_that_is_told_twice_to_end_cancels_its_tasks_which_say_so_and_leave_nothing(
    place: Place,
) -> None:
    slow = write_template(place.templates / "slow", hook=ENDLESS)
    await place.run("add", str(slow))
    async with place.serving() as (url, pid), connect(url) as client:
        held = await begin(client, "create_slow", {"slug": "half", "_output_dir": str(place.outputs)})
        await until(client, held.task_id, hook_runs, SECONDS)
        await until_there(lambda: hooks_of(place.home))
        os.kill(pid, signal.SIGTERM)
        await until_not_ready(url)
        assert hooks_of(place.home)
        os.kill(pid, signal.SIGTERM)
        with anyio.fail_after(SECONDS):
            await until_there(lambda: not hooks_of(place.home))
    async with place.serving() as (url, _), connect(url) as client:
        told = await get(client, held.task_id)
        assert told["status"] == "cancelled"
        assert told["statusMessage"] == "the server is ending; no project was made"
    assert place.made == []


async def test_a_task_that_is_cancelled_ends_its_hook(place: Place) -> None:
    slow = write_template(place.templates / "slow", hook=ENDLESS)
    await place.run("add", str(slow))
    async with place.serving() as (url, _), connect(url) as client:
        held = await begin(client, "create_slow", {"slug": "half", "_output_dir": str(place.outputs)})
        await until(client, held.task_id, hook_runs, SECONDS)
        await until_there(lambda: hooks_of(place.home))
        await cancel(client, held.task_id)
        told = await until(client, held.task_id, ended, SECONDS)
        assert told["statusMessage"] == "it was cancelled; no project was made"
        await until_there(lambda: not hooks_of(place.home))
    assert place.made == []
