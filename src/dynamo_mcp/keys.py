"""Which secrets do all servers of one home share? Each is made by whoever needs it first, for its owner alone."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from dynamo_mcp.disk import rename_new, words
from dynamo_mcp.errors import StorageFailed

BYTES = 32


def shared(home: Path, name: str) -> bytes:
    """Return one of them: `BYTES` random bytes.

    Args:
        home: Whose it is.
        name: What it is for.

    Raises:
        StorageFailed: It can't be made or read.
    """
    path = home / "keys" / name
    with words("use the key", path):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        key = path.read_bytes()
    if len(key) != BYTES:
        raise StorageFailed(f"The key `{path}` is damaged", hint="remove it, and another is made")
    return key


def _make(path: Path) -> None:
    # A rename, so that nobody reads half of it; never over another's, so that all have one.
    begun = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            rename_new(begun, path)
    finally:
        begun.unlink(missing_ok=True)
