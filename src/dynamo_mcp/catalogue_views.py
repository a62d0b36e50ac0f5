"""What do clients read of catalogues, categories and what was found?"""

from __future__ import annotations

import msgspec

from dynamo_mcp.views import TemplateInfo


class CatalogueEntry(msgspec.Struct, frozen=True):
    """A template that could be added.

    Attributes:
        name: What `add_template` takes as `url`, too.
        location: What it takes as `url`.
        directory: What it takes as `directory`.
        revision: What it takes as `checkout`, where the default branch is not what is meant.
        registered: A template from there is registered already.
        catalogue: The catalogue that it is an entry of: `bundled`, or the file or address of an operator's.
    """

    name: str
    location: str
    description: str
    category: str
    directory: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    registered: bool = False
    revision: str | None = None
    catalogue: str = "bundled"


class CategoryInfo(msgspec.Struct, frozen=True):
    """A category, how many registered templates are of it, and how many more are available in the catalogue."""

    name: str
    registered: int
    available: int


class Category(msgspec.Struct, frozen=True):
    """What is of one category.

    Attributes:
        templates: The registered templates, as summaries.
        entries: The catalogue's, also those that are registered.
    """

    name: str
    templates: tuple[TemplateInfo, ...]
    entries: tuple[CatalogueEntry, ...]


class FoundTemplate(msgspec.Struct, frozen=True):
    """A template that fits what was asked for: a registered one, or one that could be added.

    Attributes:
        name: What the registered one is called; else what `add_template` takes as `url`.
        registered: It can be used now; else it is to be added first.
        score: How well it fits, from 0 to 100; 0 where nothing but filters was asked for.
        why: What of it fits, a phrase for each word.
        tool: The MCP tool that creates a project from it, if it is registered.
        location: Where it comes from.
        catalogue: The catalogue that it is an entry of, as in an entry; null where it is none.
    """

    name: str
    description: str
    registered: bool
    score: float
    why: tuple[str, ...]
    category: str | None
    language: str | None
    tags: tuple[str, ...]
    location: str
    directory: str | None = None
    tool: str | None = None
    catalogue: str | None = None


class Found(msgspec.Struct, frozen=True):
    """What fits, best first.

    Attributes:
        more: How many more fit than are told.
        notes: What else to know, such as that nothing has all of the words, or that a catalogue can't be had.
    """

    results: tuple[FoundTemplate, ...]
    more: int = 0
    notes: tuple[str, ...] = ()
