"""Which could we add? The bundled catalogue of verified templates.

Its form, `catalogue.json`: `{"version": 1, "entries": [{"name", "location", "directory", "description", "category",
"language", "tags"}]}`; `bundled:NAME` is a template that is part of this program.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from dynamo_mcp import sources
from dynamo_mcp.errors import InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Location, Template
from dynamo_mcp.views import CatalogueEntry

BUNDLED = "bundled:"
BUNDLED_FOLDER = Path(__file__).parent / "templates"


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    entries: tuple[CatalogueEntry, ...]


@cache
def entries() -> tuple[CatalogueEntry, ...]:
    """Return every entry, sorted by name."""
    content = files("dynamo_mcp").joinpath("catalogue.json").read_bytes()
    return msgspec.json.decode(content, type=_Catalogue).entries


def locate(
    address: str, *, settings: Settings, revision: str | None, directory: str | None, live: bool
) -> tuple[CatalogueEntry | None, Location]:
    """Say where a template is: by an entry's name, a bundled template's location, or an address.

    Args:
        address: What the caller typed.
        settings: What the caller may name.
        revision: Branch, tag or commit.
        directory: The template's folder in the repository; an entry's own when None.
        live: Use a local folder in place.

    Returns:
        The catalogue's entry, if it is one, and the location.

    Raises:
        InvalidLocation: It can't be understood, or may not be used.
    """
    by_name = {known.name: known for known in entries()}
    by_name |= {known.location: known for known in entries() if known.location.startswith(BUNDLED)}
    entry = by_name.get(address)
    if entry is not None and entry.location.startswith(BUNDLED):
        if revision or directory or live:
            raise InvalidLocation(
                f"`{address}` is part of this program: it has no revisions, and can't be live",
                hint="leave out `checkout`, `directory` and `live`",
            )
        return entry, Location("local", address_of(entry), bundled=True)
    return entry, sources.parse(
        address_of(entry) if entry else address,
        settings=settings,
        revision=revision,
        directory=directory or (entry.directory if entry else None),
        live=live,
    )


def relocate(location: Location) -> Location:
    """Return where a location is now: a bundled template moves with the program."""
    if not location.bundled:
        return location
    return msgspec.structs.replace(location, address=str(BUNDLED_FOLDER / Path(location.address).name))


def unregistered(templates: Iterable[Template]) -> tuple[CatalogueEntry, ...]:
    """Return the entries that no registered template comes from."""
    known = {
        (_canonical(relocate(location).address), directory)
        for template in templates
        for location in (template.location,)
        for directory in (location.directory, *([template.group.directory] if template.group else []))
    }
    return tuple(entry for entry in entries() if (_canonical(address_of(entry)), entry.directory) not in known)


def address_of(entry: CatalogueEntry) -> str:
    """Return the address that `sources.parse` takes for an entry."""
    if entry.location.startswith(BUNDLED):
        return str(BUNDLED_FOLDER / entry.location.removeprefix(BUNDLED))
    return entry.location


def _canonical(address: str) -> str:
    return address.removesuffix("/").removesuffix(".git").lower()
