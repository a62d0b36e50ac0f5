"""When was a folder of the home used last, and is it in use? So that nothing is reclaimed under anybody.

The time of use is the folder's own. Whoever is about to use one notes it, under a lock that whoever takes folders away
holds while it looks once more and renames. So a note is never too late, and what was noted stays for an hour at least.
Whatever is put in its place by a rename has the time of now by then, also where it was made before and kept ready.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from dynamo_mcp.store import Store

IN_USE = "uses-"
"""Begins the name of a file in a server's scratch folder, which says that the server uses the folder of that name."""
LOCK = "uses"
NOTED_SECONDS = 600.0
"""Seconds in which one note is enough."""
RECENT_SECONDS = 3600.0
"""Seconds that nothing is taken away after it was made or noted: no operation takes as long between two notes."""


class Uses:
    """What one server notes."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        """Note nothing yet.

        Args:
            store: The home.
            clock: Seconds since the epoch.
        """
        self._store = store
        self._clock = clock
        self._noted: dict[Path, float] = {}

    async def note(self, *folders: Path) -> None:
        """Note that folders are used now; one that is not there is noted when it was made, and asked for again.

        Mostly it costs a look-up; once in ten minutes a lock, and a write for each folder.

        Raises:
            Busy: The lock is held for too long.
        """
        now = self._clock()
        due = [folder for folder in folders if not now - NOTED_SECONDS < self._noted.get(folder, 0.0) <= now]
        due = [folder for folder in due if os.path.lexists(folder)]
        if not due:
            return
        async with self._store.lock(LOCK):
            there = [folder for folder in due if _touch(folder, now)]
        recent = {folder: noted for folder, noted in self._noted.items() if now - NOTED_SECONDS < noted}
        self._noted = recent | dict.fromkeys(there, now)


def mark_of(store: Store, folder: Path) -> Path:
    """Return the file by which a server says that it uses a folder; it is swept with the server's scratch folder."""
    return store.scratch / f"{IN_USE}{folder.name}"


def in_use(home: Path, folder: Path) -> bool:
    """Tell whether any server of a home says that it uses a folder."""
    return any(home.glob(f"scratch/*/{IN_USE}{folder.name}"))


def _touch(folder: Path, now: float) -> bool:
    try:
        os.utime(folder, (now, now), follow_symlinks=False)
    except OSError:
        return False
    return True
