"""Is it the right secret? A slow hash says so once, so many at a time, and is then remembered while it counts."""

from __future__ import annotations

import threading

import anyio
import pytest

from dynamo_mcp.auth import hashing, verifying
from dynamo_mcp.auth.hashing import OF_A_KEY, OF_A_PASSWORD, Cost, Hash, hashed, matches
from dynamo_mcp.auth.verifying import AT_A_TIME, Verifier
from dynamo_mcp.auth.waiting import WAITING
from dynamo_mcp.errors import Busy
from homes import LOOK_SECONDS

CHEAP = Cost(1 << 4, 8, 1)


def test_a_secret_matches_what_was_kept_of_it_and_no_other_does() -> None:
    kept = hashed("right", CHEAP)
    assert matches("right", kept)
    for wrong in ("wrong", "", "right ", "Right"):
        assert not matches(wrong, kept)


def test_what_is_kept_of_a_secret_differs_each_time_and_does_not_hold_it() -> None:
    one, other = hashed("right", CHEAP), hashed("right", CHEAP)
    assert one.digest != other.digest
    assert b"right" not in one.digest + one.salt


def test_a_password_is_the_same_from_every_keyboard() -> None:
    assert matches("caf\u00e9", hashed("cafe\u0301", CHEAP))


def test_what_is_kept_can_not_ask_for_more_memory_than_any_secret_takes() -> None:
    with pytest.raises(ValueError, match="a hash that costs"):
        Cost(1 << 22, 8, 1)


@pytest.mark.parametrize("cost", [OF_A_KEY, OF_A_PASSWORD])
def test_one_attempt_costs_what_a_machine_has(cost: Cost) -> None:
    assert 16 << 20 <= 128 * cost.n * cost.r <= 64 << 20
    assert matches("x", hashed("x", cost))


class Counting:
    """Computes hashes as `matches` does, and counts them; none ends before it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.computed = self.now = self.most = 0
        self.may_end = threading.Event()
        monkeypatch.setattr(verifying, "matches", self)

    async def until(self, number: int) -> None:
        while self.now < number:  # noqa: ASYNC110 - threads set no event of a loop
            await anyio.sleep(LOOK_SECONDS)

    def __call__(self, secret: str, kept: Hash) -> bool:
        self.computed += 1
        self.now += 1
        self.most = max(self.most, self.now)
        assert self.may_end.wait(20)
        self.now -= 1
        return hashing.matches(secret, kept)


@pytest.mark.anyio
async def test_a_right_secret_is_computed_once_and_counts_for_what_was_kept_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(monkeypatch)
    counting.may_end.set()
    verifier, kept = Verifier(), hashed("right", CHEAP)
    assert [await verifier.verify("right", kept) for _ in range(3)] == [True] * 3
    assert counting.computed == 1
    assert not await verifier.verify("right", hashed("another", CHEAP))
    assert counting.computed == 2


@pytest.mark.anyio
async def test_a_wrong_secret_is_never_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    counting.may_end.set()
    verifier, kept = Verifier(), hashed("right", CHEAP)
    for number in range(1, 4):
        assert not await verifier.verify("wrong", kept)
        assert counting.computed == number


@pytest.mark.anyio
async def test_so_many_are_computed_at_a_time_so_many_wait_and_more_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Counting(monkeypatch)
    verifier, kept = Verifier(), hashed("right", CHEAP)
    said: list[bool] = []

    async def ask(number: int) -> None:
        said.append(await verifier.verify(f"wrong {number}", kept))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(WAITING):
                tasks.start_soon(ask, number)
            await counting.until(AT_A_TIME)
            with pytest.raises(Busy):
                await verifier.verify("one more", kept)
            counting.may_end.set()
        assert said == [False] * WAITING
        assert counting.most == AT_A_TIME
        assert await verifier.verify("right", kept)


@pytest.mark.anyio
async def test_who_gives_the_same_right_secret_at_once_does_not_pay_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    counting.may_end.set()
    verifier, kept = Verifier(), hashed("right", CHEAP)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(verifier.verify, "right", kept)
    assert counting.computed <= AT_A_TIME


@pytest.mark.anyio
async def test_a_caller_that_leaves_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    verifier, kept = Verifier(), hashed("right", CHEAP)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(WAITING):
                tasks.start_soon(verifier.verify, f"wrong {number}", kept)
            await counting.until(AT_A_TIME)
            tasks.cancel_scope.cancel()
            counting.may_end.set()
        assert await verifier.verify("right", kept)
