"""Who is let in over HTTP, by real clients: with a key, a password, or a token of a real authorization server."""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import grpc.aio
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from auth.authorization_server import Key, authorization_server
from dynamo_mcp import callers
from dynamo_mcp.auth import basic, keys
from dynamo_mcp.auth.ways import way_of
from dynamo_mcp.cli.admission import Admission
from dynamo_mcp.errors import Refused, UsageError
from dynamo_mcp.settings import Settings, load
from dynamo_mcp.transports.attempts import FAILURES, Attempts
from edge.framed import CONNECT
from edge.joining import over_grpc, over_http
from edge.raw import request
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

DISCOVER = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "server/discover",
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}
PASSWORD = "correct horse battery"  # noqa: S105 - of the tests alone


class Noting(FakeDynamo):
    """Notes who calls."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(outputs)
        self.seen: list[callers.Caller] = []
        self.listing: list[callers.Caller] = []

    async def list_templates(self) -> Any:
        self.listing.append(callers.current.get())
        return await super().list_templates()

    async def create_project(self, *arguments: Any, **options: Any) -> Any:
        self.seen.append(callers.current.get())
        return await super().create_project(*arguments, **options)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({}, home=tmp_path / "home")


@pytest.fixture
def fake(tmp_path: Path) -> Noting:
    return Noting(tmp_path / "projects")


def key(settings: Settings, name: str, *scopes: Any) -> str:
    entry, text = keys.new(name, scopes or ("templates:read", "projects:create"), None)
    keys.book(settings).add(entry)
    return text


def asked(settings: Settings, *ways: str) -> dict[str, Any]:
    """Return the fields of an endpoint, as `serve` makes them."""
    return Admission(ways).fields(settings, host="127.0.0.1")


@asynccontextmanager
async def joined(url: str, path: str, era: Any, **options: Any) -> AsyncIterator[Client]:
    """Connect the SDK's own client, with what its HTTP client is given."""
    async with AsyncExitStack() as stack:
        if path == "/mcp":
            client = await stack.enter_async_context(httpx2.AsyncClient(timeout=20, **options))
            target: Any = streamable_http_client(f"{url}/mcp", http_client=client)
        else:
            target = sse_client(f"{url}/sse", **options)
        yield await stack.enter_async_context(Client(target, mode=era, read_timeout_seconds=20))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def status(url: str, headers: dict[str, str]) -> int:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/mcp", headers=DISCOVER | headers, json=request(1, "server/discover"))
        return answer.status_code


@pytest.mark.parametrize(("path", "era"), [("/mcp", "2026-07-28"), ("/mcp", "legacy"), ("/sse", "legacy")])
async def test_a_client_with_a_key_is_known_by_it_in_every_handler(
    path: str, era: str, fake: Noting, settings: Settings
) -> None:
    text = key(settings, "ci")
    async with (
        over_http(fake, **asked(settings, "keys")) as url,
        joined(url, path, era, headers=bearer(text)) as client,
    ):
        assert not (await client.call_tool("create_project", {"template_name": "alpha"})).is_error
    assert fake.seen == [callers.Caller("key:ci", frozenset({"templates:read", "projects:create"}))]


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_gets_anything_without_credentials_but_the_word_what_to_give(
    path: str, method: str, fake: Noting, settings: Settings
) -> None:
    async with over_http(fake, **asked(settings, "keys", "basic")) as url, httpx2.AsyncClient() as client:
        answer = await client.request(method, url + path, headers=DISCOVER)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == (
            'Bearer realm="dynamo-mcp", Basic realm="dynamo-mcp", charset="UTF-8"'
        )


async def test_a_key_that_is_revoked_is_refused_from_the_next_request_on(fake: Noting, settings: Settings) -> None:
    text = key(settings, "ci")
    async with over_http(fake, **asked(settings, "keys")) as url:
        assert await status(url, bearer(text)) == 200
        keys.book(settings).remove("ci")
        assert await status(url, bearer(text)) == 401
        assert await status(url, bearer(key(settings, "ci"))) == 200


