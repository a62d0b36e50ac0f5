"""What is in use, and can't be removed yet? Checkouts and environments that running creates still read."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from dynamo_mcp.store import Store


class Holds:
    """Counts who uses a folder, and removes what is released when the last user has left."""

    def __init__(self, store: Store, wanted: Callable[[Path], bool]) -> None:
        """Begin with nothing in use.

        Args:
            store: Removes folders.
            wanted: Tells whether a folder is needed all the same, by another template say.
        """
        self._store = store
        self._wanted = wanted
        self._users: Counter[Path] = Counter()
        self._released: set[Path] = set()

    @asynccontextmanager
    async def using(self, *folders: Path) -> AsyncIterator[None]:
        """Keep folders from being removed while the caller stays in the context."""
        self._users.update(folders)
        try:
            yield
        finally:
            self._users.subtract(folders)
            self._users += Counter()
            with anyio.CancelScope(shield=True):
                await self._remove_unused()

    async def release(self, *folders: Path) -> None:
        """Remove folders, now or when nobody uses them any more."""
        self._released.update(folders)
        await self._remove_unused()

    async def _remove_unused(self) -> None:
        for folder in [folder for folder in self._released if not self._users[folder]]:
            self._released.discard(folder)
            if not self._wanted(folder):
                await self._store.discard(folder)
