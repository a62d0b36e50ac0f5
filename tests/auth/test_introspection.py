"""What does a flood of tokens reach that are none? An issuer that is asked a few at a time, and little that is kept."""

from __future__ import annotations

import anyio
import pytest

from dynamo_mcp.auth import introspection
from dynamo_mcp.auth.introspection import Introspection
from dynamo_mcp.errors import Busy, Unauthenticated

pytestmark = pytest.mark.anyio


class Slow:
    """An issuer that knows no token, and answers when it is let."""

    def __init__(self) -> None:
        self.asked = self.at_once = self.most = 0
        self.let = anyio.Event()

    async def post(self, _address: str, _form: object, _user: object) -> dict[str, bool]:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.let.wait()
        finally:
            self.at_once -= 1
        return {"active": False}


async def test_a_flood_of_tokens_asks_a_few_at_a_time_and_the_rest_is_told_to_come_back() -> None:
    issuer, outcomes = Slow(), []
    asking = Introspection(issuer, "https://issuer.example/introspect", None)  # type: ignore[arg-type]

    async def ask(number: int) -> None:
        with pytest.raises((Busy, Unauthenticated)) as refused:
            await asking.claims(f"token-{number}")
        outcomes.append(refused.type)

    flood = introspection.WAITING + 50
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(flood):
                tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
            assert issuer.most == introspection.AT_A_TIME
            assert outcomes == [Busy] * 50
            issuer.let.set()
    assert outcomes.count(Unauthenticated) == introspection.WAITING
    assert issuer.asked == introspection.WAITING


async def test_what_is_kept_of_tokens_that_are_none_is_bounded_and_one_is_asked_about_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(introspection, "REMEMBERED", 5)
    issuer = Slow()
    issuer.let.set()
    asking = Introspection(issuer, "https://issuer.example/introspect", None)  # type: ignore[arg-type]
    for number in (*range(8), 7, 7, 0):
        with pytest.raises(Unauthenticated):
            await asking.claims(f"token-{number}")
    assert issuer.asked == 9
