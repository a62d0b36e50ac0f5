"""Which paths may a job touch? Landlock takes every right on files from a process but those that its rules give.

Sources: landlock(7), linux/landlock.h, and https://docs.kernel.org/userspace-api/landlock.html, which says what each
version of the interface (the ABI) added. What Landlock does not control at any version: `chmod`, `chown`, `utime`,
`setxattr` and `stat` of files outside. Only a mount namespace or another user takes those.
"""

from __future__ import annotations

import ctypes
import enum
import os
import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dynamo_mcp._in_environment.system_calls import system_call
else:
    from system_calls import system_call

NEWEST_KNOWN_ABI = 10
"""What later versions can take is not asked for: their kernels accept a ruleset of this one."""

_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
"""Numbers of the system calls, the same on every machine (asm-generic/unistd.h)."""

_CREATE_RULESET_VERSION = 1 << 0
_RULE_PATH_BENEATH = 1


class Files(enum.IntFlag):
    """Rights on files and folders: `LANDLOCK_ACCESS_FS_*` of linux/landlock.h."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15
    RESOLVE_UNIX = 1 << 16


class Network(enum.IntFlag):
    """Rights on ports: `LANDLOCK_ACCESS_NET_*` of linux/landlock.h."""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1
    BIND_UDP = 1 << 2
    CONNECT_SEND_UDP = 1 << 3


class Scope(enum.IntFlag):
    """What may not leave the group of confined processes: `LANDLOCK_SCOPE_*` of linux/landlock.h."""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


_FILES_SINCE: Mapping[int, int] = {
    1: (Files.MAKE_SYM << 1) - 1,
    2: Files.REFER,
    3: Files.TRUNCATE,
    5: Files.IOCTL_DEV,
    9: Files.RESOLVE_UNIX,
}
_NETWORK_SINCE: Mapping[int, int] = {
    4: Network.BIND_TCP | Network.CONNECT_TCP,
    10: Network.BIND_UDP | Network.CONNECT_SEND_UDP,
}
_SCOPE_SINCE: Mapping[int, int] = {6: Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL}
"""The rights that each ABI added to those before it."""

_NETWORK_ABI = min(_NETWORK_SINCE)
_SCOPE_ABI = min(_SCOPE_SINCE)

READ = int(Files.READ_FILE | Files.READ_DIR | Files.EXECUTE)
"""Hooks are run where they lie, so what may be read may be run."""

WRITE = READ | int(
    Files.WRITE_FILE
    | Files.TRUNCATE
    | Files.MAKE_REG
    | Files.MAKE_DIR
    | Files.MAKE_SYM
    | Files.REMOVE_FILE
    | Files.REMOVE_DIR
    # Without it a rename from one folder to another fails with EXDEV, also between folders that may be written.
    | Files.REFER
)
"""All that a project is made of: no device, FIFO or socket is part of one."""

DEVICE = int(Files.READ_FILE | Files.WRITE_FILE)

_OF_A_FILE = int(Files.EXECUTE | Files.WRITE_FILE | Files.READ_FILE | Files.TRUNCATE | Files.IOCTL_DEV)
"""A rule on what is not a folder may hold these only, or the kernel says EINVAL (landlock_add_rule(2))."""


def kernel_abi() -> int:
    """Return the version of the kernel's Landlock; 0 where it is absent, switched off or itself forbidden."""
    try:
        return system_call(_CREATE_RULESET, 0, 0, _CREATE_RULESET_VERSION)
    except OSError:
        # ENOSYS: not built in. EOPNOTSUPP: off since the start. EPERM: the seccomp filter of an old container engine.
        return 0


def restrict(*, abi: int, read: Iterable[str], write: Iterable[str], devices: Iterable[str], network: bool) -> None:
    """Take from this thread, and from what it starts, every right on files but those given here. It is for good.

    Without `network` it takes TCP (ABI 4) and UDP (ABI 10) too. From ABI 6 on, signals and abstract Unix sockets reach
    only what is confined with it.

    Args:
        abi: At most what `kernel_abi` returned, at least 1.
        read: Files and folders to read and run; those that do not exist are left out.
        write: The same, also to change, and below folders to make, rename and remove.
        devices: Device files to read and write, without their ioctls.
        network: Whether ports are left alone.

    Raises:
        OSError: The kernel refused, or a path exists but can't be reached.
    """
    files = _since(_FILES_SINCE, abi)
    handled = struct.pack("=Q", files)
    if abi >= _NETWORK_ABI:
        handled += struct.pack("=Q", 0 if network else _since(_NETWORK_SINCE, abi))
    if abi >= _SCOPE_ABI:
        handled += struct.pack("=Q", _since(_SCOPE_SINCE, abi))
    attributes = ctypes.create_string_buffer(handled, len(handled))
    ruleset = system_call(_CREATE_RULESET, ctypes.addressof(attributes), len(handled), 0)
    try:
        for paths, rights in ((read, READ), (write, WRITE), (devices, DEVICE)):
            for path in paths:
                _allow(ruleset, path, rights & files)
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Add the rule that gives rights on a path and what is below it; a path that does not exist needs none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_A_FILE
        # struct landlock_path_beneath_attr is packed: the rights, then the descriptor.
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
        system_call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.addressof(rule), 0)
    finally:
        os.close(descriptor)


def _since(added: Mapping[int, int], abi: int) -> int:
    """Return all the rights that an ABI knows."""
    return sum(rights for since, rights in added.items() if since <= abi)
