"""What do all catalogues hold now? The bundled one and the operator's: files, and what https addresses gave.

A file is read again when it has changed. What an address gave is kept in the home until it expires, and longer where it
can't be had: what is old is better than nothing, and says so. No catalogue takes a name from one before it, so that no
stranger's entry comes in place of what a caller knows by that name.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from dynamo_mcp import background, catalogue_form
from dynamo_mcp.catalogue_form import is_remote, told
from dynamo_mcp.catalogue_views import CatalogueEntry
from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidCatalogue, InvalidLocation, InvalidTemplate
from dynamo_mcp.once import as_before
from dynamo_mcp.progress import Progress, ignore
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.addresses import checked_url
from dynamo_mcp.sources.wording import ONLINE
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain

FOLDER = "catalogues"
SECONDS = 15.0
"""Seconds that a catalogue of another machine may keep a caller waiting."""
AGAIN_SECONDS = 60.0
"""Seconds before one that could not be had is asked for again."""
_SHOWN = 300
_TAKEN = 5
"""Entries of a name that another has that are told of, for each catalogue."""

_Entries: TypeAlias = tuple[CatalogueEntry, ...]
_Signature: TypeAlias = tuple[int, int, int]


class Known(msgspec.Struct, frozen=True):
    """What all catalogues hold.

    Attributes:
        entries: Sorted by name, each name once.
        notes: What is wrong with a catalogue, or what of it is left out.
        unsure: The catalogues that come after one of which nothing can be had, which may have the same names; and
            that one.
    """

    entries: _Entries
    notes: tuple[str, ...] = ()
    unsure: dict[str, str] = {}


class _Read(msgspec.Struct, frozen=True):
    signature: _Signature
    entries: _Entries


class Catalogues:
    """The catalogues of one open home."""

    def __init__(self, settings: Settings, store: Store, tasks: TaskGroup, *, bundled: _Entries) -> None:
        """Read nothing yet.

        Args:
            settings: The operator's catalogues.
            store: Where what addresses gave is kept.
            tasks: Runs what a server fetches while its callers have what is old.
            bundled: The entries that are part of this program.
        """
        self._settings = settings
        self._store = store
        self._tasks = tasks
        self._bundled = bundled
        self._read: dict[str, _Read] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._locks = {origin: anyio.Lock() for origin in settings.catalogues}
        self._refreshing: set[str] = set()
        self._parts: tuple[_Entries, ...] = ()
        self._said: tuple[str, ...] = ()
        self._known = Known(bundled)

    async def known(self) -> Known:
        """Return what all catalogues hold; the same object as long as nothing has changed.

        A catalogue that can't be had or used is left out, and `notes` say why.
        """
        if not self._settings.catalogues:
            return self._known
        found: dict[str, tuple[_Entries, str | None]] = {}

        async def look(origin: str) -> None:
            found[origin] = await self._of(origin)

        async with anyio.create_task_group() as tasks:
            for origin in self._settings.catalogues:
                tasks.start_soon(look, origin)
        ordered = [found[origin] for origin in dict.fromkeys(self._settings.catalogues)]
        parts = as_before((entries for entries, _ in ordered), self._parts)
        said = tuple(note for _, note in ordered if note is not None)
        if parts is not self._parts or said != self._said:
            entries, taken = _merged(self._bundled, *parts)
            self._parts, self._said = parts, said
            self._known = Known(entries, (*said, *taken), _unsure(found, self._settings.catalogues))
        return self._known

    async def _of(self, origin: str) -> tuple[_Entries, str | None]:
        """Return what one catalogue holds, and what is wrong with it."""
        try:
            if not catalogue_form.is_remote(origin):
                return await self._load(Path(origin), origin), None
            return await self._of_address(origin)
        except DynamoError as error:
            return (), plain(f"a catalogue is left out: {error.message}", _SHOWN)

    async def _of_address(self, origin: str) -> tuple[_Entries, str | None]:
        path = self._store.home / FOLDER / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"
        kept, age = await self._kept(path, origin)
        if kept is not None and 0 <= age < self._settings.catalogue_seconds:
            return kept, None
        if self._settings.serves and (kept is not None or origin in self._failed):
            # Whoever asks a server has what there is, or that there is nothing, and need not wait for a host.
            if origin not in self._refreshing and self._may_ask(origin):
                self._refreshing.add(origin)
                background.start(self._tasks, f"fetching the catalogue `{told(origin)}`", self._refresh, origin, path)
            return self._told(origin, kept, age)
        async with self._locks[origin]:
            kept, age = await self._kept(path, origin)  # whoever waited finds what another has fetched
            if kept is not None and 0 <= age < self._settings.catalogue_seconds:
                return kept, None
            if self._may_ask(origin):
                await self._refresh(origin, path)
                kept, age = await self._kept(path, origin)
        return self._told(origin, kept, age)

    async def _kept(self, path: Path, origin: str) -> tuple[_Entries | None, float]:
        """Return what an address gave and is kept, if that can be used, and how many seconds ago that was."""
        try:
            entries = await self._load(path, origin)
            return entries, time.time() - path.stat().st_mtime
        except (DynamoError, OSError):
            return None, 0.0

    def _may_ask(self, origin: str) -> bool:
        failed = self._failed.get(origin)
        return failed is None or anyio.current_time() - failed[0] >= AGAIN_SECONDS

    def _told(self, origin: str, kept: _Entries | None, age: float) -> tuple[_Entries, str | None]:
        """Return what there is of a catalogue that could not be had, or is not yet there anew, and what to say."""
        failed = self._failed.get(origin)
        if kept is None:
            return (), plain(
                f"a catalogue is left out: {failed[1] if failed else f'`{told(origin)}` is empty'}", _SHOWN
            )
        if failed is None:
            return kept, None
        on = dt.datetime.fromtimestamp(time.time() - age, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        return kept, plain(f"what a catalogue held on {on} is told: {failed[1]}", _SHOWN)

    async def _refresh(self, origin: str, path: Path) -> None:
        try:
            await self._fetch(origin, path)
        except DynamoError as error:
            self._failed[origin] = anyio.current_time(), error.message
        except OSError as error:
            said = f"`{told(origin)}` can't be kept: {error.strerror or error}"
            self._failed[origin] = anyio.current_time(), said
        else:
            self._failed.pop(origin, None)
        finally:
            self._refreshing.discard(origin)

    async def _fetch(self, origin: str, path: Path) -> None:
        if self._settings.offline:
            raise FetchFailed(
                f"`{told(origin)}` is not asked, since nothing is offline",
                hint=f"{ONLINE}, or name a file in `DYNAMO_MCP_CATALOGUES`",
            )
        from dynamo_mcp.sources.download import download  # noqa: PLC0415 - most commands fetch nothing

        # The operator names it, so it may be a host of their own; where that leads to is checked as anybody's.
        limited = msgspec.structs.replace(self._settings, template_bytes=catalogue_form.MOST_BYTES, person=True)
        async with self._store.staged() as folder:
            folder.mkdir(mode=0o700)
            file = folder / "catalogue.json"
            try:
                with anyio.fail_after(SECONDS):
                    await download(checked_url(origin), file, settings=limited, progress=Progress((), ignore))
            except InvalidTemplate as error:
                raise catalogue_form.too_large(origin) from error
            except TimeoutError as error:
                raise FetchFailed(
                    f"`{told(origin)}` did not answer within {SECONDS:g} seconds", hint="try again later"
                ) from error
            content = file.read_bytes()
        await anyio.to_thread.run_sync(catalogue_form.read, content, origin)
        path.parent.mkdir(exist_ok=True)
        self._store.write(path, content, force=False)

    async def _load(self, path: Path, origin: str) -> _Entries:
        """Return what a file holds; raises InvalidCatalogue where it can't be read or used."""
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            kept = self._read.get(origin)
            if kept is not None and kept.signature == signature:
                return kept.entries
            if not stat.S_ISREG(status.st_mode):
                raise InvalidCatalogue(f"The catalogue `{told(origin)}` is no file", hint="name a JSON file")
            entries = await anyio.to_thread.run_sync(partial(_read, path, origin))
        except OSError as error:
            raise InvalidCatalogue(
                f"The catalogue `{told(origin)}` can't be read: {error.strerror or error}",
                hint="make it a readable file",
            ) from error
        self._read[origin] = _Read(signature, entries)
        return entries


