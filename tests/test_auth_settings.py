"""How does an operator write who issues tokens?"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.auth_settings import BEGINNING, OAuthSettings, is_loopback, is_safe, parse_oauth
from dynamo_mcp.errors import UsageError
from dynamo_mcp.settings import load

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"


def test_every_one_has_a_variable_and_is_documented() -> None:
    given = {
        "issuer": ("https://l.example/realm", "https://l.example/realm"),
        "audience": ("https://m.example api://x", ("https://m.example", "api://x")),
        "jwks": ("https://l.example/k", "https://l.example/k"),
        "introspection": ("http://127.0.0.1:8/i", "http://127.0.0.1:8/i"),
        "client_id": ("me", "me"),
        "client_secret": ("s3cret", "s3cret"),
        "client_secret_file": ("/run/secret", Path("/run/secret")),
        "skew_seconds": ("0", 0.0),
    }
    assert set(given) == {field.name for field in msgspec.structs.fields(OAuthSettings)}
    read = parse_oauth({BEGINNING + name.upper(): text for name, (text, _) in given.items()})
    assert {name: getattr(read, name) for name in given} == {name: value for name, (_, value) in given.items()}
    page = DOCUMENT.read_text("utf-8")
    for name in given:
        assert f"`{BEGINNING}{name.upper()}`" in page, name


def test_no_template_gets_the_secret_and_nothing_shows_it() -> None:
    read = load({f"{BEGINNING}CLIENT_SECRET": "s3cret", f"{BEGINNING}ISSUER": "https://l.example"})
    assert read.environment == {f"{BEGINNING}ISSUER": "https://l.example"}
    assert "s3cret" not in repr(read)


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE", "JWKS", "INTROSPECTION"])
@pytest.mark.parametrize(
    "text",
    [
        "login.example.com",
        "http://login.example.com",
        "http://127.0.0.1.evil.example",
        "https://me:secret@login.example.com",
        "https://login.example.com/#x",
        "https://",
        "https://x:port",
        "ftp://x",
        "file:///etc/passwd",
        "\x00",
    ],
)
def test_an_address_is_by_https_or_of_this_machine(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"{BEGINNING}{name}"):
        parse_oauth({BEGINNING + name: text})


@pytest.mark.parametrize("text", ["-1", "601", "x", "nan", "inf"])
def test_clocks_differ_by_a_little_only(text: str) -> None:
    with pytest.raises(UsageError, match="SKEW_SECONDS"):
        parse_oauth({f"{BEGINNING}SKEW_SECONDS": text})


def test_this_machine_is_known_by_what_it_is_called() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]")))
    assert not any(map(is_loopback, ("localhost.example", "0.0.0.0", "::", "10.0.0.1", "")))  # noqa: S104 - none is
    assert is_safe("http://[::1]:8/x")
    assert not is_safe("http://[::1")
