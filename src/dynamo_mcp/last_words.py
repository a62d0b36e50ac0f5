"""What had a hook printed that was ended? Read from the file that it prints to, which its job may have changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

PRINTED = ".hook"
"""Where a hook prints to while it runs, in its job's temporary folder (`_in_environment/hooks.py`)."""

MORE = "`DYNAMO_MCP_HOOK_OUTPUT_BYTES` keeps more"
"""Put where a hook's output was cut off (`_in_environment/hooks.py`)."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def printed(temporary: Path, kept: int) -> str | None:
    """Return the end of what a hook has printed so far; None where none runs, or nothing can be read.

    Args:
        temporary: The job's temporary folder; only its parent is trusted.
        kept: Bytes that are kept: the end, where the errors are.
    """
    try:
        folder = os.open(temporary, _FOLDER)
        try:
            file = os.open(PRINTED, _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return None
            left_out = max(0, status.st_size - kept)
            text = os.pread(file, min(status.st_size, kept), left_out).decode("utf-8", "replace")
        finally:
            os.close(file)
    except OSError:
        return None
    return f"[{left_out} bytes left out: {MORE}]\n{text}" if left_out else text
