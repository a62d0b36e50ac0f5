"""What is a catalogue's form, and is this one? Bytes become entries, or are refused as a whole, with the place.

    {"version": 1, "entries": [{"name", "location", "description", "category",
                                "revision"?, "directory"?, "language"?, "tags"?}]}

A catalogue of another machine is a stranger's: it is bounded, typed, has no character that would not be seen, and names
no folder of this machine. One on this machine may; what begins with `./` or `../` is beside the catalogue.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec

from dynamo_mcp.catalogue_views import CatalogueEntry
from dynamo_mcp.errors import InvalidCatalogue
from dynamo_mcp.misfits import misfit
from dynamo_mcp.text import plain

BUNDLED = "bundled"
"""The origin of the catalogue that is part of this program."""
MOST_BYTES = 1 << 20
MOST_ENTRIES = 2000
VERSION = 1

_LENGTH = 500
_NOT_CATEGORIES = frozenset({"info", "variables"})
"""`templates://category/info` is the resource of a template that is called `category`."""
_ELSEWHERE = re.compile(r"https://[^/]+/.+|ssh://[^/]+/.+|git@[^/:]+:.+|(?:gh|gl|bb|cb|sr):[^/]+/.+|pypi:[^/]+")
_ALLOWED = {
    "version": str(VERSION),
    "entries": f"a list, of {MOST_ENTRIES} at most",
    "name": "1 to 40 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or a digit",
    "location": f"text of 1 to {_LENGTH} characters",
    "description": f"text of 1 to {_LENGTH} characters",
    "category": "1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter",
    "revision": "text of 1 to 200 characters",
    "directory": "text of 1 to 200 characters",
    "language": "text of 1 to 40 characters",
    "tags": "20 texts at most, each of 1 to 40 characters",
}
_DOCUMENTED = "docs/catalogues.md says what a catalogue is"

_Short: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
_Path: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}\Z")]
    location: Annotated[str, msgspec.Meta(min_length=1, max_length=_LENGTH)]
    description: Annotated[str, msgspec.Meta(min_length=1, max_length=_LENGTH)]
    category: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,39}\Z")]
    revision: _Path | None = None
    directory: _Path | None = None
    language: _Short | None = None
    tags: Annotated[tuple[_Short, ...], msgspec.Meta(max_length=20)] = ()


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    entries: Annotated[tuple[_Entry, ...], msgspec.Meta(max_length=MOST_ENTRIES)]


def read(content: bytes, origin: str) -> tuple[CatalogueEntry, ...]:
    """Read a catalogue.

    Args:
        content: The file's bytes.
        origin: Where it is from: `bundled`, the path of a file, or an https address.

    Returns:
        Its entries, sorted by name.

    Raises:
        InvalidCatalogue: It is none, or too large, or an entry of it may not be.
    """
    shown = plain(told(origin), 200)
    if len(content) > MOST_BYTES:
        raise too_large(origin)
    try:
        catalogue = msgspec.json.decode(content, type=_Catalogue)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = _said(error, content)
        raise InvalidCatalogue(f"The catalogue `{shown}` can't be used: {said}", hint=_DOCUMENTED) from error
    if catalogue.version != VERSION:
        raise InvalidCatalogue(
            f"The catalogue `{shown}` is of version {catalogue.version}, and {VERSION} is known",
            hint="use a newer dynamo-mcp, or write the catalogue in the known version",
        )
    names: set[str] = set()
    for entry in catalogue.entries:
        for problem in _problems(entry, origin):
            raise InvalidCatalogue(f"The catalogue `{shown}` can't be used: `{entry.name}` {problem}", hint=_DOCUMENTED)
        if entry.name in names:
            raise InvalidCatalogue(
                f"The catalogue `{shown}` has `{entry.name}` twice", hint="give one of the two another name"
            )
        names.add(entry.name)
    return tuple(_entry(entry, origin) for entry in sorted(catalogue.entries, key=lambda entry: entry.name))


def _said(error: Exception, content: bytes) -> str:
    """Return why a catalogue can't be read."""
    if isinstance(error, msgspec.ValidationError):
        try:
            return misfit(error, msgspec.json.decode(content), _ALLOWED)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as worse:  # what lies beyond the first misfit
            error = worse
    return plain(str(error), 200)


def too_large(origin: str) -> InvalidCatalogue:
    """Return the error for a catalogue of too many bytes."""
    return InvalidCatalogue(
        f"The catalogue `{plain(told(origin), 200)}` has more than {MOST_BYTES} bytes",
        hint="split it, or leave some out",
    )


def is_remote(origin: str) -> bool:
    """Tell whether a catalogue is another machine's, and so a stranger's."""
    return origin.startswith("https://")


def told(origin: str) -> str:
    """Return where a catalogue is from as anybody may know it: in the query of an address may be a secret."""
    return origin.partition("?")[0] if is_remote(origin) else origin


def _problems(entry: _Entry, origin: str) -> Iterator[str]:
    """Say what is wrong with an entry that has the right types."""
    texts = [entry.location, entry.description, entry.revision, entry.directory, entry.language, *entry.tags]
    for text in filter(None, texts):
        if plain(text, len(text)) != text:
            yield f"has characters that can't be seen, or white space too much, in `{plain(text, 100)}`"
    if entry.category in _NOT_CATEGORIES:
        yield f"has the category `{entry.category}`, which is the name of a resource"
    if entry.location.startswith("-") or (entry.revision or "").startswith("-"):
        yield "has a location or a revision that begins with `-`"
    if entry.directory is not None and (
        entry.directory.startswith(("/", "~")) or ".." in entry.directory.split("/") or "\\" in entry.directory
    ):
        yield f"has the directory `{entry.directory}`, which leads out of its repository"
    if origin == BUNDLED:
        return
    if entry.location.startswith(f"{BUNDLED}:"):
        yield f"has the location `{entry.location}`, which is for the catalogue of this program alone"
    elif is_remote(origin) and not _ELSEWHERE.fullmatch(entry.location):
        yield (
            f"has the location `{plain(entry.location, 100)}`, which a catalogue of another machine may not name: "
            "it is `https://…`, `ssh://…`, `git@host:path`, `pypi:package`, or `owner/repository` behind `gh:`, `gl:`, "
            "`bb:`, `cb:` or `sr:`"
        )


def _entry(entry: _Entry, origin: str) -> CatalogueEntry:
    location = entry.location
    if origin != BUNDLED and location.startswith(("./", "../")):
        location = os.path.normpath(os.path.join(os.path.dirname(origin), location))  # noqa: PTH118, PTH120 - text alone
    return CatalogueEntry(
        name=entry.name,
        location=location,
        description=entry.description,
        category=entry.category,
        directory=entry.directory,
        language=entry.language,
        tags=tuple(dict.fromkeys(entry.tags)),
        revision=entry.revision,
        catalogue=told(origin),
    )
