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
    from dynamo_mcp._in_environment.system_calls import process_control
else:
    from system_calls import process_control


class Numbers(NamedTuple):
    """A system call's number on each machine; None where there is no such call.

    Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux; the tests compare
    them with the headers of the machine that they run on.
    """

    x86_64: int | None
    aarch64: int | None


REFUSED = {
    # Another process's memory, descriptors or flow.
    "ptrace": Numbers(101, 117),
    "process_vm_readv": Numbers(310, 270),
    "process_vm_writev": Numbers(311, 271),
    "kcmp": Numbers(312, 272),
    "pidfd_getfd": Numbers(438, 438),
    # Another view of the file system, or a way around its paths.
    "mount": Numbers(165, 40),
    "umount2": Numbers(166, 39),
    "pivot_root": Numbers(155, 41),
    "chroot": Numbers(161, 51),
    "open_tree": Numbers(428, 428),
    "open_tree_attr": Numbers(467, 467),
    "move_mount": Numbers(429, 429),
    "fsopen": Numbers(430, 430),
    "fsconfig": Numbers(431, 431),
    "fsmount": Numbers(432, 432),
    "fspick": Numbers(433, 433),
    "mount_setattr": Numbers(442, 442),
    "name_to_handle_at": Numbers(303, 264),
    "open_by_handle_at": Numbers(304, 265),
    "fanotify_init": Numbers(300, 262),
    "quotactl": Numbers(179, 60),
    "quotactl_fd": Numbers(443, 443),
    # Devices, FIFOs and sockets as files.
    "mknod": Numbers(133, None),
    "mknodat": Numbers(259, 33),
    # Namespaces: inside a user namespace a process has every capability, and most of the kernel to attack.
    "unshare": Numbers(272, 97),
    "setns": Numbers(308, 268),
    # Large parts of the kernel with a history of holes, or with ways around this filter.
    "bpf": Numbers(321, 280),
    "perf_event_open": Numbers(298, 241),
    "userfaultfd": Numbers(323, 282),
    "io_uring_setup": Numbers(425, 425),
    "io_uring_enter": Numbers(426, 426),
    "io_uring_register": Numbers(427, 427),
    "memfd_secret": Numbers(447, 447),
    # Keys of the user, which no namespace hides.
    "add_key": Numbers(248, 217),
    "request_key": Numbers(249, 218),
    "keyctl": Numbers(250, 219),
    # What outlives the job or is shared by all.
    "msgget": Numbers(68, 186),
    "semget": Numbers(64, 190),
    "shmget": Numbers(29, 194),
    "mq_open": Numbers(240, 180),
    # The machine itself.
    "kexec_load": Numbers(246, 104),
    "kexec_file_load": Numbers(320, 294),
    "init_module": Numbers(175, 105),
    "finit_module": Numbers(313, 273),
    "delete_module": Numbers(176, 106),
    "reboot": Numbers(169, 142),
    "swapon": Numbers(167, 224),
    "swapoff": Numbers(168, 225),
    "acct": Numbers(163, 89),
    "settimeofday": Numbers(164, 170),
    "clock_settime": Numbers(227, 112),
    "clock_adjtime": Numbers(305, 266),
    "adjtimex": Numbers(159, 171),
    "sethostname": Numbers(170, 161),
    "setdomainname": Numbers(171, 162),
    "syslog": Numbers(103, 116),
    "vhangup": Numbers(153, 58),
    "iopl": Numbers(172, None),
    "ioperm": Numbers(173, None),
    "personality": Numbers(135, 92),
    "lookup_dcookie": Numbers(212, 18),
    "nfsservctl": Numbers(180, 42),
    # Where memory lies, also another process's.
    "migrate_pages": Numbers(256, 238),
    "move_pages": Numbers(279, 239),
    "mbind": Numbers(237, 235),
    "set_mempolicy": Numbers(238, 237),
    "set_mempolicy_home_node": Numbers(450, 450),
}
"""Answered with EPERM."""

SAID_NOT_TO_EXIST = {"clone3": Numbers(435, 435), "openat2": Numbers(437, 437)}
"""Answered with ENOSYS."""

EXAMINED = {
    "open": Numbers(2, None),
    "openat": Numbers(257, 56),
    "creat": Numbers(85, None),
    "chmod": Numbers(90, None),
    "fchmod": Numbers(91, 52),
    "fchmodat": Numbers(268, 53),
    "fchmodat2": Numbers(452, 452),
    "clone": Numbers(56, 220),
    "ioctl": Numbers(16, 29),
    "prlimit64": Numbers(302, 261),
    "socket": Numbers(41, 198),
    "socketpair": Numbers(53, 199),
}
"""Answered by their arguments; see `_examinations`."""

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
        # Process 0 is the caller; lowering the limits of another process of the same user can kill it.
        "prlimit64": [*_load_argument(0), *_unless_equal(0, _REFUSE), *_ALLOW],
        "socket": internet if network else _REFUSE,
        "socketpair": connected_pair,
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
