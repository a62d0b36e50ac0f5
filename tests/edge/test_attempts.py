"""Who has failed too often? Its time is an argument here."""

from __future__ import annotations

import pytest

from dynamo_mcp.errors import TooManyAttempts
from dynamo_mcp.transports import attempts
from dynamo_mcp.transports.attempts import FAILURES, SECONDS_BETWEEN, Attempts


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def exhausted(peer: str | None, clock: Clock) -> Attempts:
    known = Attempts(clock)
    for _ in range(FAILURES):
        known.check(peer, "x")
        known.failed(peer, "it was wrong")
    return known


def test_one_address_fails_so_often_and_then_once_in_a_while() -> None:
    clock = Clock()
    known = exhausted("192.0.2.1", clock)
    with pytest.raises(TooManyAttempts) as raised:
        known.check("192.0.2.1", "x")
    assert raised.value.seconds == pytest.approx(SECONDS_BETWEEN)
    known.check("192.0.2.2", "x")
    clock.now += SECONDS_BETWEEN
    known.check("192.0.2.1", "x")


def test_what_was_let_in_from_an_address_is_heard_from_there_and_from_nowhere_else() -> None:
    clock = Clock()
    known = exhausted("192.0.2.1", clock)
    known.succeeded("192.0.2.1", "right")
    known.check("192.0.2.1", "right")
    for _ in range(FAILURES):
        known.failed("192.0.2.2", "it was wrong")
    with pytest.raises(TooManyAttempts):
        known.check("192.0.2.2", "right")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        (None, ""),
    ],
)
def test_addresses_that_one_caller_has_count_as_one(one: str | None, other: str | None) -> None:
    known = exhausted(one, Clock())
    with pytest.raises(TooManyAttempts):
        known.check(other, "x")


def test_another_network_is_another_caller() -> None:
    exhausted("2001:db8::1", Clock()).check("2001:db8:0:1::1", "x")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PEERS", 3)
    monkeypatch.setattr(attempts, "ADMITTED", 3)
    known = Attempts(Clock())
    for number in range(100):
        known.failed(f"192.0.2.{number}", "it was wrong")
        known.succeeded(f"192.0.2.{number}", "right")
    assert len(known._rates) == len(known._admitted) == 3  # noqa: SLF001 - nothing else tells
