"""Whom does a token speak of, if it is for us and good now?"""

from __future__ import annotations

from typing import Any

import pytest

from dynamo_mcp.auth.claims import Claims
from dynamo_mcp.errors import Unauthenticated

NOW = 1_000_000.0
ISSUER = "https://login.example.com/realm"
GOOD = {"iss": ISSUER, "aud": "https://mcp.example.com", "sub": "anna", "exp": NOW + 60}


def reads(*audience: str) -> Claims:
    return Claims(ISSUER, audience or ("https://mcp.example.com",), skew_seconds=30, clock=lambda: NOW)


def test_a_good_token_says_who_calls_and_what_they_may_do() -> None:
    caller = reads().caller({**GOOD, "scope": "openid templates:read admin:all templates:write"})
    assert caller.name == "oauth:login.example.com/realm:anna"
    assert caller.scopes == {"templates:read", "templates:write"}


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"scp": ["templates:read", "x", 1]}, {"templates:read"}),
        ({"scp": "templates:read admin"}, {"templates:read", "admin"}),
        ({"scope": ["projects:create"]}, {"projects:create"}),
        ({"scope": ""}, set()),
        ({}, set()),
        ({"scope": 7}, set()),
        ({"scope": "ADMIN Templates:Read"}, set()),
    ],
)
def test_scopes_are_those_that_are_spelled_as_ours(said: dict[str, Any], scopes: set[str]) -> None:
    assert reads().caller({**GOOD, **said}).scopes == scopes


@pytest.mark.parametrize(
    "audience",
    [
        "https://mcp.example.com/",
        "https://mcp.example.com/mcp",
        "https://mcp.example.com/sse",
        ["https://other.example.com", "https://mcp.example.com"],
    ],
)
def test_a_token_may_be_for_the_server_or_for_one_of_its_paths(audience: Any) -> None:
    assert reads().caller({**GOOD, "aud": audience})


def test_a_token_may_be_for_what_the_issuer_calls_the_server() -> None:
    assert reads("https://mcp.example.com/mcp", "api://dynamo").caller({**GOOD, "aud": "api://dynamo"})


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example.com"},
        {"aud": "https://mcp.example.com.evil.example"},
        {"aud": "https://mcp.example.com/other"},
        {"aud": "http://mcp.example.com"},
        {"aud": []},
        {"aud": None},
        {"aud": ["https://other.example.com", 7, None]},
        {"aud": {"https://mcp.example.com": 1}},
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"nbf": NOW + 31},
        {"nbf": "0"},
        {"iat": NOW + 31},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "anna\nadmin"},
        {"sub": "x" * 256},
        {"cnf": {"jkt": "x"}},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_or_not_good_now_is_refused(claims: dict[str, Any]) -> None:
    whole = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    with pytest.raises(Unauthenticated, match="The token "):
        reads().caller(whole)


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29}])
def test_clocks_may_differ_by_a_little(claims: dict[str, Any]) -> None:
    assert reads().caller({**GOOD, **claims})


def test_with_a_path_in_the_address_its_origin_is_not_enough() -> None:
    with pytest.raises(Unauthenticated, match="is not for this server"):
        reads("https://mcp.example.com/team").caller(GOOD)


def test_who_was_asked_need_not_say_who_it_is_but_may_not_be_another() -> None:
    silent = {name: value for name, value in GOOD.items() if name != "iss"}
    assert reads().caller(silent, stated=False).name == "oauth:login.example.com/realm:anna"
    with pytest.raises(Unauthenticated):
        reads().caller({**GOOD, "iss": "https://evil.example"}, stated=False)


def test_callers_of_two_issuers_at_one_host_are_two() -> None:
    for issuer in ("https://login.example.com/realms/a", "https://login.example.com/realms/b"):
        claims = Claims(issuer, ("https://mcp.example.com",), skew_seconds=30, clock=lambda: NOW)
        assert claims.caller({**GOOD, "iss": issuer}).name == f"oauth:{issuer.removeprefix('https://')}:anna"
