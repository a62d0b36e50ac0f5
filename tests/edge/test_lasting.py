"""How long a connection is heard: no longer than what its client gave holds."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import grpc.aio
import httpx2
import msgspec
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from dynamo_mcp.auth import basic, keys
from dynamo_mcp.cli.admission import Admission as Chosen
from dynamo_mcp.errors import Failed, Unauthenticated
from dynamo_mcp.settings import Settings, load
from dynamo_mcp.transports import admission
from dynamo_mcp.transports.admission import admit
from edge.framed import CONNECT
from edge.joining import over_grpc, over_http
from edge.raw import request
from edge.test_permission import ByScope
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

SECONDS = 8
GONE = "gone"
Hear: TypeAlias = "Callable[[], Awaitable[str]]"
Say: TypeAlias = "Callable[[str], Awaitable[None]]"

JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
LISTENING = request(1, "subscriptions/listen", notifications={"toolsListChanged": True})
HOLDING = request(1, "tools/call", name="create_alpha", arguments={"project_name": HELD})
PING = json.dumps(request(2, "tools/call", name="list_templates", arguments={}))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({}, home=tmp_path / "home")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SECONDS_BETWEEN", 0.05)


def key(settings: Settings, name: str) -> str:
    entry, text = keys.new(name, ("templates:read", "projects:create"), None)
    keys.book(settings).add(entry)
    return f"Bearer {text}"


@asynccontextmanager
async def framed(kind: str, fake: FakeDynamo, settings: Settings, given: str) -> AsyncIterator[tuple[Say, Hear]]:
    """Say and hear messages; what is heard at the end is how it ended."""
    fields = Chosen(("keys",)).fields(settings, host="127.0.0.1")
    async with AsyncExitStack() as stack:
        if kind == "websocket":
            url = await stack.enter_async_context(over_http(fake, **fields))
            socket = await stack.enter_async_context(
                connect(
                    f"ws{url.removeprefix('http')}/ws",
                    subprotocols=["mcp"],  # type: ignore[list-item]
                    additional_headers={"authorization": given},
                )
            )

            async def hear() -> str:
                try:
                    return str(await socket.recv())
                except ConnectionClosed as closed:
                    return f"{GONE} {closed.rcvd.code if closed.rcvd else None}"

            yield socket.send, hear
        else:
            address = await stack.enter_async_context(over_grpc(fake, **fields))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            call = channel.stream_stream(
                CONNECT, request_serializer=StringValue.SerializeToString, response_deserializer=StringValue.FromString
            )(metadata=(("authorization", given),))

            async def say(text: str) -> None:
                await call.write(StringValue(value=text))

            async def listen() -> str:
                try:
                    message = await call.read()
                except grpc.aio.AioRpcError as error:
                    return f"{GONE} {error.code().name}"
                return message.value if isinstance(message, StringValue) else f"{GONE} {(await call.code()).name}"

            yield say, listen
            call.cancel()


over_both = pytest.mark.parametrize(
    ("kind", "ended"), [("websocket", f"{GONE} 1008"), ("grpc", f"{GONE} UNAUTHENTICATED")]
)


@over_both
async def test_a_connection_ends_with_the_first_message_after_its_key_was_revoked(
    kind: str, ended: str, tmp_path: Path, settings: Settings
) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with framed(kind, fake, settings, key(settings, "ci")) as (say, hear):
            for _ in range(2):
                await say(PING)
                assert json.loads(await hear())["result"]["structuredContent"]
            keys.book(settings).remove("ci")
            await say(PING)
            assert await hear() == ended


@pytest.mark.usefixtures("often")
@over_both
async def test_a_connection_that_is_silent_ends_too_and_so_does_what_it_has_under_way(
    kind: str, ended: str, tmp_path: Path, settings: Settings
) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with framed(kind, fake, settings, key(settings, "ci")) as (say, hear):
            await say(json.dumps(HOLDING))
            await fake.held.acquire()
            keys.book(settings).remove("ci")
            assert await hear() == ended
            await fake.cancelled.wait()


async def stream(kind: str, client: httpx2.AsyncClient, url: str, given: str) -> Any:
    """Return the context of a response that stays open."""
    headers = JSON | {"authorization": given}
    if kind == "sse":
        return client.stream("GET", f"{url}/sse", headers=headers)
    if kind == "get":
        opened = await client.post(
            f"{url}/mcp",
            headers=headers,
            json=INITIALIZE,
        )
        session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        return client.stream("GET", f"{url}/mcp", headers=headers | session)
    message = LISTENING if kind == "listen" else HOLDING
    named = {"mcp-name": "create_alpha"} if kind == "call" else {}
    version = {"mcp-protocol-version": "2026-07-28", "mcp-method": message["method"], **named}
    return client.stream("POST", f"{url}/mcp", headers=headers | version, json=message)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("kind", ["sse", "get", "listen"])
async def test_a_stream_ends_as_a_whole_response_when_its_key_is_revoked_and_no_other_does(
    kind: str, tmp_path: Path, settings: Settings
) -> None:
    fake = FakeDynamo(tmp_path)
    fields = Chosen(("keys",)).fields(settings, host="127.0.0.1")
    one, other = key(settings, "one"), key(settings, "other")
    with anyio.fail_after(SECONDS):
        async with (
            over_http(fake, **fields) as url,
            httpx2.AsyncClient(timeout=SECONDS) as client,
            await stream(kind, client, url, one) as ending,
            await stream(kind, client, url, other) as lasting,
        ):
            assert (ending.status_code, lasting.status_code) == (200, 200)
            goes_on = lasting.aiter_bytes()
            if kind != "get":
                await anext(goes_on)
            keys.book(settings).remove("one")
            async for _ in ending.aiter_bytes():  # raises where the response is cut
                pass
            with anyio.move_on_after(0.3) as waiting:
                await anext(goes_on)
            assert waiting.cancelled_caught


@pytest.mark.usefixtures("often")
async def test_a_call_is_cancelled_when_the_key_that_it_came_with_is_revoked(
    tmp_path: Path, settings: Settings
) -> None:
    fake = FakeDynamo(tmp_path)
    fields = Chosen(("keys",)).fields(settings, host="127.0.0.1")
    given = key(settings, "ci")
    with anyio.fail_after(SECONDS):
        async with over_http(fake, **fields) as url, httpx2.AsyncClient(timeout=SECONDS) as client:

            async def call() -> None:
                async with await stream("call", client, url, given) as response:
                    statuses.append(response.status_code)
                    await response.aread()

            statuses: list[int] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await fake.held.acquire()
                keys.book(settings).remove("ci")
                await fake.cancelled.wait()
            assert statuses in ([200], [503])


async def admitted(settings: Settings, given: str, *ways: str) -> admission.Admission:
    fields = Chosen(ways).fields(settings, host="127.0.0.1")
    return await admit(fields["authenticators"], [given])


async def test_what_was_given_holds_until_it_expires(settings: Settings) -> None:
    entry, text = keys.new("ci", ("admin",), None)
    keys.book(settings).add(entry)
    admission = await admitted(settings, f"Bearer {text}", "keys")
    assert await admission.still_holds()
    keys.book(settings).remove("ci")
    keys.book(settings).add(msgspec.structs.replace(entry, expires=time.time() - 1))
    assert not await admission.still_holds()


async def test_it_holds_no_more_where_it_allows_anything_else_than_it_did(settings: Settings) -> None:
    password = "correct horse battery"  # noqa: S105 - of the tests alone
    book = basic.book(settings)
    book.add(basic.new("anna", ("admin",), password))
    admission = await admitted(settings, "Basic YW5uYTpjb3JyZWN0IGhvcnNlIGJhdHRlcnk=", "basic")
    assert await admission.still_holds()
    book.remove("anna")
    book.add(basic.new("anna", ("templates:read",), password))
    assert not await admission.still_holds()
    # What is over stays so: the connection has been told.
    book.remove("anna")
    book.add(basic.new("anna", ("admin",), password))
    assert not await admission.still_holds()


class Moody:
    """An authenticator that can't be asked now and then."""

    challenge = "Moody"

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def authenticate(self, authorization: str) -> Any:
        if self.error is not None:
            raise self.error
        return await ByScope().authenticate(authorization)


