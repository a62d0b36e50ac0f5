"""Which of the bases that were made for the same is used from now on? The newest: jobs stay in what they began in.

A job may read only the folders that it began with (Landlock knows them, not their paths). So what is made anew lies
beside what was there, with a key of its own. `requirements/<digest>.keys` names all of them, a line each, the newest at
the end; without such a file, the only one has the digest itself for a key.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from dynamo_mcp.disk import words
from dynamo_mcp.store import Store

SUFFIX = ".keys"
_KEY = re.compile(r"[0-9a-f]{16}")


class Generations:
    """The keys of the bases of one home, as all its servers see them."""

    def __init__(self, store: Store) -> None:
        """Look at nothing yet."""
        self._store = store
        self._folder = store.home / "requirements"
        self._prefix = f"{self._folder}{os.sep}"

    def newest(self, digest: str) -> str:
        """Return the key of the base to use.

        Args:
            digest: Of all that the base is made for.

        Raises:
            StorageFailed: The home can't be read.
        """
        try:  # each list of templates asks, and hardly ever is there such a file
            os.stat(f"{self._prefix}{digest}{SUFFIX}")
        except FileNotFoundError:
            return digest
        except OSError:
            pass  # which `keys` says in words
        return self.keys(digest)[-1]

    def keys(self, digest: str) -> list[str]:
        """Return all keys that are known of, one at least, the newest at the end; raises StorageFailed."""
        return self._read(self._path(digest))

    def add(self, digest: str, key: str) -> None:
        """Have a base used from now on that was made for the same as others; raises StorageFailed."""
        kept = [old for old in self.keys(digest) if self._is_there(old)]
        self._store.write(self._path(digest), "".join(f"{each}\n" for each in (*kept, key)).encode())

    def superseded(self) -> set[str]:
        """Return the keys of the bases, and of the environments cloned from them, in whose place newer ones are used.

        Raises:
            StorageFailed: The home can't be read.
        """
        with words("read a folder", self._folder):
            paths = list(self._folder.glob(f"*{SUFFIX}"))
        return {key for path in paths for key in self._read(path)[:-1]}

    def forget(self, digest: str) -> None:
        """Have the next base made as if it were the first; the caller knows that there is none."""
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}{SUFFIX}"

    def _read(self, path: Path) -> list[str]:
        lines: list[str] = []
        with words("read which environments there are", path), suppress(FileNotFoundError):
            lines = path.read_bytes().decode(errors="replace").split()
        return [line for line in lines if _KEY.fullmatch(line)] or [path.name.removesuffix(SUFFIX)]

    def _is_there(self, key: str) -> bool:
        return (self._store.home / "bases" / key).exists() or any(self._store.home.glob(f"venvs/*-{key}"))
