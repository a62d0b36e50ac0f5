"""What is one job given? The message that `_in_environment/confine.py` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dynamo_mcp.settings import Settings

CPU_SECONDS_SPARE = 10

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/dev", "/sys/devices/system/cpu")
"""What a job may read and run of the machine; under bubblewrap there is only the part of it that is mounted."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")


def policy(settings: Settings, *, read: Iterable[Path], write: Iterable[Path], private: bool) -> dict[str, Any]:
    """Compose the policy of one job.

    Args:
        settings: Limits.
        read: The template, its environment, the interpreter that it rests on.
        write: The job's own output and temporary folders.
        private: The renderer has a mount namespace of its own, and with it a `/dev/shm`.
    """
    return {
        "read": [*SYSTEM, *(str(path) for path in read)],
        "write": [*(str(path) for path in write), *(["/dev/shm"] if private else [])],  # noqa: S108 - multiprocessing's
        "devices": list(DEVICES),
        "network": False,
        "limits": {
            "memory_bytes": settings.memory_bytes,
            "cpu_seconds": int(settings.create_seconds) + CPU_SECONDS_SPARE,
            "file_bytes": max(settings.output_bytes, settings.temporary_bytes),
            "open_files": settings.open_files,
            "processes": settings.processes,
        },
    }
