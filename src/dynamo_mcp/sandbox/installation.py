"""Which parts of a Python's installation do its programs need? A prefix may be anything, a person's home folder too."""

from __future__ import annotations

import functools
import os
from pathlib import Path

_SYSTEM = Path("/usr")
_PARTS = (
    "bin/python*",
    "include/python*",
    "lib/python3*",
    "lib64/python3*",
    # What is beside it that its own modules load: OpenSSL, Tcl and Tk, and all of it where conda has put it there.
    "lib/lib*.so*",
    "lib64/lib*.so*",
    "lib/ossl-modules",
    "lib/tcl*",
    "lib/tk*",
    "share/zoneinfo",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
)


def parts(python: Path) -> tuple[Path, ...]:
    """Return what has to be read to run a Python, at its own paths; below `/usr`, which all jobs see, the whole prefix.

    Args:
        python: An interpreter, or a link to one.
    """
    return _parts(Path(os.path.realpath(python)))


@functools.lru_cache(maxsize=8)
def _parts(real: Path) -> tuple[Path, ...]:
    prefix = real.parent.parent
    if prefix.is_relative_to(_SYSTEM):
        return (prefix,)
    found = [path for pattern in _PARTS for path in sorted(prefix.glob(pattern)) if path.exists()]
    return tuple(dict.fromkeys([real, *found]))
