"""What does a caller reach that sends all it can? Its part of what may be under way, and others go on."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp_types import JSONRPCRequest

from dynamo_mcp.server import build
from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.messages import speak
from dynamo_mcp.transports.shares import Budget, Full, Shares, TooMuch
from dynamo_mcp.transports.under_way import UnderWay
from edge.joining import over_http
from edge.raw import request
from edge.test_http import DISCOVER
from edge.test_http_limits import HELLO
from edge.test_http_resuming import Named
from edge.test_messages import FINAL, MORE, TEXT, Kind, by_hand, closed, frame, half, over_both, served, socket_of
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

SECONDS = 20
LIMITS = Serving(total_body_bytes=40_000, body_bytes=5000)
SIZE = 4500
"""Bytes of a message, of which a caller may have two."""
REFUSED = "10000 bytes of your requests are under way, as many as may be"


def held(number: int) -> str:
    """A create that lasts until it is released or cancelled."""
    asked = request(number, "tools/call", name="create_alpha", arguments={"project_name": HELD})
    return json.dumps(asked).ljust(SIZE)


async def test_over_http_who_fills_its_part_is_refused_alone_and_answered_again_after_it(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    creates = DISCOVER | {"mcp-method": "tools/call", "mcp-name": "create_alpha"}
    async with (
        over_http(fake, limits=LIMITS, authenticators=(Named(),)) as url,
        httpx2.AsyncClient(timeout=SECONDS) as client,
    ):

        async def ask(who: str) -> httpx2.Response:
            content = json.dumps(HELLO).ljust(SIZE)
            return await client.post(f"{url}/mcp", headers=DISCOVER | {"authorization": who}, content=content)

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for number in range(2):
                    headers = creates | {"authorization": "one"}
                    tasks.start_soon(lambda: client.post(f"{url}/mcp", headers=headers, content=held(number)))  # noqa: B023
                    await fake.held.acquire()
                refused = await ask("one")
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
                assert refused.json() == {"error": REFUSED}
                assert (await ask("other")).status_code == 200
                fake.release()
            assert (await ask("one")).status_code == 200


@over_both
async def test_over_connections_who_fills_its_part_is_refused_alone_and_answered_again_after_it(
    kind: Kind, tmp_path: Path
) -> None:
    fake = FakeDynamo(tmp_path)
    hello = json.dumps(HELLO).ljust(SIZE)
    with anyio.fail_after(SECONDS):
        async with (
            served(kind, fake, limits=LIMITS, authenticators=(Named(),)) as address,
            by_hand(kind, address, authorization="one") as (say, _),
            by_hand(kind, address, authorization="one") as (say_more, hear_more),
            by_hand(kind, address, authorization="other") as (say_else, hear_else),
        ):
            for number in range(2):
                await say(held(number))
                await fake.held.acquire()
            await say_more(hello)
            assert REFUSED in (await hear_more())["error"]["message"]
            await say_else(hello)
            assert "result" in await hear_else()
            # To cancel something is no request, and is heard.
            await say(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}}))
            answer: dict[str, Any] = {}
            while "result" not in answer:
                await say_more(hello)
                answer = await hear_more()


@pytest.mark.parametrize("named", [True, False], ids=["callers", "addresses"])
async def test_half_messages_of_one_end_its_own_sockets_and_nobody_else_s(named: bool, tmp_path: Path) -> None:
    begun = frame(TEXT, b"{".ljust(2000))
    rest = frame(FINAL | MORE, json.dumps(HELLO)[1:].ljust(2000).encode())
    authenticators = (Named(),) if named else ()
    who: tuple[dict[str, Any], ...] = ({"who": "one"}, {"who": "other"})
    if not named:
        who = {"local_host": "127.0.0.2"}, {"local_host": "127.0.0.3"}
    with anyio.fail_after(SECONDS):
        async with (
            over_http(FakeDynamo(tmp_path), limits=LIMITS, authenticators=authenticators) as url,
            half(url, begun, **who[1]) as other,
            AsyncExitStack() as stack,
        ):
            kept = frame(FINAL | TEXT, b"x" * 4000, 5000)
            for _ in range(2):
                await stack.enter_async_context(half(url, kept, **who[0]))
            for _ in range(20):
                more = await stack.enter_async_context(half(url, kept, **who[0]))
                assert REFUSED.encode() in await closed(more)
            await other.send(rest)
            assert b'"result"' in await other.receive()


async def test_what_was_half_sent_counts_no_longer_when_its_socket_ends_though_its_client_reads_no_more() -> None:
    with anyio.fail_after(SECONDS):
        async with socket_of([], total_body_bytes=1000, body_bytes=100) as (socket, transport):
            socket.data_received(frame(TEXT, b"x" * 200))
            socket.data_received(frame(MORE, b"x" * 51))
            assert b"250 bytes of your requests are under way" in transport.text
            socket.halves.count("peer ", 250)
            socket.halves.check("peer ")


def test_what_one_has_beyond_its_part_leaves_no_less_to_others_and_four_may_have_all() -> None:
    budget = Budget(400, 10)
    budget.count("one", 1000)
    with pytest.raises(TooMuch, match=r"^100 bytes of your requests"):
        budget.check("one")
    for other in ("two", "three", "four"):
        budget.count(other, 100)
        budget.check(other)
    budget.count("five", 1)
    with pytest.raises(Full):
        budget.check("five")
    budget.count("one", -901)
    budget.check("five")


def test_a_part_is_two_messages_at_least() -> None:
    budget = Budget(400, 300)
    budget.count("one", 400)
    budget.check("one")
    budget.count("one", 201)
    with pytest.raises(TooMuch, match=r"^600 bytes"):
        budget.check("one")


def test_a_message_counts_from_when_it_is_heard_and_no_longer_where_it_is_refused() -> None:
    shares = Shares(Serving(total_body_bytes=4000, body_bytes=500))
    one, same = UnderWay(shares, "one"), UnderWay(shares, "one")
    first, second = (JSONRPCRequest(jsonrpc="2.0", id=number, method="ping") for number in range(2))
    with one.hearing(600):  # whatever it is
        with same.hearing(600):
            refused = same.begin(first)
            assert refused is not None
            assert "1000 bytes" in refused.error.message
        assert one.begin(first) is None
    with same.hearing(300):
        assert same.begin(first) is None
    with same.hearing(200):
        assert same.begin(second) is not None
    one.end(first.id)
    with same.hearing(700):
        assert same.begin(second) is None


async def test_nothing_of_what_is_refused_is_kept_while_its_client_does_not_hear_of_it(tmp_path: Path) -> None:
    gone, telling = anyio.Event(), anyio.Event()

    class Sent(bytes):
        __slots__ = ()

        def __del__(self) -> None:
            gone.set()

    class Text(str):
        __slots__ = ()

        def encode(self, *_: Any, **__: Any) -> bytes:
            return Sent(super().encode())

    texts = [Text(json.dumps(HELLO).ljust(1500))]

    async def hear() -> str:
        return texts.pop()

    async def tell(_: str) -> None:
        telling.set()
        await anyio.sleep_forever()

    shares = Shares(Serving(total_body_bytes=1000))
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            server = build(FakeDynamo(tmp_path).dynamo)
            tasks.start_soon(speak, server, hear, tell, UnderWay(shares, "one"), SECONDS)
            await telling.wait()
            await gone.wait()
            shares.bytes.count("one", 1000)
            shares.bytes.check("one")
            tasks.cancel_scope.cancel()
