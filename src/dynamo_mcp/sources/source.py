"""What is a source, and which are there? One protocol; others come with packages that an operator installs.

A package adds one by an entry point of the group `dynamo_mcp.sources`, whose name is what addresses begin with:
`hg = "example.mercurial"` fetches `hg:whatever` by `example.mercurial.fetch`. What it makes is looked over and copied
like a folder that somebody named: it need not be trusted with more than what an address means.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import msgspec

from dynamo_mcp import plugins
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import ABBREVIATIONS
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location

GROUP = "dynamo_mcp.sources"
OWN = frozenset({"archive", "git", "local", "pypi"})
"""Modules beside this one."""
_NAME = re.compile(r"[a-z][a-z0-9+-]{1,30}")
_REASON = 200
_LONGEST = 200
_SHOWN = 40


class Brought(msgspec.Struct, frozen=True):
    """What a source has made of a location.

    Attributes:
        revision: What pins it: a commit, a digest, a version; None where nothing does.
        left_out: What was not taken of a folder that projects are made of: each path, and why.
        listed: As of `Template`.
        origin: As there.
        validator: As of `Checkout`.
    """

    revision: str | None = None
    left_out: tuple[str, ...] = ()
    listed: bool = True
    origin: str | None = None
    validator: str = ""


class Source(Protocol):
    """Fetches what locations of one kind mean.

    One of a package may also have `revision_there(location, *, store, settings)`, which asks for what `fetch` would
    be pinned by now, without fetching it.
    """

    async def fetch(
        self, location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress
    ) -> Brought:
        """Fetch a tree.

        Args:
            location: What is wanted; its address begins with the source's name, unless it is one of our own.
            tree: The folder to make.
            store: Where files may be kept meanwhile (`staged`).
            settings: Limits, who speaks (`person`), and how the network is reached.
            progress: What the steps are reported to.

        Raises:
            DynamoError: InvalidLocation where something is not there, FetchFailed where it can't be had.
        """


def source_of(kind: str) -> Source:
    """Return the source of a kind of location.

    Raises:
        FetchFailed: There is none by now, or it can't be imported.
    """
    if kind in OWN:
        return cast("Source", import_module(f"dynamo_mcp.sources.{kind}"))
    entry = plugins.found(GROUP).get(kind) if kind not in ABBREVIATIONS else None
    if entry is None:
        raise FetchFailed(
            f"There is no source `{kind}` here by now", hint="install the package that it came with where this runs"
        )
    return cast("Source", plugins.load(entry, "source", FetchFailed))


def failed(kind: str, error: Exception) -> FetchFailed:
    """Return the error for one of a package that raised what it may not."""
    return FetchFailed(
        f"The source `{kind}` failed: {type(error).__name__}: {plain(str(error), _REASON)}",
        hint="tell whoever made the package that it came with",
    )


def checked(brought: object) -> Brought:
    """Return what one of a package has returned, which is to be recorded.

    Raises:
        ValueError: It may not be, and so is msgspec.ValidationError.
    """
    told = msgspec.convert(brought, Brought, from_attributes=True)
    for text in (told.revision, told.origin, told.validator):
        checked_revision(text)
    return told


def checked_revision(revision: object) -> str | None:
    """Return what one of a package says of a revision; raises ValueError where it is no short line of text."""
    if revision is None or (isinstance(revision, str) and revision.isprintable() and len(revision) <= _LONGEST):
        return revision
    raise ValueError(f"it says `{plain(str(revision), _SHOWN)}` of a revision")


def is_other(name: str) -> bool:
    """Tell whether a source of an installed package has this name; ours and abbreviations come first."""
    ours = name in OWN or name in ABBREVIATIONS
    return not ours and _NAME.fullmatch(name) is not None and name in plugins.found(GROUP)
