"""What does each bad credential get at each address? The word what to give, and never a fault of the server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import grpc.aio
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.authorization_server import AuthorizationServer, Key, authorization_server
from auth.test_tokens import unsigned
from dynamo_mcp.auth import basic, keys
from dynamo_mcp.transports.attempts import Attempts
from edge.framed import CONNECT
from edge.joining import over_grpc, over_http
from edge.test_authentication import PASSWORD, asked, free_port, oauth
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator

    from dynamo_mcp.settings import Settings

pytestmark = pytest.mark.anyio

SECONDS = 20
METADATA = "/.well-known/oauth-protected-resource"
ADDRESSES = {
    "POST /mcp": 200,
    "GET /sse": 200,
    "POST /messages/": 404,
    "POST /poll": 201,
    "GET /poll/x": 404,
    "GET /ws": 101,
    "GET /metrics": 200,
    "grpc": 0,
}
"""What they answer to somebody who is let in."""
BODY = (
    b'{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":'
)
BODY += b'"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'
HEAD = (
    b"Host: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    b"MCP-Protocol-Version: 2026-07-28\r\nMCP-Method: server/discover\r\n"
)
UPGRADE = (
    b"Host: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mcp\r\n"
)
KEY = 'Bearer realm="dynamo-mcp", error="invalid_token"'
USER = 'Basic realm="dynamo-mcp", charset="UTF-8"'


class Served(NamedTuple):
    """A server of all ways to say who calls, and what they know."""

    port: int
    grpc: str
    issuer: AuthorizationServer
    settings: Settings
    good: bytes
    errors: list[str]

    @property
    def here(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def all(self) -> str:
        """What somebody is told who gave nothing that could be known."""
        return f'Bearer realm="dynamo-mcp", {USER}, Bearer resource_metadata="{self.here}{METADATA}"'

    @property
    def token(self) -> str:
        """What somebody is told whose token is refused."""
        return f'Bearer error="invalid_token", resource_metadata="{self.here}{METADATA}"'


class Errors(logging.Handler):
    """Keeps what is told as a fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def errors() -> Iterator[list[str]]:
    handler = Errors()
    logging.getLogger().addHandler(handler)
    yield handler.told
    logging.getLogger().removeHandler(handler)
    assert handler.told == []


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, errors: list[str]) -> AsyncIterator[Served]:
    folder, port = tmp_path_factory.mktemp("credentials"), free_port()
    # Each looks at the clock when a while has gone by, so that nobody fails too often.
    patient: Any = Attempts(itertools.count(0.0, 100.0).__next__)
    async with authorization_server() as issuer:
        settings = oauth(issuer.issuer, f"http://127.0.0.1:{port}", folder)
        basic.book(settings).add(basic.new("anna", ("admin",), PASSWORD))
        asking = asked(settings, "keys", "basic", "oauth") | {"attempts": patient}
        fake = FakeDynamo(folder / "projects")
        async with over_http(fake, port=port, **asking), over_grpc(fake, **asking) as address:
            yield Served(port, address, issuer, settings, f"Bearer {added(settings, 'good')}".encode(), errors)


def added(settings: Settings, name: str, seconds: float | None = None) -> str:
    """A key that is in the book."""
    entry, text = keys.new(name, ("templates:read",), seconds)
    keys.book(settings).add(entry)
    return text


def expired(served: Served) -> str:
    name = f"expired-{len(keys.book(served.settings).entries())}"
    return added(served.settings, name, -1.0)


def revoked(served: Served) -> str:
    text = added(served.settings, "revoked")
    keys.book(served.settings).remove("revoked")
    return text


def another_secret(served: Served) -> str:
    text = served.good.decode().removeprefix("Bearer ")
    return text[:-1] + ("A" if text[-1] != "A" else "B")


def confused(served: Served) -> str:
    """Signed with what anybody knows, as if that were a secret."""
    key = served.issuer.keys[0]
    secret = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return unsigned(
        {"alg": "HS256", "kid": key.identity},
        served.issuer.claims(aud=served.here),
        lambda text: hmac.digest(secret, text, hashlib.sha256),
    )


def token(**claims: Any) -> Callable[[Served], str]:
    return lambda served: served.issuer.token(**{"aud": served.here, **claims})


def user(text: bytes) -> Callable[[Served], bytes]:
    return lambda _: b"Basic " + base64.b64encode(text)


def bearer(make: Callable[[Served], str]) -> Callable[[Served], bytes]:
    return lambda served: f"Bearer {make(served)}".encode()


LONGEST = "a token of a megabyte"
ENDED = 0
"""In place of a status: the connection ended while more was sent, and the answer got lost (RFC 9112, section 9.6)."""


class Bad(NamedTuple):
    """A credential that is none.

    Attributes:
        given: Makes the `Authorization` headers.
        challenge: Says what the answer says to give; None where it is no answer of ours.
        statuses: Any of which it has.
    """

    given: Callable[[Served], bytes | tuple[bytes, ...]]
    challenge: Callable[[Served], str] | None
    statuses: Collection[int] = (401,)


def of_all(served: Served) -> str:
    return served.all


def of_token(served: Served) -> str:
    return served.token