def _unsure(found: Mapping[str, tuple[_Entries, str | None]], origins: Sequence[str]) -> dict[str, str]:
    absent = [number for number, origin in enumerate(origins) if found[origin][1] is not None and not found[origin][0]]
    if not absent:
        return {}
    return {told(origin): told(origins[absent[0]]) for origin in origins[absent[0] + 1 :]}


def _read(path: Path, origin: str) -> _Entries:
    # It may have been replaced by a pipe since it was looked at.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        return catalogue_form.read(file.read(catalogue_form.MOST_BYTES + 1), origin)


def _merged(*parts: _Entries) -> tuple[_Entries, tuple[str, ...]]:
    """Return all entries, sorted by name, of several of one name the first; and what is left out so."""
    by_name: dict[str, CatalogueEntry] = {}
    notes = []
    for entries in parts:
        taken = [entry for entry in entries if entry.name in by_name]
        notes += [
            plain(
                f"`{entry.name}` of `{entry.catalogue}` is left out: `{by_name[entry.name].catalogue}` has that name",
                _SHOWN,
            )
            for entry in taken[:_TAKEN]
        ]
        if len(taken) > _TAKEN:
            notes.append(plain(f"{len(taken) - _TAKEN} more of `{taken[0].catalogue}` are left out likewise", _SHOWN))
        for entry in entries:
            by_name.setdefault(entry.name, entry)
    return tuple(by_name[name] for name in sorted(by_name)), tuple(notes)


def check_name(entry: CatalogueEntry, known: Known, settings: Settings) -> None:
    """Refuse a name that may not mean to its caller what a catalogue says.

    Raises:
        FetchFailed: A catalogue that comes before can't be had, and may have that name.
        InvalidLocation: It is a folder of the person's, and a stranger's entry.
    """
    if before := known.unsure.get(entry.catalogue):
        raise FetchFailed(
            f"Whether `{entry.name}` is an entry of `{before}`, which can't be had, is not known, and that comes "
            f"before `{entry.catalogue}`",
            hint=f"try again when it can be had, or name the place itself; `{entry.catalogue}` says `{entry.location}`",
        )
    if settings.person and is_remote(entry.catalogue) and Path(entry.name).exists():
        raise InvalidLocation(
            f"`{entry.name}` is a folder here, and an entry of `{entry.catalogue}`",
            hint=f"`./{entry.name}` is the folder, and `{entry.location}` the entry's place",
        )
