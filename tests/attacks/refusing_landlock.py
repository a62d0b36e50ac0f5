"""Run a command as a kernel without Landlock does: `python refusing_landlock.py COMMAND…` (landlock(7), ENOSYS).

Its first call has the same number on x86_64 and aarch64. A filter of seccomp(2), which all that is started inherits.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

CREATE_RULESET = 444
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
ALLOW, FAIL = 0x7FFF0000, 0x00050000
PROGRAM = ((0x20, 0, 0, 0), (0x15, 0, 1, CREATE_RULESET), (0x06, 0, 0, FAIL | errno.ENOSYS), (0x06, 0, 0, ALLOW))
"""Load the call's number; is it that one? Then it fails, else it is allowed (linux/filter.h)."""


def refuse() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in PROGRAM))
    given = ctypes.create_string_buffer(struct.pack("HP", len(PROGRAM), ctypes.addressof(code)))
    if library.prctl(SECCOMP, FILTER, ctypes.addressof(given), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter was refused")


if __name__ == "__main__":
    refuse()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - it becomes the command
