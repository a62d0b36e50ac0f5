"""What has to be done so that the registry matches a file? Decided first, then each thing is done by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from dynamo_mcp import catalogue
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, Refused
from dynamo_mcp.manifest import Entry, Manifest
from dynamo_mcp.pinning import Target
from dynamo_mcp.progress import Sink, ignore
from dynamo_mcp.requirements import normalise
from dynamo_mcp.sandbox.grants import command
from dynamo_mcp.sandbox.trust import LEVELS
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Location, Trust

Kind: TypeAlias = Literal["add", "update", "keep", "remove"]


class Action(msgspec.Struct, frozen=True):
    """What has to be done to one template, or repository of several.

    Attributes:
        why: What is different; empty where that is plain.
        entry: As the file names it; None where it does not.
        now: As it is registered; None where it is not.
    """

    kind: Kind
    name: str
    why: tuple[str, ...] = ()
    entry: Entry | None = None
    now: Entry | None = None


class Synced(msgspec.Struct, frozen=True):
    """What was done, or would be.

    Attributes:
        notes: What else to know, such as trust that a file does not give.
    """

    name: str
    did: Kind
    why: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan(wanted: Manifest, registered: Manifest, *, prune: bool, settings: Settings) -> tuple[Action, ...]:
    """Decide what has to be done, in the order of the file; nothing is asked of anybody.

    Args:
        wanted: What the file names.
        registered: What is there.
        prune: Remove what the file does not name.
        settings: What a person may name.
    """
    there = {entry.name: entry for entry in registered.template}
    named = {entry.name for entry in wanted.template}
    return (
        *(_action(entry, there, settings) for entry in wanted.template),
        *(Action("remove", name, now=now) for name, now in there.items() if prune and name not in named),
    )


def _action(entry: Entry, there: Mapping[str, Entry], settings: Settings) -> Action:
    now = there.get(entry.name)
    if now is None:
        return Action("add", entry.name, entry=entry)
    differs = (
        ("location", _comes_from(entry, settings) != _comes_from(now, settings)),
        ("revision", entry.pin is not None and entry.pin != now.pin),
        ("description", None not in {entry.description, now.description} and entry.description != now.description),
        ("requirements", _named(entry) != _named(now)),
        ("templates", bool({*entry.without} - {*now.without})),
        ("trust", entry.trust is not None and (entry.trust, entry.grants) != (now.trust, now.grants)),
    )
    why = tuple(what for what, is_so in differs if is_so)
    return Action("update" if why else "keep", entry.name, why, entry, now)


def _named(entry: Entry) -> tuple[str, ...]:
    try:
        return normalise(entry.requirements)
    except DynamoError:
        return entry.requirements  # doing it says what is wrong


def _comes_from(entry: Entry, settings: Settings) -> Location | str:
    """Return a location, however it is spelled."""
    try:
        return location_of(entry, settings)
    except DynamoError:
        return entry.location  # likewise


def location_of(entry: Entry, settings: Settings) -> Location:
    """Return where an entry's template comes from.

    Raises:
        InvalidLocation: It can't be understood, or may not be used.
    """
    return catalogue.locate(
        entry.location, settings=settings, revision=entry.checkout, directory=entry.directory, live=entry.live
    )[1]


async def act(dynamo: Dynamo, action: Action, *, vouched: bool, sink: Sink = ignore) -> Synced:
    """Do what has to be done to one.

    Args:
        dynamo: Does it.
        action: What.
        vouched: The file's trust and grants are the person's own word; otherwise they never let more run.
        sink: Where progress goes.

    Raises:
        DynamoError: It can't be done, as adding, updating and removing say it; what was there stays as it was.
    """
    entry = action.entry
    notes: tuple[str, ...] = ()
    if not vouched and dynamo.settings.trust != "inert":
        _check_inert(action)
    if entry is None:
        await dynamo.remove_template(action.name)
    elif action.kind == "add":
        trust, grants, notes = _of_new(entry, dynamo.settings.trust, vouched=vouched)
        await dynamo.add_template(
            entry.location,
            name=entry.name,
            description=entry.description,
            checkout=entry.checkout,
            directory=entry.directory,
            live=entry.live,
            requirements=entry.requirements,
            trust=trust,
            grants=grants,
            pin=entry.pin,
            vouched=vouched,
            sink=sink,
        )
    elif action.kind == "update":
        notes = await _update(dynamo, action, entry, vouched=vouched, sink=sink)
    if entry is not None and entry.without:
        await _remove(dynamo, entry)
    return Synced(action.name, action.kind, action.why, notes)


def _check_inert(action: Action) -> None:
    """Let no file take away what a person lets run nothing: under another name it would be there as any other.

    Raises:
        Refused: It would.
    """
    taken = action.entry is None or {"location", "templates"} & {*action.why}
    if taken and action.now is not None and action.now.trust == "inert":
        raise Refused(
            f"`{action.name}` stays as it is: its trust is `inert`, which a file could undo by another name for it",
            hint=f"`dynamo-mcp remove {action.name}` removes it by your own word; `--trust` takes the file's for it",
        )


async def _remove(dynamo: Dynamo, entry: Entry) -> None:
    """Remove those templates of a repository that were removed where the file was written."""
    for info in await dynamo.list_templates():
        if info.group == entry.name and (info.directory or "") in entry.without:
            await dynamo.remove_template(info.name)


async def _update(dynamo: Dynamo, action: Action, entry: Entry, *, vouched: bool, sink: Sink) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    # Packages are somebody's word, too: a person gives it for those that are there already.
    if {*action.why} - {"trust", "templates"} or (vouched and entry.requirements):
        pin = entry.pin
        if pin is None and action.now is not None and "location" not in action.why:
            pin = action.now.pin
        target = Target(location_of(entry, dynamo.settings), pin, entry.description, entry.requirements, vouched)
        change = await dynamo.update_template(entry.name, to=target, sink=sink)
        notes = tuple(
            f"`{ended.template}` lost its trust; to give it again: {ended.command}" for ended in change.trust_dropped
        )
    now = next((each for each in dynamo.export().template if each.name == entry.name), None)
    if entry.trust is None or now is None or (entry.trust, entry.grants) == (now.trust, now.grants):
        return notes
    more = LEVELS.index(entry.trust) > LEVELS.index(now.trust) or bool({*entry.grants} - {*now.grants})
    if more and not vouched:
        return (*notes, _withheld(entry, now.trust))
    await dynamo.trust_template(entry.name, entry.trust, entry.grants)
    return ()


def _of_new(entry: Entry, allowed: Trust, *, vouched: bool) -> tuple[Trust | None, tuple[str, ...], tuple[str, ...]]:
    """Return how much of a new template may run, what it gets besides, and what is to be said of that."""
    if entry.trust is None and not entry.grants:
        return None, (), ()
    wanted = entry.trust or "contained"
    if vouched:
        return wanted, entry.grants, ()
    if entry.grants or LEVELS.index(wanted) > LEVELS.index(allowed):
        return None, (), (_withheld(entry, allowed),)
    return (wanted if wanted != allowed else None), (), ()


def _withheld(entry: Entry, has: Trust | None) -> str:
    given = command(entry.name, entry.trust or "contained", entry.grants)
    stays = f"trust stays `{has or 'contained'}`, since a file lets nothing more run"
    return f"{stays}; to give it what the file names: `{given}`, or `--trust`"
