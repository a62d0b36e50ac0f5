"""What of the home may go, and what goes first?

What a registered template can't be used without stays whatever the limits are: its checkout, which may be nowhere else
any more, and the base of its environment, which offline could not be had again. Its environment is made from that base
at its next use, by hard links. So there goes

- at once, what nothing leads to: checkouts and mirrors that no record names, environments of templates that there are
  not, and those and their bases in whose place others were made anew;
- least recently used first, beyond a number, a sum of bytes or an age: environments, bases that no template needs and
  no environment was cloned from, compiled code, mirrors, packages, and wheels that no base holds.

Never what was made or used within the last hour, nor what any server says that it uses (`uses`). Each is taken by one
rename into the server's scratch folder, so a server that is killed meanwhile leaves it whole, or to be swept.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import anyio.to_thread

from dynamo_mcp import inventory, leftovers
from dynamo_mcp.disk import remove, words
from dynamo_mcp.environments import KEY_LENGTH, Environments
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.inventory import Entry, listed, measure
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import SUFFIX, Registry
from dynamo_mcp.settings import Settings
from dynamo_mcp.soundness import added_to
from dynamo_mcp.source_settings import PREFIX
from dynamo_mcp.sources.mirrors import FOLDER, mirror_path
from dynamo_mcp.stock import DAY, Stock, paced, take_stock
from dynamo_mcp.store import Store, sweep
from dynamo_mcp.types import Template
from dynamo_mcp.uses import LOCK, NOTED_SECONDS, RECENT_SECONDS, in_use
from dynamo_mcp.uv import Uv
from dynamo_mcp.views import Kept, Reclaimed, Removed

FIRST_SECONDS = 60.0
"""Seconds after the start of a server: its first clients come first, and commands have ended by then."""
AGAIN_SECONDS = 6 * 3600.0
"""Seconds after which what has grown old is looked for, also where no template was added, updated or removed."""
NAMED = 5
"""Records that a note names."""

_log = logging.getLogger(__name__)


class Reclaiming:
    """Reclaims the disk of one home."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        registry: Registry,
        environments: Environments,
        registration: Registration,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reclaim nothing yet.

        Args:
            settings: The limits.
            store: The home.
            registry: Which templates there are.
            environments: Which bases renderers run from.
            registration: What templates rest on.
            clock: Seconds since the epoch.
        """
        self._settings = settings
        self._store = store
        self._registry = registry
        self._environments = environments
        self._registration = registration
        self._clock = clock

    async def watch(
        self, *, first: float = FIRST_SECONDS, look: float = NOTED_SECONDS, again: float = AGAIN_SECONDS
    ) -> None:
        """Reclaim a while after the start, after templates have changed, and now and then; never returns.

        Args:
            first: Seconds to wait before.
            look: Seconds after which it looks whether a template was added, updated or removed.
            again: Seconds after which it reclaims although none was.
        """
        await anyio.sleep(first)
        while True:
            seen = self._changed()
            # What is in the way, a full disk or a lock that is held for long, may be gone the next time.
            try:
                await self.run()
            except (DynamoError, OSError) as error:
                _log.warning("Nothing was reclaimed, or not all: %s", error)
            deadline = anyio.current_time() + again
            while anyio.current_time() < deadline:
                await anyio.sleep(look)
                with contextlib.suppress(DynamoError):
                    await self._environments.note()
                if self._changed() != seen:
                    break

    async def run(self) -> Reclaimed:
        """Reclaim what may go now; in a thread, and in half of the time at most, so that others go on.

        Raises:
            StorageFailed: The home can't be read.
            Busy: A lock is held for too long.
            EnvironmentFailed: uv could not clean its cache.
        """
        now = self._clock()
        with words("read the home", self._store.home):
            await anyio.to_thread.run_sync(sweep, self._store.home)
            names, templates = await anyio.to_thread.run_sync(self._names), self._registry.all()
            unread = sorted(names - {template.name for template in templates})
            needed = await paced(self._needed, templates)
            days = now - self._settings.kept_days * DAY
            known = None if unread else needed
            await leftovers.forget(self._store, recent=now - RECENT_SECONDS, old=days, needed=known)
            removed = await self._orphans(names, known, now - RECENT_SECONDS)
            stock = await take_stock(self._store.home, known)
            removed += await self._beyond(stock, now)
        return Reclaimed(
            tuple(removed),
            sum(each.bytes for each in removed),
            Kept(stock.environments, stock.bytes),
            tuple(self._notes(unread, stock)),
        )

    def _changed(self) -> int:
        """Return what is another number once templates were added, updated or removed, by whatever process."""
        with contextlib.suppress(OSError):
            return (self._store.home / "templates").stat().st_mtime_ns
        return 0

    def _names(self) -> set[str]:
        """Return the templates that there are records of, also of those that can't be read."""
        return {path.name.removesuffix(SUFFIX) for path in (self._store.home / "templates").glob(f"*{SUFFIX}")}

    def _needed(self, templates: Iterable[Template]) -> set[Path]:
        """Return the checkouts, environments and bases that templates rest on, and the mirrors that they came from."""
        folders = {folder for template in templates for folder in self._registration.rests_on(template)}
        bases = {self._store.home / "bases" / _key(folder) for folder in folders if folder.parent.name == "venvs"}
        mirrors = (mirror_path(template.location, self._store.home) for template in templates)
        return folders | bases | {self._environments.base(())} | {path for path in mirrors if path is not None}

    async def _orphans(self, names: set[str], needed: set[Path] | None, recent: float) -> list[Removed]:
        """Remove what nothing leads to.

        Args:
            names: Of the templates that there are.
            needed: What they rest on; None where that is not known of all.
            recent: What was used after this stays.
        """
        home = self._store.home
        found: list[tuple[str, Entry]] = []
        if needed is not None:
            checkouts = await paced(listed, home / "checkouts", inventory.CHECKOUT)
            found += [("checkout", entry) for entry in checkouts if entry.path not in needed]
            mirrors = await paced(listed, home / FOLDER, inventory.CHECKOUT)
            found += [("mirror", entry) for entry in mirrors if entry.path not in needed]
        old = await paced(self._environments.superseded)
        environments = await paced(listed, home / "venvs", inventory.ENVIRONMENT)
        found += [
            ("environment", entry)
            for entry in environments
            if _template(entry.path) not in names or _key(entry.path) in old
        ]
        bases = await paced(listed, home / "bases", inventory.BASE)
        found += [("base", entry) for entry in bases if entry.path.name in old]
        spares = await paced(listed, home / "spares", inventory.BASE)
        found += [("spares", entry) for entry in spares if not (home / "bases" / entry.path.name).exists()]
        removed = []
        for kind, entry in found:
            if entry.used < recent:
                size = await paced(measure, entry.path, set())
                if await self._take(entry.path, entry.used):
                    removed.append(Removed(kind, entry.path.name, size.own, "nothing leads to it"))
        return removed

    async def _beyond(self, stock: Stock, now: float) -> list[Removed]:
        """Remove what is beyond the limits."""
        removed: list[Removed] = []
        wheels: list[str] = []
        for each in stock.in_order():
            why = stock.beyond(each, self._settings, now)
            if why is None:
                continue
            if each.path is None:
                wheels.append(each.name)
            elif each.kind == "environment" and await paced(added_to, each.path):
                continue  # a person's work, which could not be made again
            elif not await self._take(each.path, each.used):
                continue
            stock.remove(each)
            removed.append(Removed(each.kind, each.name, each.bytes, why))
        if wheels:
            await Uv(self._settings).forget(wheels)
        return removed

    async def _take(self, path: Path, used: float) -> bool:
        """Take something away, unless it was used since it was looked at; return whether it was taken."""
        trash = []
        async with self._store.lock(LOCK):
            try:
                if path.lstat().st_mtime != used or in_use(self._store.home, path):
                    return False
            except FileNotFoundError:
                return False
            trash.append(self._store.set_aside(path))
            if path.parent.name == "bases":
                spares = listed(self._store.home / "spares", re.compile(path.name))
                trash += [self._store.set_aside(entry.path) for entry in spares]
        with anyio.CancelScope(shield=True):
            for each in trash:
                await anyio.to_thread.run_sync(remove, each)
        return True

    def _notes(self, unread: list[str], stock: Stock) -> Iterable[str]:
        if unread:
            listing = ", ".join(f"`{name}`" for name in unread[:NAMED]) + (" and others" if unread[NAMED:] else "")
            yield f"checkouts and bases stay, since the records of {listing} can't be read"
        if stock.bytes > self._settings.kept_bytes:
            yield (
                f"{stock.bytes} bytes are kept, more than the {self._settings.kept_bytes} of `{PREFIX}KEPT_BYTES`: "
                "templates need them, or they were used within the last hour; remove templates, or allow more"
            )


def _key(environment: Path) -> str:
    return environment.name[-KEY_LENGTH:]


def _template(environment: Path) -> str:
    return environment.name[: -KEY_LENGTH - 1]
