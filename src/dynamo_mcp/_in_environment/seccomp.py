"""Which system calls may a job make? All but those that reach past its files, its memory and its descendants.

The answer is a program that the kernel runs before each call: seccomp(2), linux/seccomp.h and linux/filter.h. It sees
the call's number and the numbers among its arguments, never what a pointer points to; hence the calls that pass flags
by pointer (`clone3`, `openat2`) are said not to exist, whereupon callers use the older ones, whose flags it can read.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dynamo_mcp._in_environment.call_numbers import EXAMINED, REFUSED, SAID_NOT_TO_BE_SUPPORTED, SAID_NOT_TO_EXIST
    from dynamo_mcp._in_environment.system_calls import process_control
else:
    from call_numbers import EXAMINED, REFUSED, SAID_NOT_TO_BE_SUPPORTED, SAID_NOT_TO_EXIST
    from system_calls import process_control


_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""`AUDIT_ARCH_*` of linux/audit.h, by the machine's name in `uname -m`."""

_X32_BIT = 0x40000000
"""Marks x86_64's second, 32-bit set of calls, whose numbers are other ones (`__X32_SYSCALL_BIT` of asm/unistd.h)."""

_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEW* of linux/sched.h: NS, CGROUP, UTS, IPC, USER, PID, NET; TIME can't be asked of `clone`."""

_SET_UID_BIT = 0o4000
"""Set-gid is let through: on folders it is common, no job gains from it (no_new_privs, and output that only its user
reaches), and it does not leave the sandbox."""
_MAY_CREATE = 0o100 | 0o20000000
"""O_CREAT and what tells O_TMPFILE (asm-generic/fcntl.h): only with them does `open` have a mode."""

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
"""Put text into the terminal's input, as if a person had typed it (ioctl_tty(2), asm-generic/ioctls.h)."""

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_SEQPACKET = 1, 5
_SOCK_TYPE_MASK = 0xF
"""linux/net.h; the bits above are SOCK_CLOEXEC and SOCK_NONBLOCK."""

_PRIO_PROCESS = 0
_IOPRIO_WHO_PROCESS = 1
"""One process, where others stand for a group, or for all of a user (setpriority(2), ioprio_set(2))."""

_SOL_SOCKET = 1
_BUFFER_SIZES = (7, 8, 32, 33)
"""SO_SNDBUF, SO_RCVBUF and their FORCE (asm-generic/socket.h)."""
_F_SETPIPE_SZ = 1031
"""linux/fcntl.h"""

_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


class Instruction(NamedTuple):
    """One `struct sock_filter` of linux/filter.h; a jump counts the instructions to leave out."""

    code: int
    if_true: int
    if_false: int
    operand: int


Program = list[Instruction]


def _load(offset: int) -> Program:
    """Take a word of `struct seccomp_data` (linux/seccomp.h) into the accumulator."""
    return [Instruction(0x20, 0, 0, offset)]  # BPF_LD | BPF_W | BPF_ABS


def _load_number() -> Program:
    return _load(0)


def _load_architecture() -> Program:
    return _load(4)


def _load_argument(index: int) -> Program:
    """Take an argument's low word, which comes first on both machines and holds all the bits that are looked at."""
    return _load(16 + 8 * index)


def _keep_bits(mask: int) -> Program:
    return [Instruction(0x54, 0, 0, mask)]  # BPF_ALU | BPF_AND | BPF_K


def _when_equal(value: int, then: Program) -> Program:
    return [Instruction(0x15, 0, len(then), value), *then]  # BPF_JMP | BPF_JEQ | BPF_K


def _unless_equal(value: int, then: Program) -> Program:
    return [Instruction(0x15, len(then), 0, value), *then]


def _when_at_least(value: int, then: Program) -> Program:
    return [Instruction(0x35, 0, len(then), value), *then]  # BPF_JMP | BPF_JGE | BPF_K


def _when_any_bit(mask: int, then: Program) -> Program:
    return [Instruction(0x45, 0, len(then), mask), *then]  # BPF_JMP | BPF_JSET | BPF_K


def _answer(action: int) -> Program:
    return [Instruction(0x06, 0, 0, action)]  # BPF_RET | BPF_K


def _fail_with(code: int) -> Program:
    return _answer(0x00050000 | code)  # SECCOMP_RET_ERRNO


_ALLOW = _answer(0x7FFF0000)
_KILL = _answer(0x80000000)  # SECCOMP_RET_KILL_PROCESS
_REFUSE = _fail_with(errno.EPERM)


def assemble(machine: str, *, network: bool) -> Program:
    """Write the program.

    Calls whose answer depends on their arguments come first: the kernel remembers the answer to all the others (Linux
    5.11), so that only these are examined each time.

    Args:
        machine: "x86_64" or "aarch64", as `uname -m` says it.
        network: Whether sockets of IPv4 and IPv6 may be made.

    Raises:
        OSError: ENOSYS, the machine's numbers are not known here.
    """
    if machine not in _ARCHITECTURES:
        known = " and ".join(f"`{name}`" for name in sorted(_ARCHITECTURES))
        raise OSError(errno.ENOSYS, f"the system calls of `{machine}` are not known, only those of {known}")
    program = [
        *_load_architecture(),
        *_unless_equal(_ARCHITECTURES[machine], _KILL),
        *_load_number(),
    ]
    if machine == "x86_64":
        program += _when_at_least(_X32_BIT, _KILL)
    answers = [
        *((EXAMINED[name], examination) for name, examination in _examinations(network=network).items()),
        *((numbers, _fail_with(errno.ENOSYS)) for numbers in SAID_NOT_TO_EXIST.values()),
        *((numbers, _fail_with(errno.EOPNOTSUPP)) for numbers in SAID_NOT_TO_BE_SUPPORTED.values()),
        *((numbers, _REFUSE) for numbers in REFUSED.values()),
    ]
    for numbers, answer in answers:
        number: int | None = getattr(numbers, machine)
        if number is not None:
            program += _when_equal(number, answer)
    return program + _ALLOW


