"""Which small files of the home has nobody any use for? Free locks, notes and lists of what is gone, old catalogues."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from filelock import FileLock, Timeout

from dynamo_mcp.generations import Generations
from dynamo_mcp.inventory import ENVIRONMENT, Entry, listed
from dynamo_mcp.store import Store
from dynamo_mcp.targets import pointless

AT_A_TIME = 200
"""Files that one thread looks at before others have their turn."""
_LOCK = re.compile(r".+\.lock")
_CATALOGUE = re.compile(r"[0-9a-f]{32}\.json")
_PINS = re.compile(r"[0-9a-f]{16}\.txt")
_RECORD = re.compile(r"[0-9a-f]{64}\.json")


async def forget(store: Store, *, recent: float, old: float, needed: Collection[Path] | None = None) -> None:
    """Remove them.

    Args:
        store: The home.
        recent: What was written after this, in seconds since the epoch, stays.
        old: What was written before this is not worth keeping for a disk that may be away.
        needed: The bases that templates can't do without, there or not, among others; None where that is not known of
            all, and what their lists are for.

    Raises:
        Busy: A lock is held for too long.
    """
    home = store.home
    for entries in await _pieces(partial(listed, home / "locks", _LOCK, folders=False), recent):
        await anyio.to_thread.run_sync(_forget_locks, entries)
    for entries in await _pieces(partial(listed, home / "released", re.compile(r".+"), folders=False), recent):
        await anyio.to_thread.run_sync(_forget_released, home, entries)
    for entries in await _pieces(partial(listed, home / "catalogues", _CATALOGUE, folders=False), min(recent, old)):
        await anyio.to_thread.run_sync(_unlink, entries)
    if needed is not None:
        for entries in await _pieces(partial(listed, home / "requirements", _PINS, folders=False), recent):
            await anyio.to_thread.run_sync(_forget_pins, store, entries, needed)
    for entries in await _pieces(partial(listed, home / "targets", _RECORD, folders=False), recent):
        # A network's disk may never answer, and no lock is held meanwhile.
        gone = await anyio.to_thread.run_sync(_pointless, entries, old, abandon_on_cancel=True)
        for entry in gone:
            # Creates write one under this lock (`projects.py`).
            async with store.lock(f"target-{entry.path.name[:2]}"):
                with contextlib.suppress(OSError):
                    if entry.path.stat().st_mtime == entry.used:
                        entry.path.unlink()


async def _pieces(look: partial[list[Entry]], recent: float) -> list[list[Entry]]:
    entries = [entry for entry in await anyio.to_thread.run_sync(look) if entry.used < recent]
    return [entries[start : start + AT_A_TIME] for start in range(0, len(entries), AT_A_TIME)]


def _unlink(entries: Iterable[Entry]) -> None:
    for entry in entries:
        with contextlib.suppress(OSError):
            entry.path.unlink()


def _forget_locks(entries: Iterable[Entry]) -> None:
    """Remove lock files while they are held: whoever waits for one sees that it was removed, and makes it anew."""
    for entry in entries:
        lock = FileLock(entry.path, thread_local=False)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(timeout=0)
            try:
                entry.path.unlink()
            finally:
                lock.release()


def _forget_pins(store: Store, entries: Iterable[Entry], needed: Collection[Path]) -> None:
    """Remove lists of what bases hold, each where nobody needs the base, made it, or is about to make it."""
    home, generations = store.home, Generations(store)
    cloned = {entry.path.name.rpartition("-")[2] for entry in listed(home / "venvs", ENVIRONMENT)}
    for entry in entries:
        keys = generations.keys(entry.path.stem)
        bases = [home / "bases" / key for key in keys]
        if any(base in needed for base in bases) or not cloned.isdisjoint(keys):
            continue
        lock = FileLock(home / "locks" / f"base-{keys[-1]}.lock", thread_local=False)  # of `environments`
        with contextlib.suppress(Timeout, OSError), lock.acquire(timeout=0):
            if not any(map(os.path.lexists, bases)):
                entry.path.unlink()
                generations.forget(entry.path.stem)


def _forget_released(home: Path, entries: Iterable[Entry]) -> None:
    for entry in entries:
        name = entry.path.name
        if not any(os.path.lexists(home / kind / name) for kind in ("checkouts", "venvs")):
            entry.path.unlink(missing_ok=True)


def _pointless(entries: Iterable[Entry], old: float) -> list[Entry]:
    return [entry for entry in entries if pointless(entry.path, old=entry.used < old)]