async def test_a_moment_in_which_nobody_can_be_told_from_anybody_else_ends_nothing_and_a_long_one_does() -> None:
    moody, now = Moody(), 0.0
    admission = await admit([moody], ["Scopes ci templates:read"], clock=lambda: now)
    moody.error = Failed("The issuer can't be asked", hint="wait")
    now = 59.0
    assert await admission.still_holds()
    moody.error = None
    assert await admission.still_holds()
    moody.error = Failed("The issuer can't be asked", hint="wait")
    now = 118.0
    assert await admission.still_holds()
    now = 120.0
    assert not await admission.still_holds()


async def test_a_request_that_is_answered_at_once_costs_one_question(tmp_path: Path) -> None:
    asked: list[str] = []

    class Counting(ByScope):
        async def authenticate(self, authorization: str) -> Any:
            asked.append(authorization)
            return await super().authenticate(authorization)

    async with over_http(FakeDynamo(tmp_path), authenticators=(Counting(),)) as url, httpx2.AsyncClient() as client:
        headers = JSON | {"authorization": "Scopes ci admin"}
        assert (await client.post(f"{url}/mcp", headers=headers, json=INITIALIZE)).status_code == 200
    assert len(asked) == 1


async def test_where_nobody_is_asked_everything_holds() -> None:
    assert await (await admit([], [])).still_holds()


async def test_somebody_who_is_refused_is_not_admitted_by_trying_again() -> None:
    moody = Moody()
    moody.error = Unauthenticated("wrong", hint="no", challenges=())
    with pytest.raises(Unauthenticated):
        await admit([moody], ["Scopes ci admin"])


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_in_a_session_each_message_counts_with_the_scopes_that_it_came_with(path: str, tmp_path: Path) -> None:
    before, by_now = JSON | {"authorization": "Scopes anna admin"}, JSON | {"authorization": "Scopes anna"}
    removing = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "remove_template", "arguments": {"template_name": "alpha"}},
    }
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with (
            over_http(fake, authenticators=(ByScope(),)) as url,
            httpx2.AsyncClient(timeout=SECONDS) as client,
            AsyncExitStack() as stack,
        ):
            if path == "/mcp":
                opened = await client.post(f"{url}/mcp", headers=before, json=INITIALIZE)
                session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
                said = (await client.post(f"{url}/mcp", headers=by_now | session, json=removing)).text
            else:
                open_stream = await stack.enter_async_context(client.stream("GET", f"{url}/sse", headers=before))
                lines = open_stream.aiter_lines()
                place = ""
                while not place.startswith("data: "):
                    place = await anext(lines)
                target = url + place.removeprefix("data: ")
                for message, headers in (
                    (INITIALIZE, before),
                    ({"jsonrpc": "2.0", "method": "notifications/initialized"}, before),
                    (removing, by_now),
                ):
                    assert (await client.post(target, headers=headers, json=message)).status_code == 202
                said = ""
                while '"id":7' not in said.replace(" ", ""):
                    said = await anext(lines)
        assert "needs the scope `templates:write`" in said
    assert "alpha" in [each.name for each in await fake.list_templates()]