def _examinations(*, network: bool) -> dict[str, Program]:
    """Return what is asked of a call's arguments, by the call's name; each ends with an answer."""

    def no_set_uid(mode: int) -> Program:
        return [*_load_argument(mode), *_when_any_bit(_SET_UID_BIT, _REFUSE), *_ALLOW]

    def no_set_uid_when_created(flags: int, mode: int) -> Program:
        return [*_load_argument(flags), *_when_any_bit(_MAY_CREATE, no_set_uid(mode)), *_ALLOW]

    def of_one(kind: int) -> Program:
        return [
            *_load_argument(0),
            *_unless_equal(kind, _REFUSE),
            *_load_argument(1),
            *_unless_equal(0, _REFUSE),
            *_ALLOW,
        ]

    # Process 0 is the caller.
    of_itself = [*_load_argument(0), *_unless_equal(0, _REFUSE), *_ALLOW]
    internet = [*_load_argument(0), *_when_equal(_AF_INET, _ALLOW), *_when_equal(_AF_INET6, _ALLOW), *_REFUSE]
    connected_pair = [
        *_load_argument(0),
        *_unless_equal(_AF_UNIX, _REFUSE),
        # One end of a datagram pair can send to any Unix socket by its path, so a pair must be of connected sockets.
        *_load_argument(1),
        *_keep_bits(_SOCK_TYPE_MASK),
        *_when_equal(_SOCK_STREAM, _ALLOW),
        *_when_equal(_SOCK_SEQPACKET, _ALLOW),
        *_REFUSE,
    ]
    larger = (step for option in _BUFFER_SIZES for step in _when_equal(option, _REFUSE))
    usual_buffers = [*_load_argument(2), *larger, *_ALLOW]
    to_be_looked_at = [*_load_argument(1), *_unless_equal(1, _REFUSE), *_ALLOW]
    return {
        "open": no_set_uid_when_created(flags=1, mode=2),
        "openat": no_set_uid_when_created(flags=2, mode=3),
        "creat": no_set_uid(mode=1),
        "chmod": no_set_uid(mode=1),
        "fchmod": no_set_uid(mode=1),
        "fchmodat": no_set_uid(mode=2),
        "fchmodat2": no_set_uid(mode=2),
        "clone": [*_load_argument(0), *_when_any_bit(_NAMESPACE_FLAGS, _REFUSE), *_ALLOW],
        "ioctl": [*_load_argument(1), *_when_equal(_TIOCSTI, _REFUSE), *_when_equal(_TIOCLINUX, _REFUSE), *_ALLOW],
        # Lowering the limits of another process of the same user can kill it, the rest can make it slow.
        "prlimit64": of_itself,
        "sched_setparam": of_itself,
        "sched_setscheduler": of_itself,
        "sched_setaffinity": of_itself,
        "sched_setattr": of_itself,
        "setpriority": of_one(_PRIO_PROCESS),
        "ioprio_set": of_one(_IOPRIO_WHO_PROCESS),
        "socket": internet if network else _REFUSE,
        "socketpair": connected_pair,
        # The kernel's memory behind sockets and pipes is nobody's, so it must at least not be more than usual.
        "setsockopt": [*_load_argument(1), *_when_equal(_SOL_SOCKET, usual_buffers), *_ALLOW],
        "fcntl": [*_load_argument(1), *_when_equal(_F_SETPIPE_SZ, _REFUSE), *_ALLOW],
        # What a job uses is looked at from outside (`memory.py`).
        "prctl": [*_load_argument(0), *_when_equal(_PR_SET_DUMPABLE, to_be_looked_at), *_ALLOW],
    }


@functools.cache
def compiled(machine: str, *, network: bool) -> bytes:
    """Return the program as the kernel reads it; once made, it is kept, and forks share it.

    Args:
        machine: As for `assemble`.
        network: As for `assemble`.

    Raises:
        OSError: As for `assemble`.
    """
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in assemble(machine, network=network))


def restrict(*, network: bool) -> None:
    """Give the program to the kernel, for this thread and what it starts. It is for good, and wants `no_new_privs`.

    Args:
        network: As for `assemble`.

    Raises:
        OSError: The kernel refused, or the machine's numbers are not known here.
    """
    instructions = compiled(os.uname().machine, network=network)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    # struct sock_fprog: how many instructions, and where they are.
    length = len(instructions) // struct.calcsize("=HBBI")
    program = ctypes.create_string_buffer(struct.pack("HP", length, ctypes.addressof(buffer)))
    process_control(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def supported() -> bool:
    """Return whether `restrict` can work here; nothing is confined by asking."""
    if os.uname().machine not in _ARCHITECTURES:
        return False
    try:
        process_control(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, 0)
    except OSError as error:
        # A kernel that has filters goes on to read the program, which is nowhere.
        return error.errno == errno.EFAULT
    return False
