"""Which tokens of a real authorization server are good? Those that one of its keys has signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from auth.authorization_server import AuthorizationServer, Key, authorization_server
from dynamo_mcp.auth.key_sets import FETCHES, FRESH_SECONDS, GOOD_SECONDS, KeySet
from dynamo_mcp.auth.reaching import BYTES, Asking
from dynamo_mcp.auth.tokens import Tokens
from dynamo_mcp.auth.ways import Way, way_of
from dynamo_mcp.callers import Caller
from dynamo_mcp.errors import DynamoError, Failed, StorageFailed, Unauthenticated, UsageError
from dynamo_mcp.settings import Settings, load

pytestmark = pytest.mark.anyio

HERE = "https://mcp.example.com"


@pytest.fixture
async def issuer() -> AsyncIterator[AuthorizationServer]:
    async with authorization_server() as server:
        yield server


def settings(issuer: AuthorizationServer, tmp_path: Path, **more: str) -> Settings:
    environ = {"DYNAMO_MCP_OAUTH_ISSUER": issuer.issuer, "DYNAMO_MCP_OAUTH_AUDIENCE": HERE}
    return load(environ | {f"DYNAMO_MCP_OAUTH_{name}": value for name, value in more.items()}, home=tmp_path)


@pytest.fixture
def way(issuer: AuthorizationServer, tmp_path: Path) -> Way:
    return way_of("oauth", settings(issuer, tmp_path))


async def known(way: Way, token: str) -> Caller:
    caller = await way.authenticator.authenticate(f"Bearer {token}")
    assert caller is not None
    return caller


async def refusal(way: Way, token: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        await way.authenticator.authenticate(f"Bearer {token}")
    assert raised.value.challenges == (
        f'Bearer error="invalid_token", resource_metadata="{HERE}/.well-known/oauth-protected-resource"',
    )
    return raised.value.message


def unsigned(header: dict[str, Any], claims: dict[str, Any], sign: Any = lambda _: b"") -> str:
    """Put a token together by hand: libraries refuse to."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    body = b".".join(parts)
    return (body + b"." + base64.urlsafe_b64encode(sign(body)).rstrip(b"=")).decode()


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256"])
async def test_a_token_that_the_issuer_has_signed_says_who_calls(
    algorithm: str, issuer: AuthorizationServer, way: Way
) -> None:
    issuer.keys = [Key(algorithm)]
    caller = await known(way, issuer.token(aud=HERE, scope="templates:read"))
    assert caller.name == f"oauth:{issuer.issuer.removeprefix('http://')}:anna"
    assert caller.scopes == {"templates:read"}


async def test_keys_are_fetched_once_for_many_tokens(issuer: AuthorizationServer, way: Way) -> None:
    for _ in range(5):
        await known(way, issuer.token(aud=HERE))
    assert issuer.asked == ["/.well-known/oauth-authorization-server", "/jwks"]


async def test_keys_and_what_is_no_bearer_token_are_left_to_others(issuer: AuthorizationServer, way: Way) -> None:
    for other in ("Basic eDp5", "Bearer dmcp_0", ""):
        assert await way.authenticator.authenticate(other) is None
    assert issuer.asked == []


async def test_a_token_of_a_key_that_came_later_is_good_and_of_one_that_went_is_not(
    issuer: AuthorizationServer, way: Way
) -> None:
    before = issuer.token(aud=HERE)
    await known(way, before)
    issuer.keys = [Key()]
    await known(way, issuer.token(aud=HERE))
    assert "names a key that its issuer does not have" in await refusal(way, before)


async def test_a_flood_of_tokens_of_unknown_keys_asks_the_issuer_a_few_times_only(
    issuer: AuthorizationServer, way: Way
) -> None:
    await known(way, issuer.token(aud=HERE))
    for _ in range(50):
        await refusal(way, issuer.token(Key(), aud=HERE))
    assert issuer.asked.count("/jwks") <= FETCHES
    await known(way, issuer.token(aud=HERE))


