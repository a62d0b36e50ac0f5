"""How far is it? Positions only grow, and the seconds are kept by step."""

from __future__ import annotations

import itertools

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_mcp import progress
from dynamo_mcp.progress import Progress, Step

pytestmark = pytest.mark.anyio

STEPS = ("resolve", "fetch", "register")
plans = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 300)), max_size=8)


def _reports(plan: list[tuple[str, int]]) -> list[Step]:
    reports: list[Step] = []

    async def keep(step: Step) -> None:
        reports.append(step)

    async def play() -> None:
        followed = Progress(STEPS, keep)
        for step, details in plan:
            await followed.begin(step)
            for number in range(details):
                await followed.detail(f"{number}")

    anyio.run(play)
    return reports


@given(plans)
def test_a_position_only_grows_whatever_begins_and_begins_again(plan: list[tuple[str, int]]) -> None:
    positions = [report.position for report in _reports(plan)]
    assert all(later > earlier for earlier, later in itertools.pairwise(positions))


@given(st.lists(st.integers(0, 2000), min_size=3, max_size=3))
def test_however_much_happens_within_a_step_the_next_one_has_its_own_position(details: list[int]) -> None:
    reports = _reports(list(zip(STEPS, details, strict=True)))
    begun = [int(report.position) for report in reports if report.message == report.name]
    assert begun == [0, 1, 2]
    assert reports[-1].position < len(STEPS)


async def test_every_step_is_told_as_it_begins_with_its_place_among_all() -> None:
    reports: list[Step] = []

    async def keep(step: Step) -> None:
        reports.append(step)

    followed = Progress(STEPS, keep)
    await followed.begin("resolve")
    await followed.begin("fetch", "fetching `x`")
    await followed.detail("half of it")
    assert [(step.name, step.total, step.message) for step in reports] == [
        ("resolve", 3, "resolve"),
        ("fetch", 3, "fetching `x`"),
        ("fetch", 3, "half of it"),
    ]


async def test_a_step_that_the_operation_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="tuple"):
        await Progress(STEPS).begin("dance")


async def test_a_detail_before_the_first_step_comes_before_it() -> None:
    reports: list[Step] = []

    async def keep(step: Step) -> None:
        reports.append(step)

    followed = Progress(STEPS, keep)
    await followed.detail("waiting")
    await followed.begin("resolve")
    assert 0 < reports[0].position < reports[1].position < 1


async def test_the_seconds_of_every_step_that_began_are_kept() -> None:
    followed = Progress(STEPS)
    await followed.begin("resolve")
    await followed.begin("fetch")
    seconds = followed.finish()
    assert list(seconds) == ["resolve", "fetch"]
    assert all(spent >= 0 for spent in seconds.values())


async def test_a_step_that_begins_again_keeps_the_seconds_of_both() -> None:
    followed = Progress(STEPS)
    await followed.begin("fetch")
    first = followed.finish()["fetch"]
    await followed.begin("fetch")
    assert followed.finish()["fetch"] >= first


def test_every_operation_names_each_of_its_steps_once() -> None:
    for name, steps in vars(progress).items():
        if name.startswith("STEPS_OF_"):
            assert len(set(steps)) == len(steps) > 0
