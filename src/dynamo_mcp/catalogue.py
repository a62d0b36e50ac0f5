"""Which could we add? The bundled catalogue of verified templates, and the categories of these and of what is there.

Its form is `catalogue_form`'s; `bundled:NAME` is a template that is part of this program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import msgspec

from dynamo_mcp import catalogue_form, sources
from dynamo_mcp.catalogue_form import is_remote
from dynamo_mcp.catalogue_views import CatalogueEntry, Category, CategoryInfo
from dynamo_mcp.errors import InvalidLocation, NotFound
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location, Template
from dynamo_mcp.views import TemplateInfo

BUNDLED = "bundled:"
BUNDLED_FOLDER = Path(__file__).parent / "templates"
Place: TypeAlias = tuple[str, str | None]
"""An address, as far as it tells places apart, and a directory."""
SHOWN = 80
"""Characters of an unknown category that are shown."""
_ALIKE = 60
"""Per cent that two words are alike at least (Indel similarity)."""
_TOLD = 40
"""Words that are told where none is near."""


@cache
def entries() -> tuple[CatalogueEntry, ...]:
    """Return every entry, sorted by name."""
    content = (Path(__file__).parent / "catalogue.json").read_bytes()
    return catalogue_form.read(content, catalogue_form.BUNDLED)


def locate(
    address: str,
    *,
    settings: Settings,
    revision: str | None,
    directory: str | None,
    live: bool,
    among: tuple[CatalogueEntry, ...] | None = None,
) -> tuple[CatalogueEntry | None, Location]:
    """Say where a template is: by an entry's name, a bundled template's location, or an address.

    Args:
        address: What the caller typed.
        settings: What the caller may name.
        revision: Branch, tag or commit; an entry's own when None.
        directory: The template's folder in the repository; an entry's own when None.
        live: Use a local folder in place.
        among: The entries that are known; the bundled ones when None.

    Returns:
        The catalogue's entry, if it is one, and the location.

    Raises:
        InvalidLocation: It can't be understood, or may not be used.
    """
    among = entries() if among is None else among
    by_name = {known.name: known for known in among}
    by_name |= {known.location: known for known in among if known.location.startswith(BUNDLED)}
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
        revision=revision or (entry.revision if entry else None),
        directory=directory or (entry.directory if entry else None),
        live=live,
    )


def relocate(location: Location) -> Location:
    """Return where a location is now: a bundled template moves with the program."""
    if not location.bundled:
        return location
    return msgspec.structs.replace(location, address=str(BUNDLED_FOLDER / Path(location.address).name))


def marked(
    templates: Iterable[Template], among: tuple[CatalogueEntry, ...] | None = None
) -> tuple[CatalogueEntry, ...]:
    """Return every entry, sorted by name, and of each whether a registered template comes from there."""
    known = {place for template in templates for place in _places(template)}
    return tuple(
        msgspec.structs.replace(entry, registered=True) if _place(entry) in known else entry
        for entry in (entries() if among is None else among)
    )


def unregistered(
    templates: Iterable[Template], among: tuple[CatalogueEntry, ...] | None = None
) -> tuple[CatalogueEntry, ...]:
    """Return the entries that no registered template comes from."""
    return tuple(entry for entry in marked(templates, among) if not entry.registered)


def entry_of(template: Template, places: Mapping[Place, CatalogueEntry]) -> CatalogueEntry | None:
    """Return the entry that a registered template comes from, if it comes from one of `by_place`."""
    return next((places[place] for place in _places(template) if place in places), None)


def by_place(among: Iterable[CatalogueEntry]) -> dict[Place, CatalogueEntry]:
    """Return entries by where they are; of several of one place, the bundled or the operator's, then the first."""
    ordered = sorted(among, key=lambda entry: (entry.catalogue != catalogue_form.BUNDLED, is_remote(entry.catalogue)))
    return {_place(entry): entry for entry in reversed(ordered)}


def category_of(template: Template) -> str | None:
    """Return what kind of template it is, also where it was added by its address; None where nobody says."""
    if template.category is not None:
        return template.category
    entry = entry_of(template, _bundled())
    return entry.category if entry else None


def categories(
    templates: Iterable[Template], among: tuple[CatalogueEntry, ...] | None = None
) -> tuple[CategoryInfo, ...]:
    """Return every category of a registered template or of an entry, sorted by name, and how many are of it."""
    among = entries() if among is None else among
    templates = tuple(templates)
    registered = Counter(category for template in templates if (category := category_of(template)) is not None)
    available = Counter(entry.category for entry in unregistered(templates, among))
    names = sorted({*registered, *(entry.category for entry in among)})
    return tuple(CategoryInfo(name, registered[name], available[name]) for name in names)


def category(
    name: str,
    templates: Iterable[Template],
    summaries: Iterable[TemplateInfo],
    among: tuple[CatalogueEntry, ...] | None = None,
) -> Category:
    """Return what is of one category.

    Args:
        name: The category.
        templates: All registered templates.
        summaries: The same, as clients read them.
        among: The entries that are known; the bundled ones when None.

    Raises:
        NotFound: There is no such category, with the nearest.
    """
    registered = tuple(templates)
    check_category(name, [category.name for category in categories(registered, among)])
    of_it = tuple(template for template in summaries if template.category == name)
    return Category(name, of_it, tuple(entry for entry in marked(registered, among) if entry.category == name))


def check_category(name: str, known: list[str]) -> None:
    """Refuse a category that is none.

    Raises:
        NotFound: With the nearest, or all.
    """
    if name not in known:
        raise NotFound(f"There is no category `{plain(name, SHOWN)}`", hint=meant(name, known))


def meant(word: str, known: Sequence[str]) -> str:
    """Return a hint for a word that is none: the nearest, or what there is, of which strangers may have named much."""
    if near := nearest(word, known):
        return f"did you mean `{near}`?"
    more = f", and {len(known) - _TOLD} more" if len(known) > _TOLD else ""
    return "there are " + ", ".join(f"`{each}`" for each in known[:_TOLD]) + more


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the word of some that was probably meant; None where none is like it."""
    from rapidfuzz import fuzz, process  # noqa: PLC0415 - only who mistypes waits for it

    near = process.extractOne(word[:SHOWN], known, scorer=fuzz.ratio, score_cutoff=_ALIKE)
    return str(near[0]) if near else None


def address_of(entry: CatalogueEntry) -> str:
    """Return the address that `sources.parse` takes for an entry."""
    if entry.location.startswith(BUNDLED):
        return str(BUNDLED_FOLDER / entry.location.removeprefix(BUNDLED))
    return entry.location


def url(location: Location) -> str:
    """Return where a template comes from, as clients read it."""
    return BUNDLED + Path(location.address).name if location.bundled else sources.display(location)


def _canonical(address: str) -> str:
    return address.removesuffix("/").removesuffix(".git").lower()


def _place(entry: CatalogueEntry) -> Place:
    return _canonical(address_of(entry)), entry.directory


def _places(template: Template) -> tuple[Place, ...]:
    """Return what an entry would name that a template comes from: its own folder, or that of its repository."""
    address = _canonical(relocate(template.location).address)
    own = (address, template.location.directory)
    return (own,) if template.group is None else (own, (address, template.group.directory))


@cache
def _bundled() -> dict[Place, CatalogueEntry]:
    return by_place(entries())