async def test_unsigned_and_confused_tokens_are_refused(issuer: AuthorizationServer, way: Way) -> None:
    key = issuer.keys[0]
    good = issuer.token(aud=HERE)
    await known(way, good)
    claims = issuer.claims(aud=HERE)
    public = key.private.public_key()
    pem = public.public_bytes(*_PEM)
    names = {"kid": key.identity}
    head, body, signature = good.split(".")
    another = issuer.token(sub="admin", aud=HERE).split(".")[1]

    def with_hmac(secret: bytes) -> Any:
        return lambda text: hmac.digest(secret, text, hashlib.sha256)

    wrong = {
        "none": unsigned({"alg": "none", **names}, claims),
        "None": unsigned({"alg": "None", **names}, claims),
        "no alg": unsigned(names, claims),
        "alg of another type": unsigned({"alg": ["ES256"], **names}, claims),
        "without a signature": f"{head}.{body}.",
        "another's body": f"{head}.{another}.{signature}",
        "HS256 by the public key": unsigned({"alg": "HS256", **names}, claims, with_hmac(pem)),
        "HS256 by the published key": unsigned(
            {"alg": "HS256", **names}, claims, with_hmac(json.dumps(key.public).encode())
        ),
        "a key that it brings along": issuer.token(_named(key), aud=HERE, header={"jwk": _named(key).public}),
        "a key that it leads to": issuer.token(_named(key), aud=HERE, header={"jku": f"{issuer.issuer}/evil"}),
        "another key of the same name": issuer.token(_named(key), aud=HERE),
        "another algorithm": issuer.token(_named(key, "RS256"), aud=HERE),
        "what must be understood": issuer.token(aud=HERE, header={"crit": ["x"], "x": 1}),
        "another kind": issuer.token(aud=HERE, header={"typ": "logout+jwt"}),
        "a kind of another type": unsigned({"alg": "ES256", "typ": 7, **names}, claims),
        "a name of another type": unsigned({"alg": "ES256", "kid": {}}, claims),
        "nothing": "",
        "no token": "x.y.z",
        "no object": unsigned({"alg": "ES256", **names}, []),  # type: ignore[arg-type]
        "nested": unsigned({"alg": "ES256", **names}, claims).replace(".", ".." * 50),
        "far too long": good + "x" * 20_000,
        "deep": "WyI" * 5000 + ".e30.x",
    }
    for what, token in wrong.items():
        assert "The token " in await refusal(way, token), what
    assert "/evil" not in issuer.asked
    await known(way, good)


async def test_a_token_of_another_issuer_audience_or_time_is_refused(issuer: AuthorizationServer, way: Way) -> None:
    bad: tuple[dict[str, Any], ...] = (
        {"iss": "https://evil.example"},
        {"aud": "https://other.example.com"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": 2**40},
    )
    for claims in bad:
        await refusal(way, issuer.token(**{"aud": HERE, **claims}))


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"alg": "ES512"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kty": "oct", "k": "AAAA"},
        {"crv": "P-384"},
        {"x": "AAAA"},
        {"x": None},
        {"d": "AAAA"},
    ],
    ids=str,
)
async def test_a_key_that_is_not_for_signatures_like_this_verifies_none(
    change: dict[str, Any], issuer: AuthorizationServer, way: Way
) -> None:
    published = {name: value for name, value in {**issuer.keys[0].public, **change}.items() if value is not None}
    issuer.says["/jwks"] = JSONResponse({"keys": ["x", published]})
    await refusal(way, issuer.token(aud=HERE))


async def test_a_token_that_names_no_key_is_good_if_there_is_one_only(issuer: AuthorizationServer, way: Way) -> None:
    async def nameless() -> str:
        return jwt.encode(issuer.claims(aud=HERE), issuer.keys[0].private, "ES256")

    await known(way, await nameless())
    issuer.keys.append(Key())
    await known(way, issuer.token(issuer.keys[1], aud=HERE))  # which has the keys fetched
    await refusal(way, await nameless())


@pytest.mark.parametrize(
    "said",
    [
        Response(status_code=500),
        Response("{", media_type="application/json"),
        Response("[]", media_type="application/json"),
        JSONResponse({"keys": "none"}),
        Response("[" * 100_000),
        Response(b" " * (BYTES + 1)),
        RedirectResponse("http://127.0.0.1:1/jwks"),
        RedirectResponse("/jwks"),
        RedirectResponse("file:///etc/passwd"),
    ],
    ids=["500", "half", "list", "none", "deep", "long", "elsewhere", "round", "file"],
)
async def test_without_the_issuers_keys_nobody_is_let_in_and_it_is_no_fault_of_theirs(
    said: Response, issuer: AuthorizationServer, way: Way
) -> None:
    issuer.says["/jwks"] = said
    with pytest.raises(Failed):
        await known(way, issuer.token(aud=HERE))
    del issuer.says["/jwks"]
    await known(way, issuer.token(aud=HERE))


