"""How often may something happen? Its time is an argument here."""

from __future__ import annotations

import pytest

from dynamo_mcp.rates import Rate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_may_happen_at_once_and_then_one_in_so_many_seconds() -> None:
    clock = Clock()
    rate = Rate(3, 10, clock)
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 9.5
    assert not rate.take()
    clock.now += 0.5
    assert [rate.take(), rate.take()] == [True, False]


def test_it_says_how_long_to_wait_and_a_refusal_makes_nobody_wait_longer() -> None:
    clock = Clock()
    rate = Rate(1, 10, clock)
    assert rate.wait == 0
    rate.take()
    for _ in range(5):
        assert not rate.take()
    assert rate.wait == pytest.approx(10)
    clock.now += 4
    assert rate.wait == pytest.approx(6)


def test_however_long_nothing_happens_no_more_than_a_burst_may() -> None:
    clock = Clock()
    rate = Rate(2, 1, clock)
    clock.now += 1e6
    assert [rate.take() for _ in range(3)] == [True, True, False]
