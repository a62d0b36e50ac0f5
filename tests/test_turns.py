"""Whose turn is it with a renderer? Creates, previews and values share one bound, and whoever leaves gives it back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import Busy
from homes import SECONDS, Home, base_environments, processes_of, until, workers

pytestmark = pytest.mark.anyio

Work: TypeAlias = Callable[[Dynamo, str], Coroutine[Any, Any, None]]

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def variables(dynamo: Dynamo, name: str) -> None:
    await dynamo.get_template_variables(name, {})


async def preview(dynamo: Dynamo, name: str) -> None:
    await dynamo.preview_project(name)


async def create(dynamo: Dynamo, name: str) -> None:
    await dynamo.create_project(name)


async def refused(dynamo: Dynamo, waiting: Work) -> None:
    with pytest.raises(Busy, match="1 creates have been running for 1 seconds"):
        await waiting(dynamo, "one")


@pytest.mark.parametrize("holder", [variables, preview, create])
async def test_who_works_keeps_all_others_waiting_and_gives_the_place_back_when_it_leaves(
    home: Home, holder: Work
) -> None:
    async with home.open(create_seconds=1) as dynamo:
        await home.add(dynamo, "endless", configuration={"slug": "s", "never": ENDLESS})
        await home.add(dynamo, "one")
    async with home.open(concurrent_creates=1, lock_seconds=1) as dynamo:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(holder, dynamo, "endless")
                await until(lambda: set(workers()) & set(processes_of(home.path)))
                async with anyio.create_task_group() as all_others:
                    for waiting in (variables, preview, create):
                        all_others.start_soon(refused, dynamo, waiting)
                tasks.cancel_scope.cancel()
        for next_ in (variables, preview, create):
            await next_(dynamo, "one")
        assert home.scratch == []


async def test_who_waits_for_a_place_and_leaves_takes_none(home: Home) -> None:
    async with home.open(create_seconds=1) as dynamo:
        await home.add(dynamo, "endless", configuration={"slug": "s", "never": ENDLESS})
        await home.add(dynamo, "one")
    async with home.open(concurrent_creates=1) as dynamo:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as holding:
                holding.start_soon(preview, dynamo, "endless")
                await until(lambda: set(workers()) & set(processes_of(home.path)))
                for waiting in (variables, preview):
                    with anyio.move_on_after(0.2) as left:
                        await waiting(dynamo, "one")
                    assert left.cancelled_caught
                holding.cancel_scope.cancel()
            await preview(dynamo, "one")
            await variables(dynamo, "one")
