"""What is one job given? The message that `_in_environment/confine.py` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dynamo_mcp.sandbox.grants import NONE, Grants, network_files
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Backend

CPU_SECONDS_SPARE = 10

PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
PROCESSORS = "/sys/devices/system/cpu"
FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/mime.types")
"""What running programs need of /etc."""

SYSTEM = (*PROGRAMS, "/etc", "/proc", "/dev", PROCESSORS)
"""What a job may read and run of the machine; under bubblewrap there is only the part of it that is mounted."""

NARROW = (*PROGRAMS, *FILES, "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", PROCESSORS)
"""The same where all of the machine's files are there."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")

MOUNTS = ("/output", "/tmp", "/dev/shm")  # noqa: S108 - of the sandbox
"""File systems of a renderer's own under bubblewrap, of limited size."""


def policy(
    settings: Settings,
    *,
    read: Iterable[Path],
    write: Iterable[Path],
    backend: Backend | None,
    grants: Grants = NONE,
) -> dict[str, Any]:
    """Compose the policy of one job.

    Args:
        settings: Limits.
        read: The template, its environment, the interpreter that it rests on.
        write: The job's own output and temporary folders.
        backend: What walls the renderer in: with namespaces there is only a part of the machine's files, and it has a
            `/dev/shm` of its own, for multiprocessing.
        grants: What a person gave the template besides.
    """
    read = [*read, *grants.paths, *network_files(grants, settings)]
    system = SYSTEM if backend == "bubblewrap" else NARROW
    shared = ["/dev/shm"] if backend == "bubblewrap" else []  # noqa: S108
    return {
        "read": [*system, *(str(path) for path in read)],
        "write": [*(str(path) for path in write), *shared],
        "devices": list(DEVICES),
        "network": grants.network,
        "limits": {
            "memory_bytes": settings.memory_bytes,
            "cpu_seconds": int(settings.create_seconds) + CPU_SECONDS_SPARE,
            "file_bytes": max(settings.output_bytes, settings.temporary_bytes),
            "open_files": settings.open_files,
            "processes": settings.processes,
        },
    }


def most(settings: Settings, output: Path, temporary: Path, backend: Backend | None) -> dict[str, Any]:
    """Say how much one job may write, as far as no file system limits it (`_in_environment/written.py`)."""
    if backend == "bubblewrap":
        words = ("its output", "its temporary folder", "its shared memory")
        mounts = [{"path": path, "is": what} for path, what in zip(MOUNTS, words, strict=True)]
        return {"files": settings.output_files, "folders": [], "mounts": mounts}
    folders = [
        (output, "output_bytes", "its output"),
        (temporary, "temporary_bytes", "its temporary folder"),
    ]
    return {
        "files": settings.output_files,
        "folders": [
            {"path": str(path), "bytes": getattr(settings, setting), "setting": setting, "is": words}
            for path, setting, words in folders
        ],
        "mounts": [],
    }
