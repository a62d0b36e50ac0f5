"""Run a command as default Docker does: no namespace can be made and nothing mounted, whoever asks.

`python tests/refusing.py COMMAND…` becomes the command, with a seccomp filter on it and on all that it starts. Like
Docker's, the filter refuses `unshare`, `setns`, `clone` with a flag of a namespace and every call that mounts, says
that there is no `clone3`, and lets Landlock through; and root keeps only the capabilities that Docker leaves it.
Sources: moby/profiles `seccomp/default.json`, moby/moby `daemon/pkg/oci/caps/defaults.go`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

REFUSED = {
    "x86_64": (272, 308, 165, 166, 155, 428, 429, 430, 431, 432, 433, 442),
    "aarch64": (97, 268, 40, 39, 41, 428, 429, 430, 431, 432, 433, 442),
}
"""unshare, setns, mount, umount2, pivot_root, open_tree, move_mount, and those in pieces: fsopen to mount_setattr."""
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
NAMESPACES = 0x7E020000

KEPT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
audit_write, setfcap (linux/capability.h)."""
LAST_CAPABILITY = 63

PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
FILTER = 2
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def program(machine: str) -> bytes:
    """Write the filter (linux/filter.h): each `equal` leaves out one instruction where it does not hold."""

    def equal(number: int, answer: int) -> list[tuple[int, int, int, int]]:
        return [(0x15, 0, 1, number), (0x06, 0, 0, answer)]

    instructions = [(0x20, 0, 0, 0)]
    for number in REFUSED[machine]:
        instructions += equal(number, FAIL | errno.EPERM)
    instructions += equal(CLONE3, FAIL | errno.ENOSYS)
    instructions += [(0x15, 0, 3, CLONE[machine]), (0x20, 0, 0, 16), (0x45, 0, 1, NAMESPACES)]
    instructions += [(0x06, 0, 0, FAIL | errno.EPERM), (0x06, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def refuse() -> None:
    """Take namespaces and mounts from this process, for good."""
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if os.getuid() == 0:
        for capability in range(LAST_CAPABILITY + 1):
            if capability not in KEPT:
                library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    else:
        # Only root may filter without it.
        library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    instructions = program(os.uname().machine)
    kept = ctypes.create_string_buffer(instructions, len(instructions))
    given = ctypes.create_string_buffer(struct.pack("HP", len(instructions) // 8, ctypes.addressof(kept)))
    if library.prctl(PR_SET_SECCOMP, FILTER, ctypes.addressof(given), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter was refused")


if __name__ == "__main__":
    refuse()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted
