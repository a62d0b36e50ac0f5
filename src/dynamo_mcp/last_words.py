"""What has a job left in its temporary folder? What a hook had printed that was ended; the job may have changed it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import closing
from pathlib import Path

PRINTED = ".hook"
"""Where a hook prints to while it runs, in its job's temporary folder (`_in_environment/hooks.py`)."""

MORE = "`DYNAMO_MCP_HOOK_OUTPUT_BYTES` keeps more"
"""Put where a hook's output was cut off (`_in_environment/hooks.py`)."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def left(temporary: Path, name: str, most: int) -> bytes | None:
    """Return a file that a job has left in its temporary folder; None for none, and for one with more bytes."""
    try:
        with closing(_Opened(temporary, name)) as file:
            return file.read(0, file.size) if file.size <= most else None
    except OSError:
        return None


def printed(temporary: Path, kept: int) -> str | None:
    """Return the end of what a hook has printed so far; None where none runs, or nothing can be read.

    Args:
        temporary: The job's temporary folder; only its parent is trusted.
        kept: Bytes that are kept: the end, where the errors are.
    """
    try:
        with closing(_Opened(temporary, PRINTED)) as file:
            left_out = max(0, file.size - kept)
            text = file.read(left_out, kept).decode("utf-8", "replace")
    except OSError:
        return None
    return f"[{left_out} bytes left out: {MORE}]\n{text}" if left_out else text


class _Opened:
    """A plain file of a job's, opened without following links; what is none is an OSError."""

    def __init__(self, temporary: Path, name: str) -> None:
        folder = os.open(temporary, _FOLDER)
        try:
            self._file = os.open(name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a plain file")
        self.size = status.st_size

    def read(self, start: int, most: int) -> bytes:
        return os.pread(self._file, min(self.size, most), start)

    def close(self) -> None:
        os.close(self._file)
