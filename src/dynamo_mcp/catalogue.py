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

from dynamo_mcp.types import CatalogueEntry, Template

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


def find(name: str) -> CatalogueEntry | None:
    """Return the entry of this name."""
    return next((entry for entry in entries() if entry.name == name), None)


def unregistered(templates: Iterable[Template]) -> tuple[CatalogueEntry, ...]:
    """Return the entries that no registered template comes from."""
    known = {(_canonical(template.location.address), template.location.directory) for template in templates}
    return tuple(entry for entry in entries() if (_canonical(address_of(entry)), entry.directory) not in known)


def address_of(entry: CatalogueEntry) -> str:
    """Return the address that `sources.parse` takes for an entry."""
    if entry.location.startswith(BUNDLED):
        return str(BUNDLED_FOLDER / entry.location.removeprefix(BUNDLED))
    return entry.location


def _canonical(address: str) -> str:
    return address.removesuffix("/").removesuffix(".git").lower()
