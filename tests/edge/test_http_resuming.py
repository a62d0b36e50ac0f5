"""What becomes of a stream that breaks off? A client of the handshake versions comes back, and has missed nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp_types import JSONRPCNotification, JSONRPCResponse

from dynamo_mcp.callers import Caller
from dynamo_mcp.progress import Sink, Step, ignore
from dynamo_mcp.serving import Serving
from dynamo_mcp.transports.events import Log, Shelf
from edge.joining import over_http
from edge.older import call, create, events, shake
from fakes import FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.server.streamable_http import EventMessage

pytestmark = pytest.mark.anyio

STEPS = 12


class Stepping(FakeDynamo):
    """Creates take a step each time they are let."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(outputs)
        self.let = anyio.Semaphore(0)

    async def create_project(self, *given: Any, sink: Sink = ignore, **named: Any) -> Any:
        for step in range(STEPS):
            await self.let.acquire()
            await sink(Step(name="render", position=step + 1, total=STEPS, message=f"step {step + 1}"))
        return await super().create_project(*given, **named)


class Named:
    """Knows two callers by what they say."""

    challenge = "Bearer"

    async def authenticate(self, authorization: str) -> Caller | None:
        return Caller(authorization, frozenset({"admin"}))


@pytest.mark.parametrize("leaves_after", [0, 1, 5, STEPS])
async def test_who_leaves_in_the_middle_of_a_create_and_resumes_gets_everything_once(
    leaves_after: int, tmp_path: Path
) -> None:
    fake = Stepping(tmp_path)
    got: list[dict[str, Any]] = []
    async with over_http(fake) as url, httpx2.AsyncClient(timeout=20) as client:
        headers = await shake(client, url)
        with anyio.fail_after(20):
            async with client.stream("POST", f"{url}/mcp", headers=headers, json=create(1, "mine")) as response:
                stream = events(response)
                last = await anext(stream)
                assert last.data == ""
                assert last.retry == "1000"
                for _ in range(leaves_after):
                    fake.let.release()
                    last = await anext(stream)
                    got.append(last.message)
            async with anyio.create_task_group() as tasks:

                async def go_on() -> None:
                    for _ in range(STEPS - leaves_after):
                        fake.let.release()
                        await anyio.lowlevel.checkpoint()

                tasks.start_soon(go_on)
                # It comes back while the rest happens, and breaks off after each event.
                while not got or "result" not in got[-1]:
                    resumed = headers | {"last-event-id": last.id}
                    async with client.stream("GET", f"{url}/mcp", headers=resumed) as response:
                        last = await anext(events(response))
                        got.append(last.message)
            resumed = headers | {"last-event-id": last.id}
            async with client.stream("GET", f"{url}/mcp", headers=resumed) as response:
                assert [event async for event in events(response)] == []  # nothing comes after the result
    told = [message["params"]["progress"] for message in got[:-1]]
    assert told == list(range(1, STEPS + 1)), got
    assert got[-1]["result"]["structuredContent"]["id"] == "7"
    assert len(fake.created) == 1


async def test_one_resumed_stream_gets_what_happened_and_what_happens(tmp_path: Path) -> None:
    fake = Stepping(tmp_path)
    async with over_http(fake) as url, httpx2.AsyncClient(timeout=20) as client:
        headers = await shake(client, url)
        with anyio.fail_after(20):
            async with client.stream("POST", f"{url}/mcp", headers=headers, json=create(1, "mine")) as response:
                begun = await anext(events(response))
            fake.let.release()
            resumed = headers | {"last-event-id": begun.id}
            async with client.stream("GET", f"{url}/mcp", headers=resumed) as response:
                stream = events(response)
                assert (await anext(stream)).message["params"]["message"] == "step 1"
                for _ in range(STEPS):
                    fake.let.release()
                rest = [event.message async for event in stream]
    assert [message["params"]["progress"] for message in rest[:-1]] == list(range(2, STEPS + 1))
    assert rest[-1]["id"] == 1


async def test_a_stolen_event_is_of_no_use_to_another_caller(tmp_path: Path) -> None:
    fake = Stepping(tmp_path)
    async with over_http(fake, authenticators=(Named(),)) as url, httpx2.AsyncClient(timeout=20) as client:
        with anyio.fail_after(20):
            mine = await shake(client, url, {"authorization": "mine"})
            theirs = await shake(client, url, {"authorization": "theirs"})
            async with client.stream("POST", f"{url}/mcp", headers=mine, json=create(1, "mine")) as response:
                stream = events(response)
                event = await anext(stream)
                for _ in range(STEPS):
                    fake.let.release()
                assert [each async for each in stream]
            stolen = theirs | {"last-event-id": event.id}
            async with client.stream("GET", f"{url}/mcp", headers=stolen) as response:
                assert [each async for each in events(response)] == []
            # Nor with the session's identifier, which is not theirs either.
            answer = await client.get(f"{url}/mcp", headers=stolen | {"mcp-session-id": mine["mcp-session-id"]})
            assert answer.status_code == 404
            resumed = mine | {"last-event-id": event.id}
            async with client.stream("GET", f"{url}/mcp", headers=resumed) as response:
                assert len([each async for each in events(response)]) == STEPS + 1