async def test_a_redirect_on_the_same_server_is_followed(issuer: AuthorizationServer, way: Way) -> None:
    published = JSONResponse({"keys": [issuer.keys[0].public]})
    issuer.says = {"/jwks": RedirectResponse("/other"), "/other": published}
    await known(way, issuer.token(aud=HERE))


@pytest.mark.parametrize(
    "metadata", [{}, {"issuer": "https://evil.example"}, {"jwks_uri": "http://evil.example/jwks"}, {"jwks_uri": 7}]
)
async def test_metadata_of_another_issuer_or_with_keys_in_clear_are_not_believed(
    metadata: dict[str, Any], issuer: AuthorizationServer, way: Way
) -> None:
    whole = {"issuer": issuer.issuer, "jwks_uri": f"{issuer.issuer}/jwks", **metadata} if metadata else {}
    issuer.says["/.well-known/oauth-authorization-server"] = JSONResponse(whole)
    with pytest.raises(Failed, match=r"can't be had|another issuer's"):
        await known(way, issuer.token(aud=HERE))


async def test_metadata_may_be_where_openid_has_them_or_keys_be_named_by_the_operator(
    issuer: AuthorizationServer, way: Way, tmp_path: Path
) -> None:
    issuer.says["/.well-known/oauth-authorization-server"] = Response(status_code=404)
    found = {"issuer": issuer.issuer, "jwks_uri": f"{issuer.issuer}/jwks"}
    issuer.says["/.well-known/openid-configuration"] = JSONResponse(found)
    await known(way, issuer.token(aud=HERE))
    issuer.asked.clear()
    told = way_of("oauth", settings(issuer, tmp_path, JWKS=f"{issuer.issuer}/jwks"))
    await known(told, issuer.token(aud=HERE))
    assert issuer.asked == ["/jwks"]


async def test_keys_are_renewed_and_those_there_are_go_on_for_a_while_without_the_issuer(
    issuer: AuthorizationServer, tmp_path: Path
) -> None:
    now = [1000.0]
    keys = KeySet(Asking(settings(issuer, tmp_path)), issuer.issuer, None, clock=lambda: now[0])
    tokens = Tokens(keys)
    token = issuer.token(aud=HERE)
    await tokens.claims(token)
    issuer.says["/jwks"] = Response(status_code=503)
    now[0] += FRESH_SECONDS + 1
    await tokens.claims(token)
    assert issuer.asked.count("/jwks") == 2
    now[0] += GOOD_SECONDS
    with pytest.raises(Failed):
        await tokens.claims(token)
    del issuer.says["/jwks"]
    await tokens.claims(token)
    issuer.keys = [Key()]
    now[0] += FRESH_SECONDS + 1
    with pytest.raises(Unauthenticated):
        await tokens.claims(token)  # its key went while nobody asked for another


async def test_an_issuer_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        import anyio  # noqa: PLC0415 - to wait for ever

        await anyio.sleep_forever()

    async with authorization_server() as issuer:
        issuer.says["/jwks"] = silent  # type: ignore[assignment]
        asking = Asking(settings(issuer, tmp_path), seconds=0.2)
        with pytest.raises(Failed, match="does not answer within"):
            await asking.get(f"{issuer.issuer}/jwks")


@pytest.fixture
def asking_of_each(issuer: AuthorizationServer, tmp_path: Path) -> Way:
    secret = tmp_path / "secret"
    secret.write_text(f"{issuer.client[1]}\n")
    chosen = {"CLIENT_ID": issuer.client[0], "CLIENT_SECRET_FILE": str(secret)}
    return way_of("oauth", settings(issuer, tmp_path, INTROSPECTION=f"{issuer.issuer}/introspect", **chosen))


async def test_the_issuer_can_be_asked_of_each_token(issuer: AuthorizationServer, asking_of_each: Way) -> None:
    issuer.introspected["opaque"] = {"active": True, **issuer.claims(aud=HERE, scope="admin")}
    for _ in range(3):
        caller = await known(asking_of_each, "opaque")
        assert caller.scopes == {"admin"}
    assert issuer.asked == ["/introspect"]


