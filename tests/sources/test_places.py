"""Whose a location is, and which two are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.sources import parse
from dynamo_mcp.sources.places import is_among, same_place
from dynamo_mcp.types import Location
from homes import Home


@pytest.mark.parametrize(
    ("address", "own", "expected"),
    [
        ("https://github.com/me/x", "https://github.com/me/", True),
        ("gh:me/x", "https://github.com/me/", True),
        ("gh:me/x", "gh:me/", True),
        ("gh:me/x", "gh:me/x", True),
        ("https://github.com/me/x.git", "https://github.com/me/x", True),
        ("git@example.com:me/x", "git@example.com:me/", True),
        ("https://github.com/me/x", "https://github.com/m", False),
        ("https://github.com/me/x", "https://github.com/me", False),
        ("https://github.com/me-too/x", "https://github.com/me/", False),
        ("https://github.com/me/x", "https://github.com/me/xy", False),
        ("https://github.com/me/../stranger/x", "https://github.com/me/", False),
        ("https://github.com/me/%2e%2e/stranger/x", "https://github.com/me/", False),
        ("https://github.com/me/%252e%252e/stranger/x", "https://github.com/me/", False),
        ("https://github.com/me//x", "https://github.com/me/", False),
        ("git@example.com:me/../stranger/x", "git@example.com:me/", False),
        ("https://github.com.evil.example/me/x", "https://github.com/me/", False),
        ("https://www.github.com/me/x", "https://github.com/me/", False),
    ],
)
def test_a_location_is_the_operators_own_by_its_beginning_or_whole(
    tmp_path: Path, address: str, own: str, *, expected: bool
) -> None:
    location = parse(address, settings=Home(tmp_path, None).settings())
    assert is_among(location, ["https://elsewhere.example/", own]) == expected


def test_a_folder_is_the_operators_own_by_where_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "mine" / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    location = Location("local", str(tmp_path / "mine" / "x"))
    assert is_among(location, [f"{tmp_path}/link/"])
    assert is_among(location, [f"{tmp_path}/mine/x"])
    assert not is_among(location, [f"{tmp_path}/mine"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("gh:o/r", "https://github.com/o/r", True),
        ("gh:o/r", "https://GitHub.com/O/R/", True),
        ("gh:o/r", "git@github.com:o/r.git", True),
        ("gh:o/r", "ssh://git@github.com:22/o/r", True),
        ("gh:o/r", "https://github.com/o/x/../r", True),
        ("gh:o/r", "https://www.GitHub.com/o/r", True),
        ("gh:o/r", "ssh://git@ssh.github.com:443/o/r.git", True),
        ("gl:o/r", "ssh://git@altssh.gitlab.com:443/o/r.git", True),
        ("gh:o/r", "https://ssh.evil.example/o/r", False),
        ("gh:o/r", "https://github.com/o/%72", True),
        ("gh:o/r", "gh:o/s", False),
        ("gh:o/r", "gl:o/r", False),
    ],
)
def test_a_repository_is_the_same_however_it_is_spelled(
    tmp_path: Path, one: str, other: str, *, expected: bool
) -> None:
    settings = Home(tmp_path, None).settings()
    first = parse(one, settings=settings, revision="v1")
    second = parse(other, settings=settings, directory="sub")
    assert same_place(first, second) == same_place(second, first) == expected


def test_a_folder_is_the_same_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    whole, part = Location("local", str(tmp_path / "a")), Location("local", str(tmp_path / "a" / "b"))
    assert same_place(whole, part)
    assert same_place(part, whole)
    assert same_place(part, Location("local", str(tmp_path / "a"), directory="b"))
    assert not same_place(part, Location("local", str(tmp_path / "a"), directory="c"))
    assert same_place(part, Location("git", f"file://{tmp_path}/a/b"))
