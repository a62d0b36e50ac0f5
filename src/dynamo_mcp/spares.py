"""Which clones of a base are ready? A few, made while nobody waits, and claimed by a rename.

A spare lies whole in `spares/<key>/`, and any process of the home may claim it: a rename that only one of them can do.
It shares its marker with the base that it was cloned from, by which the spares of a base that was made anew are known.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from dynamo_mcp.disk import remove, rename_new
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store

MARKER = "dynamo-mcp.json"
QUIET_SECONDS = 0.2
"""Seconds for which nobody has needed an environment before a spare is made, which takes a fifth of that."""

_log = logging.getLogger(__name__)


class Spares:
    """The spares of one home."""

    def __init__(self, settings: Settings, store: Store, whole: Callable[[Path], bool]) -> None:
        """Make none yet.

        Args:
            settings: How many are kept.
            store: The home.
            whole: Tells whether an environment is; nothing else is cloned, or claimed.
        """
        self._number = settings.spare_environments
        self._folder = store.home / "spares"
        self._store = store
        self._whole = whole
        self._callers = 0
        self._quiet_since = -QUIET_SECONDS
        self._wanted = anyio.Event()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Make no spare while somebody waits for an environment, and look for missing ones afterwards."""
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1
            self._needed()

    def claim(self, base: Path, target: Path) -> bool:
        """Rename a spare to `target`; return whether there was one for it.

        Args:
            base: What it must be a clone of, as that is now.
            target: Its place; what is there already stays.
        """
        self._needed()
        if os.path.lexists(target):
            return False
        for spare in self._of(base):
            # What another process has claimed meanwhile is not there; the next one may be.
            with suppress(OSError):
                if self._fits(spare, base):
                    os.utime(spare)  # whatever has waited for long is used from now on (`uses`)
                    rename_new(spare, target)  # not brought to the disk: what a crash takes away is made again
                    return True
        return False

    async def keep(self, base: Callable[[], Path]) -> None:
        """Have spares ready, for as long as this runs; servers do it, commands end too soon.

        Args:
            base: Returns of what, every time: another interpreter has another one. It is never made for this.
        """
        while True:
            self._wanted = anyio.Event()
            try:
                await self._refill(base())
            except (DynamoError, OSError) as error:  # callers clone as well
                _log.warning("No spare environment was made: %s", error)
            await self._wanted.wait()

    async def _refill(self, base: Path) -> None:
        for key in os.listdir(self._folder):
            if not (self._store.home / "bases" / key).exists():
                await self._store.discard(self._folder / key)
        missing = True
        while missing:
            await self._quiet()
            # Nobody makes the base anew meanwhile, and no other server the same spares.
            async with self._store.lock(f"base-{base.name}"), self._store.staged() as staged:
                missing = self._whole(base) and await self._count(base) < self._number
                if missing:
                    await anyio.to_thread.run_sync(clone, base, staged)
                    folder = self._folder / base.name
                    folder.mkdir(exist_ok=True)
                    rename_new(staged, folder / uuid.uuid4().hex)

    def _needed(self) -> None:
        self._quiet_since = anyio.current_time()
        self._wanted.set()

    async def _quiet(self) -> None:
        """Wait until nobody has needed an environment for a while."""
        while self._callers or anyio.current_time() < self._quiet_since + QUIET_SECONDS:  # noqa: ASYNC110 - quiet is no event
            await anyio.sleep(QUIET_SECONDS / 2)

    async def _count(self, base: Path) -> int:
        """Count the spares of a base, and remove those that nobody can claim."""
        number = 0
        for spare in self._of(base):
            with suppress(OSError):
                if self._fits(spare, base):
                    number += 1
                    continue
            await self._store.discard(spare)
        return number

    def _of(self, base: Path) -> Iterator[Path]:
        folder = self._folder / base.name
        with suppress(OSError):
            yield from map(folder.joinpath, os.listdir(folder))

    def _fits(self, spare: Path, base: Path) -> bool:
        made, wanted = ((environment / MARKER).stat().st_mtime_ns for environment in (spare, base))
        return made == wanted and self._whole(spare)


def clone(source: Path, target: Path) -> None:
    """Copy an environment by hard links; what can't be linked, across file systems say, is copied."""
    target.mkdir()
    try:
        _link_folder(str(source), str(target))
    except BaseException:  # a thread's caller may be gone, and half a tree must not stay
        remove(target)
        raise


def _link_folder(source: str, target: str) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            path = os.path.join(target, entry.name)  # noqa: PTH118 - thousands of files: strings are half the cost
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(path)  # noqa: PTH102
                _link_folder(entry.path, path)
            else:
                try:
                    os.link(entry.path, path, follow_symlinks=False)
                except OSError:
                    shutil.copy2(entry.path, path, follow_symlinks=False)
