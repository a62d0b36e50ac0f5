"""Which file of a package is chosen, of what an index says, and how is that read?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.sources import pages
from dynamo_mcp.sources.choosing import choose, parse_before
from dynamo_mcp.sources.pages import File

HOST = "https://host/simple/tmpl/"


def of(*names: str, **said: Any) -> list[File]:
    return [File(name, f"https://host/{name}", **said) for name in names]


def chosen(files: list[File], wanted: str | None = None, **more: Any) -> tuple[str, list[str]]:
    choice = choose(files, "tmpl", wanted, **more)
    return choice.version, [file.name for file in choice.files]


@pytest.mark.parametrize(
    ("names", "version", "files"),
    [
        (["tmpl-1.0.tar.gz", "tmpl-1.0-py3-none-any.whl"], "1.0", ["tmpl-1.0-py3-none-any.whl", "tmpl-1.0.tar.gz"]),
        (["tmpl-9.tar.gz", "tmpl-10.tar.gz"], "10", ["tmpl-10.tar.gz"]),
        (["tmpl-2.0rc1.tar.gz", "tmpl-1.0.tar.gz"], "1.0", ["tmpl-1.0.tar.gz"]),
        (["tmpl-2.0.dev1.tar.gz", "tmpl-2.0rc1.tar.gz"], "2.0rc1", ["tmpl-2.0rc1.tar.gz"]),
        (["tmpl-1.0.zip", "tmpl-1.0.tar.gz"], "1.0", ["tmpl-1.0.tar.gz"]),
        (
            ["tmpl-1-cp313-cp313-win_amd64.whl", "tmpl-1-cp313-cp313-macosx_11_0_arm64.whl"],
            "1",
            ["tmpl-1-cp313-cp313-macosx_11_0_arm64.whl"],
        ),
        (["tmpl-1-cp313-cp313-aaa.whl", "tmpl-1-py2.py3-none-any.whl"], "1", ["tmpl-1-py2.py3-none-any.whl"]),
        # What nobody can read is left out, as are other packages' files.
        (
            [
                "tmpl-3.exe",
                "tmpl-4.egg",
                "tmpl-5.whl",
                "other-6.tar.gz",
                "../tmpl-7.tar.gz",
                "tmpl-x.tar.gz",
                "tmpl-1.zip",
            ],
            "1",
            ["tmpl-1.zip"],
        ),
    ],
)
def test_the_newest_version_and_a_wheel_first(names: list[str], version: str, files: list[str]) -> None:
    assert chosen(of(*names)) == (version, files)


def test_a_version_is_found_however_it_is_spelled_and_others_are_named() -> None:
    files = of("tmpl-1.0.tar.gz", "tmpl-1.1.tar.gz", "tmpl-2.0rc1.tar.gz")
    assert chosen(files, "1.0.0") == ("1.0", ["tmpl-1.0.tar.gz"])
    assert chosen(files, "2.0rc1")[0] == "2.0rc1"
    with pytest.raises(InvalidLocation, match=r"no version `1\.2`") as raised:
        chosen(files, "1.2")
    assert "`1.1`" in raised.value.hint


def test_what_was_withdrawn_is_used_only_by_whoever_names_it() -> None:
    files = [*of("tmpl-2.0.tar.gz", "tmpl-2.0-py3-none-any.whl", yanked="broken"), *of("tmpl-1.0.tar.gz")]
    assert chosen(files)[0] == "1.0"
    assert choose(files, "tmpl", "1.0").yanked is None
    named = choose(files, "tmpl", "2.0")
    assert named.yanked == "broken"
    assert named.files[0].name == "tmpl-2.0-py3-none-any.whl"
    with pytest.raises(InvalidLocation, match="withdrawn by its author") as raised:
        chosen(files[:2])
    assert "`pypi:tmpl==2.0`" in raised.value.hint
    half = [*files, *of("tmpl-2.0.zip")]  # only some of its files
    assert chosen(half) == ("2.0", ["tmpl-2.0.zip"])


def test_a_package_without_a_file_that_can_be_unpacked_is_told() -> None:
    with pytest.raises(InvalidLocation, match="no file of `pypi:tmpl`"):
        chosen(of("tmpl-1.0.exe"))
    with pytest.raises(InvalidLocation, match="no file of `pypi:tmpl`"):
        chosen([])


def test_what_came_later_than_the_operator_says_counts_for_nothing() -> None:
    files = [
        *of("tmpl-1.0.tar.gz", uploaded="2026-01-01T00:00:00.5Z"),
        *of("tmpl-2.0.tar.gz", uploaded="2026-02-01T12:00:00Z"),
        *of("tmpl-3.0.tar.gz"),
    ]
    assert chosen(files, before=parse_before("2026-02-01"))[0] == "2.0"
    assert chosen(files, before=parse_before("2026-02-01T00:00:00Z"))[0] == "1.0"
    assert parse_before(None) is None
    assert parse_before("2026-02-01T00:00:00") == datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(FetchFailed, match="UV_EXCLUDE_NEWER"):
        parse_before("soon")


def test_a_page_in_json_is_read() -> None:
    page = {
        "meta": {"api-version": "1.4"},
        "files": [
            {
                "filename": "tmpl-1.0.tar.gz",
                "url": "../../f/tmpl-1.0.tar.gz#x",
                "hashes": {"md5": "0", "sha256": "AB"},
                "yanked": "why",
                "upload-time": "2026-01-01T00:00:00Z",
                "requires-python": ">=9",
                "core-metadata": True,
            },
            {"filename": "tmpl-2.0.tar.gz", "url": "https://me:swordfish@cdn/x", "hashes": {}, "yanked": True},
            {"filename": "tmpl-\n3.0.tar.gz", "url": "x", "hashes": {}},
            {"filename": "tmpl-5.0.tar.gz", "url": "https://host/\x1b[2J", "hashes": {}},
            {"filename": "tmpl-4.0.tar.gz", "url": "https://[x", "hashes": {}},
        ],
    }
    assert pages.read(json.dumps(page).encode(), HOST) == (
        File("tmpl-1.0.tar.gz", "https://host/f/tmpl-1.0.tar.gz", "ab", "why", "2026-01-01T00:00:00Z"),
        File("tmpl-2.0.tar.gz", "https://cdn/x", None, ""),
    )


def test_a_page_in_html_is_read() -> None:
    page = b"""<!DOCTYPE html><html><body><a href="/f/tmpl-1.0%2Blocal.tar.gz?a=1#sha256=ab">tmpl</a>
        <a href="tmpl-2.0.tar.gz" data-yanked>2</a><a href="tmpl-3.0.tar.gz" data-yanked="why&lt;">3</a>
        <a name="nothing">x</a><a href="https://[x">x</a></body>"""
    assert pages.read(page, HOST) == (
        File("tmpl-1.0+local.tar.gz", "https://host/f/tmpl-1.0%2Blocal.tar.gz?a=1", "ab"),
        File("tmpl-2.0.tar.gz", f"{HOST}tmpl-2.0.tar.gz", None, ""),
        File("tmpl-3.0.tar.gz", f"{HOST}tmpl-3.0.tar.gz", None, "why<"),
    )
    based = b'<html><head><base href="https://cdn/x/"></head><a href="tmpl-1.0.tar.gz">1</a>'
    assert pages.read(based, HOST)[0].url == "https://cdn/x/tmpl-1.0.tar.gz"


@pytest.mark.parametrize("page", [b"{", b'{"files": 1}', b'{"files": [{}]}', b'{"files": [{"filename": "\xff"}]}'])
def test_what_is_no_page_is_told(page: bytes) -> None:
    with pytest.raises(FetchFailed, match="is no page of a package index"):
        pages.read(page, HOST)
