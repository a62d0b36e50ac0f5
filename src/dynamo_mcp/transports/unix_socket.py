"""Where do clients of this machine reach us by a path? A socket in a folder, for its owner alone."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dynamo_mcp.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNER_ALONE = 0o600
_SECONDS_TO_ANSWER = 1.0


@contextmanager
def listening_at(path: Path) -> Iterator[socket.socket]:
    """Listen on a path while the caller stays in the context; one that a dead server has left is replaced.

    Raises:
        Failed: A server listens there, something else is there, or nothing can be made there.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        _make_way(path)
        os.fchmod(listener.fileno(), _OWNER_ALONE)  # of the file too, from its first moment on (unix(7))
        listener.bind(str(path))
        listener.listen()
        made = os.stat(path)
    except OSError as error:
        listener.close()
        raise Failed(
            f"Can't listen on `{path}`: {error.strerror or error}",
            hint="name a path of at most 107 bytes in a folder that is there, and that you may write to",
        ) from error
    except Failed:
        listener.close()
        raise
    try:
        yield listener
    finally:
        listener.close()
        with suppress(OSError):
            there = os.lstat(path)
            if (there.st_dev, there.st_ino) == (made.st_dev, made.st_ino):
                path.unlink()


def _make_way(path: Path) -> None:
    """Remove what a dead server has left."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise Failed(f"`{path}` is there, and is no socket", hint="name another path with `--uds`, or remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS_TO_ANSWER)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except (TimeoutError, BlockingIOError):
            raise _taken(path) from None
        else:
            raise _taken(path)


def _taken(path: Path) -> Failed:
    return Failed(f"A server listens on `{path}`", hint="end it, or name another path with `--uds`")
