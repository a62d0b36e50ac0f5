"""What is in use, and can't be removed yet? Checkouts and environments that running creates still read.

Who uses a folder says so by a file in its server's scratch folder, which every server of the home sees, and which is
swept with that folder when the server dies. Whoever leaves a folder last removes it, if it was released meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from dynamo_mcp.disk import words
from dynamo_mcp.store import Store
from dynamo_mcp.uses import in_use, mark_of


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
        self._released = store.home / "released"

    @asynccontextmanager
    async def using(self, *folders: Path) -> AsyncIterator[None]:
        """Keep folders from being removed while the caller stays in the context.

        Raises:
            StorageFailed: It can't be written down.
        """
        with words("write down what is in use", self._store.scratch):
            for folder in folders:
                mark_of(self._store, folder).touch()
        self._users.update(folders)
        try:
            yield
        finally:
            self._users.subtract(folders)
            with anyio.CancelScope(shield=True):
                for folder in folders:
                    if not self._users[folder]:
                        del self._users[folder]
                        mark_of(self._store, folder).unlink(missing_ok=True)
                        if (self._released / folder.name).exists():
                            await self._remove(folder)

    async def release(self, *folders: Path) -> None:
        """Remove folders, now or when nobody uses them any more; one that is needed all the same stays.

        Raises:
            StorageFailed: It can't be removed.
        """
        with words("release", self._released):
            self._released.mkdir(exist_ok=True)
            for folder in folders:
                (self._released / folder.name).touch()
        for folder in folders:
            await self._remove(folder)

    async def _remove(self, folder: Path) -> None:
        if in_use(self._store.home, folder):
            return
        (self._released / folder.name).unlink(missing_ok=True)
        if not self._wanted(folder):
            await self._store.discard(folder)
