"""Is a token in the path of an index's address shown to nobody?"""

from __future__ import annotations

import pytest

from dynamo_mcp.index_secrets import masked, opened, sealed, secrets_of, secrets_of_all


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://index.example/simple", "https://index.example/simple"),
        ("https://index.example/swordfish/simple", "https://index.example/***/simple"),
        ("https://index.example/swordfish", "https://index.example/***"),
        ("https://index.example/a/b/pypi/simple", "https://index.example/***/***/pypi/simple"),
        ("https://index.example:8443/index.example/", "https://index.example:8443/***/"),
        ("https://git.example/api/v4/projects/7/packages/pypi/simple", None),
        ("file:///srv/simple", "file:///srv/simple"),
        ("/srv/simple", "/srv/simple"),
        ("https://[bad/x", "https://[bad/x"),
    ],
)
def test_of_a_path_only_words_are_shown_that_every_index_has(address: str, shown: str | None) -> None:
    secrets = secrets_of(address)
    shown = shown or "https://git.example/api/v4/projects/***/packages/pypi/simple"
    assert masked(address, secrets) == shown
    assert opened(sealed(address, secrets), secrets) == address


def test_what_a_program_says_is_masked_within_addresses_alone() -> None:
    secrets = secrets_of_all(
        {"UV_INDEX": "mine=https://one.example/swordfish/simple https://two.example/cod/simple", "UV_OFFLINE": "trout"}
    )
    assert secrets == ("swordfish", "cod")
    said = "error: `https://one.example/swordfish/simple/x/` (https://two.example/cod) of cod/swordfish, /cods/ http://x/cods/cod"
    wanted = "error: `https://one.example/***/simple/x/` (https://two.example/***) of cod/swordfish, /cods/ http://x/cods/***"
    assert masked(said, secrets) == wanted
    assert masked(said, ()) == said