@pytest.mark.parametrize("change", [{"active": False}, {"active": "true"}, {"aud": "https://o.example"}, {"exp": 1}])
async def test_a_token_of_which_the_issuer_says_no_good_is_refused(
    change: dict[str, Any], issuer: AuthorizationServer, asking_of_each: Way
) -> None:
    issuer.introspected["opaque"] = {"active": True, **issuer.claims(aud=HERE), **change}
    await refusal(asking_of_each, "opaque")
    await refusal(asking_of_each, "unheard of")


async def test_an_issuer_that_does_not_know_us_lets_nobody_in(issuer: AuthorizationServer, tmp_path: Path) -> None:
    chosen = {"CLIENT_ID": "x", "CLIENT_SECRET": "y", "INTROSPECTION": f"{issuer.issuer}/introspect"}
    with pytest.raises(Failed, match="answers 401"):
        await known(way_of("oauth", settings(issuer, tmp_path, **chosen)), "opaque")


@pytest.mark.parametrize(
    ("environ", "kind", "said"),
    [
        ({"DYNAMO_MCP_OAUTH_AUDIENCE": HERE}, UsageError, "DYNAMO_MCP_OAUTH_ISSUER"),
        ({"DYNAMO_MCP_OAUTH_ISSUER": HERE}, UsageError, "DYNAMO_MCP_OAUTH_AUDIENCE"),
        (
            {
                "DYNAMO_MCP_OAUTH_ISSUER": HERE,
                "DYNAMO_MCP_OAUTH_AUDIENCE": HERE,
                "DYNAMO_MCP_OAUTH_INTROSPECTION": HERE,
                "DYNAMO_MCP_OAUTH_CLIENT_ID": "x",
            },
            UsageError,
            "only one of identity and secret",
        ),
        (
            {
                "DYNAMO_MCP_OAUTH_ISSUER": HERE,
                "DYNAMO_MCP_OAUTH_AUDIENCE": HERE,
                "DYNAMO_MCP_OAUTH_INTROSPECTION": HERE,
                "DYNAMO_MCP_OAUTH_CLIENT_SECRET_FILE": "/nothing/here",
            },
            StorageFailed,
            "No such file",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_served(
    environ: dict[str, str], kind: type[DynamoError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        way_of("oauth", load(environ, home=tmp_path))


@pytest.mark.parametrize(
    ("audience", "resources"),
    [
        (
            "https://h.example:8443",
            {
                "/.well-known/oauth-protected-resource": "https://h.example:8443",
                "/.well-known/oauth-protected-resource/mcp": "https://h.example:8443/mcp",
                "/.well-known/oauth-protected-resource/sse": "https://h.example:8443/sse",
                "/.well-known/oauth-protected-resource/ws": "https://h.example:8443/ws",
                "/.well-known/oauth-protected-resource/poll": "https://h.example:8443/poll",
            },
        ),
        (
            "https://h.example/team/mcp",
            {
                "/.well-known/oauth-protected-resource/team/mcp": "https://h.example/team/mcp",
                "/.well-known/oauth-protected-resource": "https://h.example/team/mcp",
            },
        ),
    ],
)
def test_each_document_speaks_of_the_address_that_it_is_found_by(
    audience: str, resources: dict[str, str], tmp_path: Path
) -> None:
    environ = {"DYNAMO_MCP_OAUTH_ISSUER": "https://login.example.com", "DYNAMO_MCP_OAUTH_AUDIENCE": audience}
    way = way_of("oauth", load(environ, home=tmp_path))
    said = {path: json.loads(content) for path, content in way.documents.items()}
    assert {path: document["resource"] for path, document in said.items()} == resources
    for document in said.values():
        assert document["authorization_servers"] == ["https://login.example.com"]
        assert document["scopes_supported"] == ["templates:read", "templates:write", "projects:create"]
    first = next(iter(resources))
    origin = "/".join(audience.split("/")[:3])
    assert way.authenticator.challenge == f'Bearer resource_metadata="{origin}{first}"'
    assert way.hosts == (origin.removeprefix("https://"),)


def _named(key: Key, algorithm: str = "ES256") -> Key:
    other = Key(algorithm)
    other.identity = key.identity
    return other


def _pem() -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - see its use

    return Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


_PEM = _pem()