async def test_a_person_is_known_by_name_and_password(fake: Noting, settings: Settings) -> None:
    basic.book(settings).add(basic.new("anna", ("admin",), PASSWORD))
    async with over_http(fake, **asked(settings, "keys", "basic")) as url:
        async with joined(url, "/mcp", "auto", auth=httpx2.BasicAuth("anna", PASSWORD)) as client:
            assert not (await client.call_tool("create_project", {"template_name": "alpha"})).is_error
        assert await status(url, {"authorization": "Basic " + base64.b64encode(b"anna:wrong").decode()}) == 401
    assert [caller.name for caller in fake.seen] == ["user:anna"]


async def test_a_session_of_one_caller_is_not_there_for_another(fake: Noting, settings: Settings) -> None:
    one, other = key(settings, "one"), key(settings, "other")
    headers = {name: value for name, value in DISCOVER.items() if not name.startswith("mcp-")}
    pinging = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with over_http(fake, **asked(settings, "keys")) as url, httpx2.AsyncClient(timeout=20) as client:
        opened = await client.post(f"{url}/mcp", headers=headers | bearer(one), json=INITIALIZE)
        session = headers | {
            "mcp-session-id": opened.headers["mcp-session-id"],
            "mcp-protocol-version": "2025-11-25",
        }
        for text, expected in ((one, 200), (other, 404), (one, 200)):
            answer = await client.post(f"{url}/mcp", headers=session | bearer(text), json=pinging)
            assert answer.status_code == expected
        assert (await client.delete(f"{url}/mcp", headers=session | bearer(other))).status_code == 404
        async with client.stream("GET", f"{url}/sse", headers=bearer(one)) as stream:
            lines = stream.aiter_lines()
            place = ""
            while not place.startswith("data: "):
                place = await anext(lines)
            target = url + place.removeprefix("data: ")
            for text, expected in ((other, 404), (one, 202)):
                answer = await client.post(target, headers=headers | bearer(text), json=INITIALIZE)
                assert answer.status_code == expected


