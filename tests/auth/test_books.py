"""Who is known, and by which secret? One file, for its owner alone, that every process sees change."""

from __future__ import annotations

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.auth import books
from dynamo_mcp.auth.books import Book, Entry, checked_name, checked_scopes
from dynamo_mcp.auth.hashing import OF_A_KEY, Hash
from dynamo_mcp.errors import Busy, InvalidName, NameTaken, NotFound, StorageFailed, UsageError

HASH = Hash(b"salt", b"digest", OF_A_KEY)


def entry(name: str) -> Entry:
    return Entry(name, f"id-{name}", ("templates:read",), HASH, time.time())


def book(tmp_path: Path, *, lock_seconds: float = 20) -> Book:
    return Book(tmp_path / "keys" / "api.json", "key", removal="dynamo-mcp keys revoke", lock_seconds=lock_seconds)


def test_who_was_added_is_found_by_another_process_until_removed(tmp_path: Path) -> None:
    server, shell = book(tmp_path), book(tmp_path)
    assert server.find("id-ci") is None
    shell.add(entry("ci"))
    found = server.find("id-ci")
    assert found is not None
    assert found.name == "ci"
    shell.add(entry("another"))
    assert [each.name for each in server.entries()] == ["another", "ci"]
    shell.remove("ci")
    assert server.find("id-ci") is None
    assert server.find("id-another") is not None


def test_when_the_whole_file_is_gone_nobody_is_known_any_more(tmp_path: Path) -> None:
    server = book(tmp_path)
    server.add(entry("ci"))
    server.path.unlink()
    assert server.find("id-ci") is None


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    known = book(tmp_path)
    known.add(entry("ci"))
    for path in known.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(known.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_where_others_could_have_written_themselves_into_it_nobody_is_known(mode: int, tmp_path: Path) -> None:
    known = book(tmp_path)
    known.add(entry("ci"))
    known.path.chmod(mode)
    for ask in (lambda: known.find("id-ci"), known.entries, lambda: known.add(entry("other"))):
        with pytest.raises(StorageFailed, match="others may change") as raised:
            ask()
        assert f"chmod go-w {known.path}" in raised.value.hint
    known.path.chmod(0o640)  # a group of operators may read it
    assert known.find("id-ci") is not None


@pytest.mark.parametrize("cost", [{"n": 3, "r": 8, "p": 1}, {"n": 1 << 24, "r": 8, "p": 1}, {"n": 2, "r": 0, "p": 1}])
def test_what_was_never_a_hash_of_ours_damages_the_file(cost: dict[str, int], tmp_path: Path) -> None:
    known = book(tmp_path)
    known.add(entry("ci"))
    (kept,) = msgspec.json.decode(known.path.read_bytes())
    kept["hash"]["cost"] = cost
    known.path.write_bytes(msgspec.json.encode([kept]))
    with pytest.raises(StorageFailed, match="is damaged"):
        known.find("id-ci")


def test_a_name_is_given_once(tmp_path: Path) -> None:
    book(tmp_path).add(entry("ci"))
    with pytest.raises(NameTaken, match="There is a key `ci` already"):
        book(tmp_path).add(msgspec.structs.replace(entry("ci"), identity="other"))


def test_who_is_not_there_can_not_be_removed_and_it_is_said_who_is(tmp_path: Path) -> None:
    book(tmp_path).add(entry("ci"))
    with pytest.raises(NotFound, match="There is no key `c1`") as raised:
        book(tmp_path).remove("c1")
    assert raised.value.hint == "there are `ci`"


def test_those_who_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: book(tmp_path).add(entry(f"k{number}")), range(24)))
    assert len(book(tmp_path).entries()) == 24


def test_a_damaged_file_lets_nobody_in_and_is_not_written_over(tmp_path: Path) -> None:
    known = book(tmp_path)
    known.add(entry("ci"))
    known.path.write_text('[{"name": "ci"}]')
    with pytest.raises(StorageFailed, match="is damaged"):
        known.find("id-ci")
    with pytest.raises(StorageFailed, match="is damaged"):
        known.add(entry("x"))
    with pytest.raises(StorageFailed, match="is damaged"):
        known.remove("ci")
    assert known.path.read_text() == '[{"name": "ci"}]'


def test_who_holds_it_for_too_long_is_not_waited_for(tmp_path: Path) -> None:
    known = book(tmp_path, lock_seconds=0.05)
    with known._locked(), pytest.raises(Busy, match="Another process changes"):  # noqa: SLF001 - as another process does
        book(tmp_path, lock_seconds=0.05).add(entry("ci"))


def test_there_is_an_end_to_how_many_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST", 1)
    book(tmp_path).add(entry("one"))
    with pytest.raises(UsageError, match="There are 1 keys already"):
        book(tmp_path).add(entry("two"))


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a:b", "a/b", "ä", "a\n", "x" * 65])
def test_a_name_that_can_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        checked_name(name, "key")


@pytest.mark.parametrize("name", ["ci", "anna@example.com", "a.b_c-d+e", "0" * 64])
def test_a_name_that_can_be_one_is_returned(name: str) -> None:
    assert checked_name(name, "user") == name


def test_scopes_are_known_ones_each_once_in_their_order() -> None:
    assert checked_scopes(["projects:create", "templates:read", "templates:read"]) == (
        "templates:read",
        "projects:create",
    )
    for wrong in ([], ["everything"], ["templates:read templates:write"]):
        with pytest.raises(UsageError) as raised:
            checked_scopes(wrong)
        assert "`templates:read`, `templates:write`, `projects:create`, `admin`" in raised.value.hint