async def test_an_ended_session_keeps_nothing(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient(timeout=20) as client:
        headers = await shake(client, url)
        async with client.stream("POST", f"{url}/mcp", headers=headers, json=call(1, "tools/list")) as response:
            listed = [event async for event in events(response)]
        assert (await client.delete(f"{url}/mcp", headers=headers)).status_code == 200
        resumed = headers | {"last-event-id": listed[0].id}
        assert (await client.get(f"{url}/mcp", headers=resumed)).status_code == 404


async def test_a_silent_stream_carries_comments(tmp_path: Path) -> None:
    fake = Stepping(tmp_path)
    limits = Serving(keep_alive_seconds=0.05)
    async with over_http(fake, limits=limits) as url, httpx2.AsyncClient(timeout=20) as client:
        headers = await shake(client, url)
        with anyio.fail_after(20):
            async with client.stream("POST", f"{url}/mcp", headers=headers, json=create(1, "mine")) as response:
                async for line in response.aiter_lines():
                    if line.startswith(":"):
                        break


async def test_a_session_that_nobody_uses_ends(tmp_path: Path) -> None:
    limits = Serving(session_seconds=0.05)
    async with over_http(FakeDynamo(tmp_path), limits=limits) as url, httpx2.AsyncClient(timeout=20) as client:
        headers = await shake(client, url)
        with anyio.fail_after(20):
            status = 200
            while status != 404:
                status = (await client.post(f"{url}/mcp", headers=headers, json=call(1, "ping"))).status_code
                await anyio.sleep(0.1)  # each request holds the session


def told(number: int) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": number})


async def replayed(log: Log, name: str) -> list[int]:
    """Return the numbers of the notifications that follow, until the log says no more for a moment."""
    numbers: list[int] = []

    async def send(event: EventMessage) -> None:
        if isinstance(event.message, JSONRPCNotification) and event.message.params:
            numbers.append(event.message.params["data"])

    with anyio.move_on_after(0.05):
        await log.replay_events_after(name, send)
    return numbers


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Serving(session_events=10), 10),
        (Serving(session_bytes=4000), 10),
        (Serving(event_bytes=4000), 10),
        (Serving(event_seconds=1e-9), 0),
    ],
)
async def test_each_bound_lets_the_oldest_go(limits: Serving, kept: int) -> None:
    shelf = Shelf(limits)
    log = Log(shelf)
    names = [await log.store_event("1", told(number)) for number in range(100)]
    assert len(shelf) <= kept + 1
    assert len(shelf) >= min(1, kept)
    assert shelf.bytes <= 6000
    assert await replayed(log, names[0]) == []  # it can't be continued without a gap
    if kept:
        assert await replayed(log, names[-3]) == [98, 99]
    log.close()
    assert (len(shelf), shelf.bytes) == (0, 0)


async def test_all_sessions_share_one_bound() -> None:
    shelf = Shelf(Serving(event_bytes=4000))
    first, second = Log(shelf), Log(shelf)
    early = await first.store_event("1", told(0))
    for number in range(100):
        await second.store_event("1", told(number))
    await first.store_event("1", told(1))
    assert await replayed(first, early) == []
    assert shelf.bytes <= 4000


async def test_who_reads_too_slowly_what_goes_is_told_no_more_rather_than_with_a_gap() -> None:
    log = Log(Shelf(Serving(session_events=5)))
    names = [await log.store_event("1", told(0))]
    got: list[EventMessage] = []
    slow = anyio.Event()

    async def send(event: EventMessage) -> None:
        got.append(event)
        await slow.wait()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.replay_events_after, names[0], send)
            names += [await log.store_event("1", told(1))]
            await anyio.wait_all_tasks_blocked()
            for number in range(2, 20):
                await log.store_event("1", told(number))
            slow.set()
    assert len(got) == 1


async def test_who_comes_back_takes_the_stream_from_the_connection_before() -> None:
    log = Log(Shelf(Serving()))
    name = await log.store_event("1", told(0))
    got: list[str] = []

    def send_as(who: str) -> Any:
        async def send(_: EventMessage) -> None:
            got.append(who)

        return send

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.replay_events_after, name, send_as("half open"))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(log.replay_events_after, name, send_as("back"))
            await anyio.wait_all_tasks_blocked()
            await log.store_event("1", JSONRPCResponse(jsonrpc="2.0", id=1, result={}))
    assert got == ["back"]


@pytest.mark.parametrize("name", ["", "x", "-1", "0-1", "٣", "-" + "9" * 5000])
async def test_what_is_no_event_of_ours_is_followed_by_nothing(name: str) -> None:
    log = Log(Shelf(Serving()))
    known = await log.store_event("1", told(0))
    prefix = known.partition("-")[0]
    for given in (name, f"{prefix}-{name}", f"{prefix}{name}"):
        with anyio.fail_after(5):
            assert await replayed(log, given) == []
