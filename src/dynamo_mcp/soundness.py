"""Is an environment whole? It is when it still holds what is written in it, and is looked at again when it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from dynamo_mcp.recorded import packages_of
from dynamo_mcp.spares import MARKER

SETTLED_NANOSECONDS = 2_000_000_000
"""A time stamp must be older than this, or a second change could have the same one."""

MOST = 256
"""Environments of which is kept what was seen; each takes some kilobytes."""


class Marker(msgspec.Struct, frozen=True):
    """What is written into an environment when it is whole.

    Attributes:
        key: What it was made for (`Environments.key`).
        packages: The names and versions of what is installed, as `name==version`.
        entries: The names in `site-packages` when it was made.
    """

    key: str
    packages: tuple[str, ...]
    entries: tuple[str, ...]


class _Signs(msgspec.Struct, frozen=True):
    files: tuple[tuple[int, int], ...]
    changed: tuple[int, ...]


class _Seen(msgspec.Struct, frozen=True):
    packages: Path
    signs: _Signs
    marker: Marker


class Soundness:
    """What was seen of environments; every create asks, of three, and mostly nothing has changed since."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        """Have seen nothing yet.

        Args:
            clock: Nanoseconds since the epoch, as the file system counts them.
        """
        self._clock = clock
        self._seen: dict[Path, _Seen] = {}

    def whole(self, environment: Path) -> Marker | None:
        """Return what a whole environment holds, or None where something is wrong with it."""
        seen = self._seen.get(environment)
        if seen is not None:
            if seen.signs == _signs(environment, seen.packages):
                return seen.marker
            del self._seen[environment]
        try:
            packages = packages_of(environment)
        except OSError:
            return None
        # Looked at before, so that what changes meanwhile is seen the next time.
        signs = _signs(environment, packages)
        if health(environment) is not None:
            return None
        marker = read_marker(environment)
        if signs and self._clock() - max(signs.changed) > SETTLED_NANOSECONDS:
            self._seen[environment] = _Seen(packages, signs, marker)
            while len(self._seen) > MOST:  # of templates that may be gone by now
                del self._seen[next(iter(self._seen))]
        return marker


def health(environment: Path) -> str | None:
    """Say what is wrong with an environment, or None."""
    if not os.path.isdir(environment):  # noqa: PTH112 - a string says the same in less time
        return "it is not there"
    try:
        marker = read_marker(environment)
        present = set(os.listdir(packages_of(environment)))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return "it is not whole"
    if not os.path.exists(_python(environment)):  # noqa: PTH110
        return "the Python that it was made from is gone"
    missing = [entry for entry in marker.entries if entry not in present]
    return f"`{missing[0]}` is missing from it" if missing else None


def added_to(environment: Path) -> bool:
    """Tell whether somebody has installed something into an environment since it was made."""
    try:
        present = {*os.listdir(packages_of(environment))} - {"__pycache__"}
        return not present <= {*read_marker(environment).entries}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False  # it is not whole


def survey(environment: Path, key: str) -> Marker:
    """Return what an environment that is whole now is to hold.

    Raises:
        OSError: It can't be read.
    """
    entries = sorted(entry for entry in os.listdir(packages_of(environment)) if entry != "__pycache__")
    suffix = ".dist-info"
    packages = tuple(entry.removesuffix(suffix).replace("-", "==") for entry in entries if entry.endswith(suffix))
    return Marker(key, packages, tuple(entries))


def read_marker(environment: Path) -> Marker:
    """Read what an environment is to hold.

    Raises:
        OSError: It can't be read.
        msgspec.DecodeError: It is no marker, and so is UnicodeDecodeError.
    """
    return msgspec.json.decode((environment / MARKER).read_bytes(), type=Marker)


def _signs(environment: Path, packages: Path) -> _Signs | None:
    """Return what changes when anything that `health` looks at does; None where something is gone."""
    try:
        found = [os.stat(path) for path in (packages, os.path.join(environment, MARKER))]  # noqa: PTH118 - as above
        os.stat(_python(environment))
    except OSError:
        return None
    return _Signs(tuple((each.st_dev, each.st_ino) for each in found), tuple(each.st_mtime_ns for each in found))


def _python(environment: Path) -> str:
    return os.path.join(environment, "bin", "python")  # noqa: PTH118
