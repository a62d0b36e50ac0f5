"""Which limit did a job run into, and how is it raised?

The worker knows it of what it has ended itself; otherwise it is told by what a hook printed, or by how it died.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import PREFIX


class _Limit(msgspec.Struct, frozen=True):
    """One limit.

    Attributes:
        setting: Its name among the settings.
        what: What is counted, in words.
        signs: What is said where it is reached: by Python, by the C library, by shells, of how a hook or a job died.
    """

    setting: str
    what: str
    signs: tuple[str, ...]


# Where several are told, the first counts: to be out of memory may look like any of the others.
_LIMITS = (
    _Limit("memory_bytes", "bytes of memory", ("MemoryError", "Cannot allocate memory")),
    _Limit(
        "processes",
        "processes and threads at a time",
        (
            "Resource temporarily unavailable",
            "can't start new thread",
            "Cannot fork",
            "fork: retry",
        ),
    ),
    _Limit("open_files", "open files in each process", ("Too many open files",)),
    _Limit("create_seconds", "seconds", ("more processor seconds than", "SIGXCPU", "CPU time limit exceeded")),
    _Limit("temporary_bytes", "bytes of temporary files", ("its temporary folder is full",)),
    _Limit("output_files", "files and folders", ()),
    _Limit(
        "output_bytes",
        "bytes",
        ("File too large", "No space left on device", "File size limit exceeded"),
    ),
)


def named(setting: object, settings: Settings) -> str | None:
    """Return a hint that names a limit by its setting; None where that is none of a job's."""
    return next((_hint(limit, settings) for limit in _LIMITS if limit.setting == setting), None)


def reached(said: str, settings: Settings) -> str | None:
    """Return a hint that names the limit that a job ran into; None where nothing that was said tells of one."""
    found = (limit for limit in _LIMITS if any(sign in said for sign in limit.signs))
    return next((_hint(limit, settings) for limit in found), None)


def _hint(limit: _Limit, settings: Settings) -> str:
    return f"mend the template, which may use {told(limit.setting, limit.what, settings)}"


def told(setting: str, what: str, settings: Settings) -> str:
    """Return a limit in words: its value, and the variable that raises it."""
    value: Any = getattr(settings, setting)
    return f"{value:.16g} {what}, or allow it more with `{variable(setting)}`"


def variable(setting: str) -> str:
    """Return the name of the variable that sets a setting."""
    return f"{PREFIX}{setting.upper()}"
