"""What is a catalogue's form? One that is none, or a stranger's that reaches too far, is refused as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamo_mcp import catalogue_form
from dynamo_mcp.errors import InvalidCatalogue

REMOTE = "https://example.org/catalogue.json"
LOCAL = "/srv/templates/catalogue.json"
ENTRY = {"name": "ours", "location": "gh:team/ours", "description": "What we make.", "category": "web"}


def _content(*entries: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"version": 1, "entries": entries, **changes}).encode()


def _refusal(content: bytes, origin: str = REMOTE) -> str:
    with pytest.raises(InvalidCatalogue) as refused:
        catalogue_form.read(content, origin)
    assert refused.value.hint
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 700
    return refused.value.message


def test_an_entry_has_what_is_documented_and_nothing_is_asked_beyond_four_fields() -> None:
    whole = {"name": "all", "directory": "a/b", "revision": "v1", "language": "Go", "tags": ["one", "one", "two"]}
    (every, least) = catalogue_form.read(_content(ENTRY, ENTRY | whole), REMOTE)
    assert (every.name, every.directory, every.revision, every.language) == ("all", "a/b", "v1", "Go")
    assert every.tags == ("one", "two")
    assert (least.name, least.directory, least.revision, least.language, least.tags) == ("ours", None, None, None, ())
    assert {every.catalogue, least.catalogue} == {REMOTE}
    assert not every.registered


@pytest.mark.parametrize(
    "location",
    [
        "https://example.org/x.git",
        "ssh://git@example.org/x",
        "git@example.org:x",
        "gh:a/b",
        "gl:a/b",
        "bb:a/b",
        "cb:a/b",
        "sr:~a/b",
        "pypi:a",
    ],
)
def test_a_catalogue_of_another_machine_may_name_places_of_other_machines(location: str) -> None:
    (entry,) = catalogue_form.read(_content(ENTRY | {"location": location}), REMOTE)
    assert entry.location == location


@pytest.mark.parametrize(
    "location",
    [
        "/etc",
        "./beside",
        "../beside",
        "~/templates",
        "file:///etc",
        "FILE:///etc",
        "templates/x",
        "http://example.org/x",
        "ext::sh -c id",
        "https:///x",
        "c:/x",
        "mine:a/b",
        "pypi:/etc",
    ],
)
def test_a_catalogue_of_another_machine_names_no_folder_of_this_one(location: str) -> None:
    assert "another machine may not name" in _refusal(_content(ENTRY | {"location": location}))


def test_a_catalogue_on_this_machine_may_name_folders_and_what_lies_beside_it() -> None:
    named = {"absolute": "/srv/one", "beside": "./one", "above": "../two"}
    entries = [ENTRY | {"name": name, "location": location} for name, location in named.items()]
    found = {entry.name: entry.location for entry in catalogue_form.read(_content(*entries), LOCAL)}
    assert found == {"absolute": "/srv/one", "beside": "/srv/templates/one", "above": "/srv/two"}


@pytest.mark.parametrize("origin", [REMOTE, LOCAL])
def test_only_the_programs_own_catalogue_names_what_is_part_of_it(origin: str) -> None:
    assert "`bundled:web-service`" in _refusal(_content(ENTRY | {"location": "bundled:web-service"}), origin)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Upper"},
        {"name": "../x"},
        {"name": "x" * 41},
        {"name": "ours\n"},
        {"location": ""},
        {"location": "-o/x"},
        {"location": "gh:a/" + "x" * 500},
        {"description": ""},
        {"description": "x" * 501},
        {"description": None},
        {"category": "Web Things"},
        {"category": "info"},
        {"category": "variables"},
        {"language": 7},
        {"language": "x" * 41},
        {"tags": "web"},
        {"tags": ["x"] * 21},
        {"tags": [""]},
        {"directory": "/etc"},
        {"directory": "a/../../b"},
        {"directory": "~root"},
        {"directory": "a\\b"},
        {"revision": "--upload-pack=id"},
        {"registered": True},
        {"catalogue": "bundled"},
        {"unknown": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("origin", [REMOTE, LOCAL, catalogue_form.BUNDLED])
def test_an_entry_of_another_shape_is_refused_with_its_place(change: dict[str, Any], origin: str) -> None:
    said = _refusal(_content(ENTRY | change), origin)
    assert "`entries[0]" in said or "`ours`" in said or f"`{change.get('name')}`" in said


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\n", "\t", "\u202e", "\u200b", "\ufe0f", "\U000e0041"])
@pytest.mark.parametrize("field", ["location", "description", "directory", "revision", "language", "tags"])
def test_a_character_that_can_not_be_seen_is_refused_wherever_it_stands(field: str, character: str) -> None:
    text = f"gh:a/b{character}c"
    assert "can't be seen" in _refusal(_content(ENTRY | {field: [text] if field == "tags" else text}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"version": 1}',
        b'{"version": "1", "entries": []}',
        b'{"version": 1, "entries": {}}',
        b"[" * 100_000,
        b'{"version": 1, "entries": ' + b"[" * 100_000,
        b'{"version": 1, "entries": [], "more": 1}',
        b'{"version": 1, "entries": [{"name": "\xed\xa0\x80"}]}',
    ],
    ids=range(11),
)
def test_what_is_no_catalogue_is_refused(content: bytes) -> None:
    _refusal(content)


def test_a_catalogue_is_of_a_known_version_and_a_bounded_size() -> None:
    assert "version 2" in _refusal(_content(version=2))
    assert f"more than {catalogue_form.MOST_BYTES} bytes" in _refusal(b" " * catalogue_form.MOST_BYTES + _content())
    many = [ENTRY | {"name": f"n{number}"} for number in range(catalogue_form.MOST_ENTRIES + 1)]
    _refusal(_content(*many))
    assert len(catalogue_form.read(_content(*many[1:]), REMOTE)) == catalogue_form.MOST_ENTRIES


def test_a_name_is_there_once() -> None:
    assert "`ours` twice" in _refusal(_content(ENTRY, ENTRY))
