"""What does a flood of tokens reach that are none? An issuer that is asked so often and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from auth.authorization_server import AuthorizationServer, authorization_server
from dynamo_mcp.auth import introspection
from dynamo_mcp.auth.introspection import AT_A_TIME, BELIEVED_SECONDS, NEW, SECONDS_BETWEEN, Introspection
from dynamo_mcp.auth.reaching import Asking
from dynamo_mcp.auth.waiting import WAITING
from dynamo_mcp.errors import Busy, DynamoError, Failed, Unauthenticated
from dynamo_mcp.settings import load

pytestmark = pytest.mark.anyio

SECONDS = 60


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[AuthorizationServer]:
    async with authorization_server() as server:
        with anyio.fail_after(SECONDS):
            yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(issuer: AuthorizationServer, clock: Clock, tmp_path: Path) -> Introspection:
    return Introspection(Asking(load({}, home=tmp_path)), f"{issuer.issuer}/introspect", issuer.client, clock=clock)


@pytest.fixture
def asking(issuer: AuthorizationServer, clock: Clock, tmp_path: Path) -> Introspection:
    return made(issuer, clock, tmp_path)


def good(issuer: AuthorizationServer, *tokens: str) -> None:
    """Have these be good."""
    issuer.introspected |= {token: {"active": True, **issuer.claims(sub=token)} for token in tokens}


class Gate:
    """What an issuer is behind that answers when it is let (ASGI)."""

    def __init__(self, issuer: AuthorizationServer) -> None:
        self._issuer = issuer
        self.at_once = self.most = 0
        self.let = anyio.Event()
        self.full = anyio.Event()
        self.passes: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = str((await Request(scope, receive).form())["token"])
        if token not in self.passes:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            if self.at_once == AT_A_TIME:
                self.full.set()
            await self.let.wait()
            self.at_once -= 1
        await JSONResponse(self._issuer.introspected.get(token, {"active": False}))(scope, receive, send)


@pytest.fixture
def gate(issuer: AuthorizationServer) -> Gate:
    gate = Gate(issuer)
    issuer.says["/introspect"] = gate  # type: ignore[assignment]
    return gate


async def flood(asking: Introspection, number: int, prefix: str = "forged") -> list[type[DynamoError]]:
    """Give so many tokens that are none, one after the other."""
    told: list[type[DynamoError]] = []
    for each in range(number):
        with pytest.raises((Busy, Unauthenticated)) as refused:
            await asking.claims(f"{prefix}-{each}")
        told.append(refused.type)
    return told


async def test_a_flood_of_tokens_asks_a_few_at_a_time_and_the_rest_is_told_to_come_back(
    issuer: AuthorizationServer, asking: Introspection, gate: Gate
) -> None:
    outcomes = []

    async def ask(number: int) -> None:
        with pytest.raises((Busy, Unauthenticated)) as refused:
            await asking.claims(f"token-{number}")
        outcomes.append(refused.type)

    async with anyio.create_task_group() as tasks:
        for number in range(WAITING + 50):
            tasks.start_soon(ask, number)
        await gate.full.wait()
        assert outcomes == [Busy] * 50
        gate.let.set()
    assert gate.most == AT_A_TIME
    assert outcomes.count(Unauthenticated) == len(issuer.asked) == WAITING


async def test_the_issuer_is_asked_of_new_tokens_so_often_at_once_and_then_once_in_a_while(
    issuer: AuthorizationServer, asking: Introspection, clock: Clock
) -> None:
    told = await flood(asking, NEW + 300)
    assert told == [Unauthenticated] * NEW + [Busy] * 300
    assert len(issuer.asked) == NEW
    with pytest.raises(Busy) as refused:
        await asking.claims("another")
    assert "try again" in refused.value.hint
    clock.now += 1.0
    told = await flood(asking, 100, "later")
    assert told.count(Unauthenticated) == pytest.approx(1 / SECONDS_BETWEEN, abs=1)
    good(issuer, "mine")
    clock.now += 1.0
    assert (await asking.claims("mine"))["sub"] == "mine"


async def test_a_token_that_was_good_goes_on_however_many_are_sent_that_never_were(
    issuer: AuthorizationServer, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = 10
    monkeypatch.setattr(introspection, "NEW", new)
    monkeypatch.setattr(introspection, "BAD", 5)
    asking = made(issuer, clock, tmp_path)
    good(issuer, "mine", "left")
    for token in ("mine", "left"):
        await asking.claims(token)
    await flood(asking, new + 5)
    asked = len(issuer.asked)
    for _ in range(3):
        assert (await asking.claims("mine"))["sub"] == "mine"
    assert len(issuer.asked) == asked
    del issuer.introspected["left"]
    issuer.introspected["mine"]["scope"] = "admin"
    # What of the rate comes back in the half minute goes to others, too.
    clock.now += BELIEVED_SECONDS
    assert Busy in await flood(asking, new + 5, "again")
    asked = len(issuer.asked)
    assert (await asking.claims("mine"))["scope"] == "admin"
    with pytest.raises(Unauthenticated):
        await asking.claims("left")
    assert len(issuer.asked) == asked + 2
    # One that is good no more is one of those by which nobody is disturbed.
    clock.now += BELIEVED_SECONDS
    await flood(asking, new + 5, "and again")
    with pytest.raises(Busy):
        await asking.claims("left")


async def test_a_token_that_was_good_waits_for_none_that_was_not(
    issuer: AuthorizationServer, asking: Introspection, clock: Clock, gate: Gate
) -> None:
    good(issuer, "mine")
    gate.passes.add("mine")
    await asking.claims("mine")
    clock.now += BELIEVED_SECONDS

    async def ask(number: int) -> None:
        with pytest.raises((Busy, Unauthenticated)):
            await asking.claims(f"token-{number}")

    async with anyio.create_task_group() as tasks:
        for number in range(WAITING + 1):
            tasks.start_soon(ask, number)
        await gate.full.wait()
        assert (await asking.claims("mine"))["sub"] == "mine"
        gate.let.set()


async def test_of_a_token_that_many_give_at_once_the_issuer_is_asked_a_few_times(
    issuer: AuthorizationServer, asking: Introspection, gate: Gate
) -> None:
    good(issuer, "shared")
    async with anyio.create_task_group() as tasks:
        for _ in range(WAITING):
            tasks.start_soon(asking.claims, "shared")
        await gate.full.wait()
        gate.let.set()
    assert len(issuer.asked) == AT_A_TIME


async def test_what_is_kept_of_tokens_is_bounded_and_one_is_asked_about_once(
    issuer: AuthorizationServer, asking: Introspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "BAD", 5)
    monkeypatch.setattr(introspection, "GOOD", 3)
    for number in (*range(8), 7, 7, 0):
        with pytest.raises(Unauthenticated):
            await asking.claims(f"token-{number}")
    assert len(issuer.asked) == 9
    tokens = [f"good-{number}" for number in range(4)]
    good(issuer, *tokens)
    for token in (*tokens[:3], tokens[0], tokens[3], tokens[0], tokens[1]):
        await asking.claims(token)
    assert len(issuer.asked) == 9 + 5


async def test_an_issuer_that_fails_says_nothing_of_a_token(issuer: AuthorizationServer, asking: Introspection) -> None:
    good(issuer, "mine")
    issuer.says["/introspect"] = Response(status_code=500)
    with pytest.raises(Failed):
        await asking.claims("mine")
    del issuer.says["/introspect"]
    assert (await asking.claims("mine"))["sub"] == "mine"
