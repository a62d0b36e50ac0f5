"""Which versions exactly do requirements mean? What uv found out once, kept as a list with hashes.

A base that is made again gets the same files as before, and nothing is resolved twice.
"""

from __future__ import annotations

from pathlib import Path

from dynamo_mcp.disk import words
from dynamo_mcp.store import Store
from dynamo_mcp.uv import Uv


class Pins:
    """The lists of one home: `requirements/<key>.txt`, in the format that pip and uv read."""

    def __init__(self, store: Store, uv: Uv) -> None:
        """Resolve nothing yet."""
        self._store = store
        self._uv = uv

    def path(self, key: str) -> Path:
        """Return where the list of a base is, or will be."""
        return self._store.home / "requirements" / f"{key}.txt"

    async def ensure(self, key: str, requirements: tuple[str, ...]) -> Path:
        """Return the list of a base, finding out what to put into it if need be.

        Raises:
            EnvironmentFailed: With uv's message.
            StorageFailed: The disk did not take it.
        """
        path = self.path(key)
        if not path.exists():
            await self.renew(key, requirements)
        return path

    async def renew(self, key: str, requirements: tuple[str, ...]) -> None:
        """Find out anew what the list of a base holds; where that fails, what is known stays.

        Raises:
            EnvironmentFailed: With uv's message.
            StorageFailed: The disk did not take it.
        """
        async with self._store.staged() as folder:
            self._keep(key, await self._uv.resolve(_made(folder), requirements))

    async def lacks(self, key: str, requirements: tuple[str, ...]) -> str | None:
        """Say why there can be no such list, or None; then it is kept.

        Raises:
            EnvironmentFailed: The package index could not be asked; with uv's message.
        """
        if self.path(key).exists():
            return None
        async with self._store.staged() as folder:
            found = await self._uv.lacks(_made(folder), requirements)
            if isinstance(found, str):
                return found
            self._keep(key, found)
        return None

    def _keep(self, key: str, pinned: bytes) -> None:
        self._store.write(self.path(key), pinned)


def _made(folder: Path) -> Path:
    with words("make a folder", folder):
        folder.mkdir()
    return folder