def of_key(_: Served) -> str:
    return KEY


def of_user(_: Served) -> str:
    return USER


CREDENTIALS = {
    "none": Bad(lambda _: (), of_all),
    "empty": Bad(lambda _: b"", of_all),
    "two": Bad(lambda served: (served.good, served.good), of_all),
    "unknown scheme": Bad(lambda _: b"Digest username=anna", of_all),
    "no scheme": Bad(lambda served: served.good.removeprefix(b"Bearer "), of_all),
    "Bearer alone": Bad(lambda _: b"Bearer", of_token),
    "unknown key": Bad(bearer(lambda _: f"dmcp_{'0' * 16}_{'A' * 43}"), of_key),
    "revoked key": Bad(bearer(revoked), of_key),
    "expired key": Bad(bearer(expired), of_key),
    "key of another secret": Bad(bearer(another_secret), of_key),
    "half a key": Bad(lambda served: served.good[:-20], of_key),
    "Basic alone": Bad(lambda _: b"Basic", of_user),
    "no base64": Bad(lambda _: b"Basic !!!!", of_user),
    "no colon": Bad(user(b"anna"), of_user),
    "unknown user": Bad(user(b"bert:" + PASSWORD.encode()), of_user),
    "wrong password": Bad(user(b"anna:" + PASSWORD.encode()[:-1]), of_user),
    "no text": Bad(user(b"\xff\xfe:\xff"), of_user),
    "a token too long": Bad(lambda _: b"Bearer " + b"a" * 20_000, of_token),
    LONGEST: Bad(lambda _: b"Bearer " + b"a" * (1 << 20), None, {431, ENDED}),
    "no UTF-8": Bad(lambda served: served.good + b"\xff\xfe", of_key),
    "no UTF-8 in a token": Bad(lambda _: b"Bearer \xc3\x28.\xff.\xfe", of_token),
    "a null byte": Bad(lambda served: served.good + b"\0", None, {400}),
    "a control character": Bad(lambda served: served.good + b"\x01", None, {400}),
    "another audience": Bad(bearer(token(aud="https://other.example.com")), of_token),
    "another issuer": Bad(bearer(token(iss="https://evil.example")), of_token),
    "expired": Bad(bearer(token(exp=1)), of_token),
    "not good yet": Bad(bearer(token(nbf=2**40)), of_token),
    "unsigned": Bad(bearer(lambda served: unsigned({"alg": "none"}, served.issuer.claims(aud=served.here))), of_token),
    "confused": Bad(bearer(confused), of_token),
    "unknown kid": Bad(bearer(lambda served: served.issuer.token(Key(), aud=served.here)), of_token),
}
UNSAID_BY_GRPC = {"no UTF-8", "no UTF-8 in a token", "a null byte", "a control character"}
"""Its client sends no such metadata."""


async def answered(served: Served, address: str, given: tuple[bytes, ...]) -> tuple[int, str]:
    """Return the status of an answer over HTTP, and what it says to give."""
    method, _, path = address.partition(" ")
    head = (UPGRADE if path == "/ws" else HEAD) % served.port + b"".join(
        b"Authorization: %b\r\n" % each for each in given
    )
    body = BODY if method == "POST" else b""
    whole = f"{method} {path} HTTP/1.1\r\n".encode() + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with await anyio.connect_tcp("127.0.0.1", served.port) as stream:
        told = b""
        try:
            await stream.send(whole)
            while b"\r\n\r\n" not in told:
                told += await stream.receive()
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            return ENDED, ""
    first, *lines = told.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers.get("www-authenticate", "")


async def called(served: Served, given: tuple[bytes, ...]) -> grpc.StatusCode:
    """Likewise over gRPC."""
    async with grpc.aio.insecure_channel(served.grpc) as channel:
        call: Any = channel.stream_stream(CONNECT)(metadata=tuple(("authorization", each) for each in given))
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it may have been refused by now
            await call.done_writing()
        code: grpc.StatusCode = await call.code()
        return code


async def check_lets_in(served: Served, address: str) -> None:
    if address == "grpc":
        assert await called(served, (served.good,)) is grpc.StatusCode.OK
    else:
        assert (await answered(served, address, (served.good,)))[0] == ADDRESSES[address]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("name", CREDENTIALS)
async def test_a_credential_that_is_none_is_refused_and_a_good_one_is_let_in_afterwards(
    name: str, address: str, served: Served
) -> None:
    bad = CREDENTIALS[name]
    made = bad.given(served)
    given = made if isinstance(made, tuple) else (made,)
    with anyio.fail_after(SECONDS):
        if address != "grpc":
            status, challenge = await answered(served, address, given)
            # websockets takes no line of so much in a head.
            too_long = (name, address) == ("a token too long", "GET /ws")
            assert status in ({431} if too_long else bad.statuses)
            assert challenge == ("" if too_long or bad.challenge is None else bad.challenge(served))
        elif name not in UNSAID_BY_GRPC:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED if name == LONGEST else grpc.StatusCode.UNAUTHENTICATED
            assert await called(served, given) is code
        await check_lets_in(served, address)
    assert served.errors == []
