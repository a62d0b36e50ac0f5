"""Which system calls are there to refuse or to look at, and what is the number of each on each machine?"""

from __future__ import annotations

from typing import NamedTuple


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
    "process_madvise": Numbers(440, 440),
    "process_mrelease": Numbers(448, 448),
    "kcmp": Numbers(312, 272),
    # What else a `pidfd` is good for, `kill` can do as well.
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
    "msgsnd": Numbers(69, 189),
    "msgrcv": Numbers(70, 188),
    "msgctl": Numbers(71, 187),
    "semget": Numbers(64, 190),
    "semop": Numbers(65, 193),
    "semtimedop": Numbers(220, 192),
    "semctl": Numbers(66, 191),
    "shmget": Numbers(29, 194),
    "shmat": Numbers(30, 196),
    "shmctl": Numbers(31, 195),
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

SAID_NOT_TO_EXIST = {
    # Their flags are where no filter sees them.
    "clone3": Numbers(435, 435),
    "openat2": Numbers(437, 437),
    # Files that are in no folder and in nobody's memory.
    "memfd_create": Numbers(319, 279),
    # They tell the names of files that others make in folders that can't be listed.
    "inotify_init": Numbers(253, None),
    "inotify_init1": Numbers(294, 26),
    "inotify_add_watch": Numbers(254, 27),
}
"""Answered with ENOSYS."""

SAID_NOT_TO_BE_SUPPORTED = {
    # No rule about paths holds them off; who copies a file's attributes goes on without.
    "setxattr": Numbers(188, 5),
    "lsetxattr": Numbers(189, 6),
    "fsetxattr": Numbers(190, 7),
    "setxattrat": Numbers(463, 463),
    "removexattr": Numbers(197, 14),
    "lremovexattr": Numbers(198, 15),
    "fremovexattr": Numbers(199, 16),
    "removexattrat": Numbers(466, 466),
}
"""Answered with EOPNOTSUPP, as by a file system that has none of it."""

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
    "setpriority": Numbers(141, 140),
    "ioprio_set": Numbers(251, 30),
    "sched_setparam": Numbers(142, 118),
    "sched_setscheduler": Numbers(144, 119),
    "sched_setaffinity": Numbers(203, 122),
    "sched_setattr": Numbers(314, 274),
    "socket": Numbers(41, 198),
    "socketpair": Numbers(53, 199),
    "setsockopt": Numbers(54, 208),
    "fcntl": Numbers(72, 25),
    "prctl": Numbers(157, 167),
}
"""Answered by their arguments (`seccomp.py`)."""