async def test_who_fails_too_often_is_not_heard_for_a_while_and_who_was_let_in_goes_on(
    fake: Noting, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    text, late = key(settings, "ci"), key(settings, "late")
    wrong = f"{text[:-4]}beef"
    caplog.set_level(logging.WARNING, "dynamo_mcp")
    still = Attempts(lambda: 0.0)
    async with (
        over_http(fake, attempts=still, **asked(settings, "keys")) as url,
        httpx2.AsyncClient() as client,
    ):
        assert await status(url, bearer(text)) == 200
        for _ in range(3 * FAILURES):
            assert await status(url, {}) == 401  # no attempt at all
        for _ in range(FAILURES):
            assert await status(url, bearer(wrong)) == 401
        refused = await client.post(f"{url}/mcp", headers=DISCOVER | bearer(late))
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "6"
        assert await status(url, bearer(text)) == 200
    said = [record.getMessage() for record in caplog.records if record.name.startswith("dynamo_mcp")]
    assert len(said) == FAILURES
    assert all(line.startswith("refused a caller at 127.0.0.1: The key is none of this server's") for line in said)
    assert said[-1].endswith("others of this address are not heard for a while")
    secrets = [each.split("_", 2)[2] for each in (text, wrong, late)]
    assert not any(secret in line for line in said for secret in secrets)


async def test_where_keys_can_not_be_read_nobody_is_let_in_and_nobody_is_told_why(
    fake: Noting, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    text = key(settings, "ci")
    keys.book(settings).path.write_text("damaged")
    caplog.set_level(logging.WARNING, "dynamo_mcp")
    async with over_http(fake, **asked(settings, "keys")) as url, httpx2.AsyncClient() as client:
        for _ in range(3):
            answer = await client.post(f"{url}/mcp", headers=DISCOVER | bearer(text))
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert str(settings.home) not in answer.text
    said = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert len(said) == 1


async def test_a_name_that_the_operator_gave_is_answered_and_its_own_pages_are(
    fake: Noting, settings: Settings
) -> None:
    fields = Admission(("keys",), ("mcp.example.com", "other.example.com:8443")).fields(settings, host="127.0.0.1")
    text = key(settings, "ci")
    async with over_http(fake, **fields) as url:
        port = urlsplit(url).port
        for name, expected in {
            "mcp.example.com": 200,
            f"mcp.example.com:{port}": 200,
            "other.example.com:8443": 200,
            "other.example.com": 421,
            "mcp.example.com:1": 421,
            "evil.example": 421,
        }.items():
            assert await status(url, {"host": name} | bearer(text)) == expected, name
        host = {"host": "mcp.example.com"} | bearer(text)
        assert await status(url, host | {"origin": "https://mcp.example.com"}) == 200
        assert await status(url, host | {"origin": "https://evil.example"}) == 403


@pytest.mark.parametrize(
    "name", ["", "a b", "https://x.example", "x.example/", "x:y", "[::1", "[:::]", "x\r\ny", "*", "x:0", "x:99999"]
)
def test_what_can_not_be_a_name_of_the_server_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a host"):
        Admission((), (name,)).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104 - it is refused
def test_passwords_cross_no_network_in_clear(host: str, settings: Settings) -> None:
    with pytest.raises(Refused, match="in clear") as raised:
        Admission(("keys", "basic")).fields(settings, host=host)
    assert "`--behind-tls`" in raised.value.hint
    assert Admission(("basic",), behind_tls=True).fields(settings, host=host)["authenticators"]
    assert Admission(("keys",)).fields(settings, host=host)["authenticators"]
    for own in ("127.0.0.1", "::1", "localhost"):
        assert Admission(("basic",)).fields(settings, host=own)["authenticators"]


async def test_other_machines_may_reach_a_server_that_asks_who_they_are(fake: Noting, settings: Settings) -> None:
    text = key(settings, "ci")
    everywhere = "0.0.0.0"  # noqa: S104 - callers are asked who they are
    async with over_http(fake, host=everywhere, **asked(settings, "keys")) as url:
        here = f"http://127.0.0.1:{urlsplit(url).port}"
        assert await status(here, bearer(text)) == 200
        assert await status(here, {}) == 401


class Storage:
    """Keeps what the client of one test was given (`TokenStorage`)."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider(address: str) -> OAuthClientProvider:
    """Return the SDK's own flow, with a person who goes where it leads and consents."""
    answers: list[dict[str, list[str]]] = []

    async def go(to: str) -> None:
        async with httpx2.AsyncClient() as browser:
            answers.append(parse_qs(urlsplit((await browser.get(to)).headers["location"]).query))

    async def answer() -> AuthorizationCodeResult:
        given = answers.pop()
        return AuthorizationCodeResult(code=given["code"][0], state=given["state"][0], iss=given["iss"][0])

    public: Any = "none"
    metadata = OAuthClientMetadata(
        redirect_uris=[AnyUrl("http://127.0.0.1:1/callback")], token_endpoint_auth_method=public
    )
    return OAuthClientProvider(address, metadata, Storage(), go, answer)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def oauth(issuer: str, audience: str, tmp_path: Path) -> Settings:
    environ = {"DYNAMO_MCP_OAUTH_ISSUER": issuer, "DYNAMO_MCP_OAUTH_AUDIENCE": audience}
    return load(environ, home=tmp_path / "home")


@pytest.mark.parametrize(
    ("path", "below", "era"),
    [("/mcp", "", "2026-07-28"), ("/mcp", "", "legacy"), ("/mcp", "/mcp", "2026-07-28"), ("/sse", "", "legacy")],
)
async def test_the_sdks_own_flow_gets_a_token_from_a_real_authorization_server_and_is_let_in(
    path: str, below: str, era: str, fake: Noting, tmp_path: Path
) -> None:
    port = free_port()
    async with authorization_server() as issuer:
        chosen = oauth(issuer.issuer, f"http://127.0.0.1:{port}{below}", tmp_path)
        async with (
            over_http(fake, port=port, **asked(chosen, "oauth")) as url,
            joined(url, path, era, auth=provider(f"{url}{path}")) as client,
        ):
            assert not (await client.call_tool("create_project", {"template_name": "alpha"})).is_error
    (seen,) = fake.seen
    assert seen.name == f"oauth:{issuer.issuer.removeprefix('http://')}:anna"
    assert seen.scopes == {"templates:read", "templates:write", "projects:create"}
    assert {"/register", "/authorize", "/token", "/jwks"} <= set(issuer.asked)


async def test_a_caller_may_do_what_the_authorization_server_granted_and_no_more(fake: Noting, tmp_path: Path) -> None:
    port = free_port()
    async with authorization_server() as issuer:
        issuer.granted = "templates:read openid"
        chosen = oauth(issuer.issuer, f"http://127.0.0.1:{port}", tmp_path)
        async with (
            over_http(fake, port=port, **asked(chosen, "oauth")) as url,
            joined(url, "/mcp", "auto", auth=provider(f"{url}/mcp")) as client,
        ):
            assert not (await client.call_tool("list_templates", {})).is_error
    assert {caller.scopes for caller in fake.listing} == {frozenset({"templates:read"})}


async def test_bad_tokens_are_refused_and_where_to_get_good_ones_is_open_to_all(fake: Noting, tmp_path: Path) -> None:
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    async with authorization_server() as issuer:
        chosen = oauth(issuer.issuer, here, tmp_path)
        async with over_http(fake, port=port, **asked(chosen, "oauth", "keys")) as url, httpx2.AsyncClient() as client:
            assert await status(url, bearer(issuer.token(aud=here))) == 200
            assert await status(url, bearer(key(chosen, "ci"))) == 200
            for token in (
                issuer.token(aud="https://other.example.com"),
                issuer.token(aud=here, iss="https://evil.example"),
                issuer.token(aud=here, exp=1),
                issuer.token(aud=here, nbf=2**40),
                issuer.token(Key(), aud=here),
                "eyJhbGciOiJub25lIn0.e30.",
            ):
                answer = await client.post(f"{url}/mcp", headers=DISCOVER | bearer(token))
                assert answer.status_code == 401
                assert token not in answer.text
                (where,) = re.findall(r'resource_metadata="([^"]+)"', answer.headers["www-authenticate"])
                assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            for suffix in ("", "/mcp", "/sse", "/ws", "/poll"):
                found = await client.get(f"{here}/.well-known/oauth-protected-resource{suffix}")
                assert found.status_code == 200
                assert found.headers["content-type"] == "application/json"
                assert found.json()["resource"] == here + suffix
                assert found.json()["authorization_servers"] == [issuer.issuer]
                assert await status(url, bearer(issuer.token(aud=here + suffix))) == 200  # as a client asks for it
            assert await status(url, bearer(issuer.token(aud=f"{here}/nothing"))) == 401
            assert (await client.get(f"{here}/.well-known/oauth-protected-resource/nothing")).status_code == 401
            assert where == f"{here}/.well-known/oauth-protected-resource"
            for path in (f"{where}/", f"{where}/mcp/../../../mcp", f"{here}//.well-known/oauth-protected-resource"):
                assert (await client.get(path)).status_code == 401, path
            assert (await client.post(where, json={})).status_code == 401
            rebound = await client.get(where, headers={"host": "evil.example"})
            assert rebound.status_code == 421


async def test_with_several_ways_all_are_offered(fake: Noting, tmp_path: Path) -> None:
    chosen = oauth("https://login.example.com", "https://mcp.example.com", tmp_path)
    async with over_http(fake, **asked(chosen, "keys", "oauth")) as url, httpx2.AsyncClient() as client:
        answer = await client.get(f"{url}/mcp", headers={"host": "mcp.example.com"})
        assert answer.headers["www-authenticate"] == (
            'Bearer realm="dynamo-mcp", '
            'Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource"'
        )
        assert json.loads(way_of("oauth", chosen).documents["/.well-known/oauth-protected-resource"])


async def test_who_says_twice_who_they_are_is_nobody(fake: Noting, settings: Settings) -> None:
    """A proxy may have looked at the one, and the server would at the other."""
    good, wrong = f"Bearer {key(settings, 'ci')}", "Bearer dmcp_wrong"
    asking = asked(settings, "keys")
    async with over_http(fake, **asking) as url, over_grpc(fake, **asking) as address:
        for first, second in ((good, wrong), (wrong, good), (good, good)):
            headers = [*DISCOVER.items(), ("authorization", first), ("Authorization", second)]
            async with httpx2.AsyncClient() as client:
                answer = await client.post(f"{url}/mcp", headers=headers, json=request(1, "server/discover"))
            assert answer.status_code == 401
            assert "more than one `Authorization`" in answer.json()["error_description"]
            assert answer.headers["www-authenticate"]
            async with grpc.aio.insecure_channel(address) as channel:
                call: Any = channel.stream_stream(CONNECT)(
                    metadata=(("authorization", first), ("authorization", second))
                )
                assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"Bearer",
        b"Bearer\t%s",
        b"Bearer %s\xe9",
        b"Bearer %s, Bearer %s",
        b"Bearer \xff\xfe",
        b"Bearer dmcp_" + b"a" * 60_000,
        b"Basic",
        b"Basic ====",
        b"Basic \xff",
        b"Basic " + base64.b64encode(b"anna"),
        b"Basic " + base64.b64encode(b"an\0na:" + PASSWORD.encode()),
        b"Basic " + base64.b64encode(b"\xff:" + PASSWORD.encode()),
        b"Basic " + base64.urlsafe_b64encode(b"\xc3\xbf\xc3\xbe:?>?"),
        b"Basic " + base64.b64encode(b"user:anna:" + PASSWORD.encode()),
        b"Basic " + base64.b64encode(b"key:ci:" + PASSWORD.encode()),
        b"Basic " + base64.b64encode(b"ANNA:" + PASSWORD.encode()),
    ],
    ids=range(17),
)
async def test_whatever_is_given_that_is_no_credential_is_refused_in_words(
    given: bytes, fake: Noting, settings: Settings
) -> None:
    text = key(settings, "ci").encode()
    basic.book(settings).add(basic.new("anna", ("admin",), PASSWORD))
    given = given.replace(b"%s", text)
    async with over_http(fake, **asked(settings, "keys", "basic")) as url, httpx2.AsyncClient() as client:
        headers = [*((name.encode(), value.encode()) for name, value in DISCOVER.items()), (b"authorization", given)]
        answer = await client.post(f"{url}/mcp", headers=headers, json=request(1, "server/discover"))
        assert answer.status_code == 401
        assert answer.json()["error"] == "unauthorized"


async def test_the_name_of_a_scheme_is_the_same_in_any_case(fake: Noting, settings: Settings) -> None:
    text = key(settings, "ci")
    basic.book(settings).add(basic.new("anna", ("admin",), PASSWORD))
    anna = base64.b64encode(f"anna:{PASSWORD}".encode()).decode()
    async with over_http(fake, **asked(settings, "keys", "basic")) as url:
        for given in (f"bEARER {text}", f"BEARER   {text}", f"basic {anna}"):
            assert await status(url, {"authorization": given}) == 200, given
