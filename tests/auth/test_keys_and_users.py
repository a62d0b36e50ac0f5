"""Which program, which person calls? One with a key, one with a password, and nobody else."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.auth import basic, hashing, keys, verifying
from dynamo_mcp.auth.hashing import Hash
from dynamo_mcp.auth.ways import OWN, way_of
from dynamo_mcp.callers import Authenticator
from dynamo_mcp.errors import Unauthenticated, UsageError
from dynamo_mcp.settings import Settings, load

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"  # noqa: S105 - of the tests alone


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({}, home=tmp_path / "home")


def made(settings: Settings, name: str, *scopes: str, seconds: float | None = None) -> str:
    entry, key = keys.new(name, scopes or ("templates:read",), seconds)  # type: ignore[arg-type]
    keys.book(settings).add(entry)
    return key


def authenticator(name: str, settings: Settings) -> Authenticator:
    return way_of(name, settings).authenticator


def given(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def refusal(known: Authenticator, authorization: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as raised:
        await known.authenticate(authorization)
    assert raised.value.challenges
    return raised.value


async def test_a_key_says_who_calls_and_what_they_may_do(settings: Settings) -> None:
    key = made(settings, "ci", "templates:read", "projects:create")
    known = authenticator("keys", settings)
    for scheme in ("Bearer", "bearer", "BEARER"):
        caller = await known.authenticate(f"{scheme} {key}")
        assert caller is not None
        assert caller.name == "key:ci"
        assert caller.scopes == {"templates:read", "projects:create"}


async def test_of_a_key_nothing_is_kept_that_it_could_be_made_of(settings: Settings) -> None:
    key = made(settings, "ci")
    secret = key.split("_", 2)[2]
    for path in settings.home.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_is_no_key_is_left_to_others(settings: Settings) -> None:
    known = authenticator("keys", settings)
    for other in ("Basic eDp5", "Bearer eyJhbGciOi", "", "Bearer", "dmcp_0"):
        assert await known.authenticate(other) is None


async def test_a_wrong_key_is_refused_whatever_is_wrong_with_it(settings: Settings) -> None:
    one, other = made(settings, "one"), made(settings, "other")
    known = authenticator("keys", settings)
    prefix, identity, secret = one.split("_", 2)
    wrong = [
        f"{prefix}_{identity}_{other.split('_', 2)[2]}",
        f"{prefix}_{'0' * 16}_{secret}",
        f"{prefix}_{identity}",
        f"{one} ",
        f"{one}x",
        f"{one}\n",
        "dmcp_",
        "dmcp_" + "_" * 100_000,
    ]
    for key in wrong:
        if key == f"{one} ":
            continue  # white space around it counts for nothing
        error = await refusal(known, f"Bearer {key}")
        assert secret not in str(error)
        assert 'error="invalid_token"' in error.challenges[0]


async def test_a_key_that_was_revoked_is_refused_at_once_though_it_was_right_before(settings: Settings) -> None:
    key = made(settings, "ci")
    known = authenticator("keys", settings)
    assert await known.authenticate(f"Bearer {key}") is not None
    keys.book(settings).remove("ci")
    assert "revoked" in (await refusal(known, f"Bearer {key}")).message
    another = made(settings, "ci")
    assert await known.authenticate(f"Bearer {another}") is not None
    await refusal(known, f"Bearer {key}")


async def test_a_key_that_has_expired_says_so_to_who_has_it_and_to_nobody_else(settings: Settings) -> None:
    key = made(settings, "ci", seconds=-1)
    known = authenticator("keys", settings)
    assert (await refusal(known, f"Bearer {key}")).message == "The key `ci` has expired"
    assert "expired" not in (await refusal(known, f"Bearer {key[:-2]}xx")).message


async def test_a_password_says_who_calls(settings: Settings) -> None:
    basic.book(settings).add(basic.new("anna", ("admin",), PASSWORD))
    known = authenticator("basic", settings)
    caller = await known.authenticate(given("anna", PASSWORD))
    assert caller is not None
    assert caller.name == "user:anna"
    assert caller.may("templates:write")
    assert await known.authenticate("Bearer x") is None


async def test_nobody_is_a_user_who_was_not_added(settings: Settings) -> None:
    known = authenticator("basic", settings)
    for name in ("", "admin", "root", "user", "dynamo-mcp"):
        for password in ("", "admin", "password", name):
            await refusal(known, given(name, password))
    assert not basic.book(settings).path.exists()


async def test_a_user_who_is_not_there_gets_the_same_answer_at_the_same_cost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    basic.book(settings).add(basic.new("anna", ("admin",), PASSWORD))
    known = authenticator("basic", settings)
    costs: list[object] = []
    real = hashing.matches

    def noting(secret: str, kept: Hash) -> bool:
        costs.append(kept.cost)
        return real(secret, kept)

    monkeypatch.setattr(verifying, "matches", noting)
    there, absent = await refusal(known, given("anna", "wrong" * 4)), await refusal(known, given("bert", "wrong" * 4))
    assert (str(there), there.challenges) == (str(absent), absent.challenges)
    assert len(costs) == 2
    assert costs[0] == costs[1]


@pytest.mark.parametrize("text", ["", "!", "YW5uYQ==", base64.b64encode(b"\xff:\xff").decode(), "YTp4" * 10_000])
async def test_what_can_not_be_a_name_and_a_password_is_refused_without_a_hash(
    text: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "matches", None)
    await refusal(authenticator("basic", settings), f"Basic {text}")


async def test_who_was_removed_is_refused_at_once_and_another_password_needs_another_hash(settings: Settings) -> None:
    known = authenticator("basic", settings)
    for password in (PASSWORD, f"{PASSWORD} staple"):
        basic.book(settings).add(basic.new("anna", ("admin",), password))
        assert await known.authenticate(given("anna", password)) is not None
        basic.book(settings).remove("anna")
        await refusal(known, given("anna", password))


@pytest.mark.parametrize("password", ["", "short", "x" * 14, "x" * 257, "with a tab\tin its midst", "\x1b" * 20])
def test_a_password_that_is_easily_guessed_or_can_not_be_typed_is_refused(password: str) -> None:
    with pytest.raises(UsageError, match="The password "):
        basic.new("anna", ("admin",), password)


def test_passwords_need_encryption_and_keys_may_be_the_operators_risk(settings: Settings) -> None:
    assert way_of("basic", settings).encrypted
    assert not way_of("keys", settings).encrypted


def test_a_way_that_there_is_not_is_refused_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(UsageError, match="There is no authentication `ldap`") as raised:
        way_of("ldap", settings)
    assert all(f"`{name}`" in raised.value.hint for name in OWN)


def test_the_ways_are_declared_as_entry_points() -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - as packages are found

    declared = {entry.name: entry.value for entry in entry_points(group="dynamo_mcp.auth")}
    assert declared == {name: f"dynamo_mcp.auth.{name}" for name in OWN}


def test_a_book_says_nothing_of_secrets_in_what_is_printed_of_it(settings: Settings) -> None:
    entry, key = keys.new("ci", ("admin",), None)
    assert key.split("_", 2)[2] not in repr(entry) + msgspec.json.encode(entry).decode()
    assert key not in repr(settings)
