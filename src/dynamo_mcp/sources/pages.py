"""Which files does an index have of a package? Its page, in JSON (PEP 691) or HTML (PEP 503), becomes `File`s.

What it says is a list of names and addresses, no more: nothing is taken for a path, and what can't be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qs, unquote, urljoin, urlsplit, urlunsplit

import msgspec

from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.sources.wording import safe_address

ACCEPTED = "application/vnd.pypi.simple.v1+json, text/html;q=0.2, application/vnd.pypi.simple.v1+html;q=0.3"
"""What an index is asked for (PEP 691, Version and format selection)."""
LONGEST_HTML = 16 << 20
"""Bytes of a page that are parsed in Python; one in JSON may be as long as it is fetched."""
_MOST_FILES = 200_000
_LONGEST_NAME = 255
"""Characters of a file's name: what it says of tags multiplies."""
_TAG = re.compile(r"<(?:a|base)\s[^<>]{0,4000}>", re.IGNORECASE)


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that an index has.

    Attributes:
        name: As the index says it.
        url: Where it is, without user, password and fragment.
        sha256: In hexadecimal; None where the index tells none.
        yanked: Why its author has withdrawn it, possibly empty; None where nobody has (PEP 592).
        uploaded: When it came to the index (RFC 3339); None where the index does not tell (PEP 700).
    """

    name: str
    url: str
    sha256: str | None = None
    yanked: str | None = None
    uploaded: str | None = None


class _Listed(msgspec.Struct):
    filename: str
    url: str
    hashes: dict[str, str] = {}
    yanked: bool | str | None = False
    uploaded: str | None = msgspec.field(default=None, name="upload-time")


class _Page(msgspec.Struct):
    files: list[_Listed]


def read(content: bytes, address: str, *, called: str | None = None) -> tuple[File, ...]:
    """Read an index's page of a package.

    Args:
        content: All of it.
        address: Where it came from, which addresses in it are relative to.
        called: What an error calls that.

    Raises:
        FetchFailed: It is no such page.
    """
    called = called or safe_address(address)
    if content.lstrip()[:1] == b"{":
        try:
            page = msgspec.json.decode(content, type=_Page)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _no_page(called) from error
        found: Iterator[File | None] = (_of_json(each, address) for each in page.files)
    else:
        if len(content) > LONGEST_HTML:
            raise _no_page(called)
        found = _of_html(content.decode("utf-8", "replace"), address)
    files = []
    for file in found:
        if file is not None:
            files.append(file)
        if len(files) > _MOST_FILES:
            raise _no_page(called)
    return tuple(files)


def _no_page(called: str) -> FetchFailed:
    return FetchFailed(
        f"`{called}` is no page of a package index",
        hint="check the index's address in `UV_INDEX` or `UV_DEFAULT_INDEX`: it ends in `/simple` for most",
    )


def _of_json(listed: _Listed, address: str) -> File | None:
    yanked = listed.yanked if isinstance(listed.yanked, str) else "" if listed.yanked else None
    file = File(listed.filename, listed.url, listed.hashes.get("sha256"), yanked, listed.uploaded)
    return _file(file, address)


def _of_html(text: str, address: str) -> Iterator[File | None]:
    parser = _Anchors()
    # One tag at a time: of a page with many that do not end the parser reads the rest again for each.
    for tag in _TAG.finditer(text):
        parser.feed(tag[0])
        parser.reset()
    base = urljoin(address, parser.base) if parser.base else address
    for link, yanked in parser.links:
        try:
            parts = urlsplit(link)
        except ValueError:
            continue
        sha256 = parse_qs(parts.fragment).get("sha256", [None])[0]
        yield _file(File(unquote(parts.path).rpartition("/")[2], link, sha256, yanked), base)


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base: str | None = None
        self.links: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        link = given.get("href")
        if tag == "base" and self.base is None:
            self.base = link
        elif tag == "a" and link:
            self.links.append((link, (given["data-yanked"] or "") if "data-yanked" in given else None))


def _file(file: File, base: str) -> File | None:
    """Return a file with its whole address; None where it has none, or no name."""
    try:
        parts = urlsplit(urljoin(base, file.url))
    except ValueError:
        return None
    server = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=server, fragment=""))
    named = 0 < len(file.name) <= _LONGEST_NAME
    if not named or not (file.name + url).isprintable() or not parts.scheme:
        return None
    return msgspec.structs.replace(file, url=url, sha256=file.sha256.lower() if file.sha256 else None)
