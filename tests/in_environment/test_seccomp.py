"""Which system calls a job may make: tried on this machine, and read off the programs of every machine."""

from __future__ import annotations

import errno
import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Attempt = Callable[..., str]

CODE = Path(__file__).parents[2] / "src" / "dynamo_mcp" / "_in_environment"

FORBIDDEN = {
    "makes a UDP socket": (
        """
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        """,
        "EPERM",
    ),
    "makes a Unix socket": (
        """
        import socket
        server = socket.socket(socket.AF_UNIX)
        server.bind(inside + '/socket')
        server.listen()
        """,
        "EPERM",
    ),
    "makes a netlink socket": (
        """
        import socket
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        """,
        "EPERM",
    ),
    "makes a pair of datagram sockets": (
        """
        import socket
        socket.socketpair(type=socket.SOCK_DGRAM)
        """,
        "EPERM",
    ),
    "sets the set-uid bit": (
        """
        open(inside + '/a', 'w').close()
        os.chmod(inside + '/a', 0o4755)
        """,
        "EPERM",
    ),
    "sets the set-uid bit of an open file": ("os.fchmod(os.open(inside + '/a', os.O_CREAT), 0o4755)", "EPERM"),
    "sets the set-uid bit relative to a folder": (
        """
        open(inside + '/a', 'w').close()
        os.chmod('a', 0o4755, dir_fd=os.open(inside, os.O_RDONLY))
        """,
        "EPERM",
    ),
    "makes a file with the set-uid bit": ("os.open(inside + '/a', os.O_CREAT | os.O_WRONLY, 0o4755)", "EPERM"),
    "makes a file without a name with it": ("os.open(inside, os.O_TMPFILE | os.O_WRONLY, 0o4755)", "EPERM"),
    "makes a FIFO": ("os.mkfifo(inside + '/fifo')", "EPERM"),
    "makes itself a user namespace": ("call('unshare', 0x10000000)", "EPERM"),
    "makes a child in a user namespace": (
        """
        child = call('clone', 0x10000000 | 17)
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
        """,
        "EPERM",
    ),
    "makes a child with flags that can't be read": (
        """
        import ctypes, struct
        packed = struct.pack('=11Q', 0, 0, 0, 0, 17, *[0] * 6)
        arguments = ctypes.create_string_buffer(packed, 88)
        child = call('clone3', ctypes.addressof(arguments), 88)
        if child == 0: os._exit(0)
        os.waitpid(child, 0)
        """,
        "ENOSYS",
    ),
    "opens a file with a mode that can't be read": (
        """
        import ctypes, struct
        how = ctypes.create_string_buffer(struct.pack('=3Q', 0, 0, 0), 24)
        path = ctypes.create_string_buffer(b'/usr')
        call('openat2', 0, ctypes.addressof(path), ctypes.addressof(how), 24)
        """,
        "ENOSYS",
    ),
    "traces a process": ("call('ptrace', 0)", "EPERM"),
    "asks for the kernel's keys": ("call('keyctl', 0, 2**64 - 3, 1)", "EPERM"),
    "sets up an io_uring": (
        """
        import ctypes
        parameters = ctypes.create_string_buffer(120)
        call('io_uring_setup', 8, ctypes.addressof(parameters))
        """,
        "EPERM",
    ),
    "lowers the limits of another process": (
        """
        import resource, signal
        child = os.fork()
        if child == 0:
            while True: signal.pause()
        try: resource.prlimit(child, resource.RLIMIT_NOFILE, (5, 5))
        finally: os.kill(child, 9)
        os.waitpid(child, 0)
        """,
        "EPERM",
    ),
    "makes another process slower": (
        """
        import signal
        child = os.fork()
        if child == 0:
            while True: signal.pause()
        try: os.setpriority(os.PRIO_PROCESS, child, 19)
        finally: os.kill(child, 9)
        os.waitpid(child, 0)
        """,
        "EPERM",
    ),
    "makes its group slower": ("os.setsid()\nos.setpriority(os.PRIO_PGRP, 0, 19)", "EPERM"),
    "moves another process to one processor": (
        """
        import signal
        child = os.fork()
        if child == 0:
            while True: signal.pause()
        try: os.sched_setaffinity(child, [min(os.sched_getaffinity(0))])
        finally: os.kill(child, 9)
        os.waitpid(child, 0)
        """,
        "EPERM",
    ),
    "makes a queue of messages": ("call('msgget', 0, 0o1600)", "EPERM"),
    "makes a file without a name anywhere": ("os.memfd_create('x')", "ENOSYS"),
    "makes the buffer of a socket larger": (
        """
        import socket
        pair = socket.socketpair()
        pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        """,
        "EPERM",
    ),
    "makes the buffer of a pipe larger": (
        """
        import fcntl
        fcntl.fcntl(os.pipe()[0], 1031, 1 << 17)
        """,
        "EPERM",
    ),
    "hides what it uses": ("system_calls.process_control(4, 0)", "EPERM"),
    "is told what others do in a folder": (
        """
        import ctypes
        folder = ctypes.create_string_buffer(outside.encode())
        call('inotify_add_watch', call('inotify_init1', 0), ctypes.addressof(folder), 0x100)
        """,
        "ENOSYS",
    ),
    "gives a file an attribute": ("os.setxattr(outside + '/secret', 'user.x', b'x')", "ENOTSUP"),
    "changes its personality": ("call('personality', 0xffffffff)", "EPERM"),
}

LACKED = {"ENOSYS", "EPERM", "EACCES", "ENOSPC", "EOPNOTSUPP", "ENOTSUP"}
"""How a kernel or a container without something refuses it to everybody."""

MAY_BE_LACKED = {
    "makes itself a user namespace",
    "makes a child in a user namespace",
    "traces a process",
    "asks for the kernel's keys",
    "sets up an io_uring",
    "gives a file an attribute",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_job_fails_when_it(what: str, attempt: Attempt, user: int) -> None:
    code, expected = FORBIDDEN[what]
    said = attempt(code, user=user)
    otherwise = attempt(code, user=user, confined=False)
    if what in MAY_BE_LACKED and otherwise in LACKED:
        pytest.skip("this machine refuses it to everybody")

    assert said == expected
    assert otherwise == "done"


ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
REFUSED, UNKNOWN, UNSUPPORTED = FAIL | errno.EPERM, FAIL | errno.ENOSYS, FAIL | errno.EOPNOTSUPP
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386, ARM = 0x40000003, 0x40000028
MACHINES = sorted(ARCHITECTURES)

DUMP = """
import json, sys
sys.path.insert(0, sys.argv[1])
import seccomp
groups = {"refused": seccomp.REFUSED, "said not to exist": seccomp.SAID_NOT_TO_EXIST,
          "said not to be supported": seccomp.SAID_NOT_TO_BE_SUPPORTED}
tables = {name: numbers._asdict() for table in (*groups.values(), seccomp.EXAMINED) for name, numbers in table.items()}
programs = {f"{machine} {network}": seccomp.assemble(machine, network=network)
            for machine in ("x86_64", "aarch64") for network in (False, True)}
print(json.dumps({"programs": programs, "tables": tables, **{name: [*group] for name, group in groups.items()}}))
"""


@pytest.fixture(scope="module")
def dump() -> dict[str, Any]:
    command = [sys.executable, "-I", "-B", "-c", DUMP, str(CODE)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return found


def interpret(program: list[list[int]], architecture: int, number: int, *arguments: int) -> int:
    """Run a program as the kernel does (linux/filter.h) and return its answer."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *padded)
    accumulator = position = 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        if code == 0x20:
            assert operand % 4 == 0
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x06:
            return operand
        else:
            tests = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: accumulator & operand != 0}
            position += if_true if tests[code] else if_false


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


Ask = Callable[..., int]


@pytest.fixture
def ask(dump: dict[str, Any], machine: str) -> Ask:
    def answer(call: str | int, *arguments: int, network: bool = False, architecture: int | None = None) -> int:
        number = dump["tables"][call][machine] if isinstance(call, str) else call
        program = dump["programs"][f"{machine} {network}"]
        return interpret(program, architecture or ARCHITECTURES[machine], number, *arguments)

    return answer


@pytest.mark.parametrize("network", [False, True])
def test_every_number_gets_the_answer_of_its_table(
    dump: dict[str, Any], machine: str, ask: Ask, *, network: bool
) -> None:
    numbers = {name: numbers[machine] for name, numbers in dump["tables"].items()}
    # Without arguments: family 0, which is neither that of a Unix pair nor of the internet.
    # And without arguments `ioprio_set` is not of a process.
    expected = {numbers[name]: REFUSED for name in [*dump["refused"], "socket", "socketpair", "ioprio_set"]}
    expected |= {numbers[name]: UNKNOWN for name in dump["said not to exist"]}
    expected |= {numbers[name]: UNSUPPORTED for name in dump["said not to be supported"]}

    for number in range(1024):
        assert ask(number, network=network) == expected.get(number, ALLOW), number


def test_calls_of_another_machine_end_the_process(ask: Ask, machine: str) -> None:
    (other,) = set(MACHINES) - {machine}
    for architecture in (I386, ARM, ARCHITECTURES[other]):
        assert ask(0, architecture=architecture) == KILL


def test_calls_of_x32_end_the_process(ask: Ask, machine: str) -> None:
    expected = KILL if machine == "x86_64" else ALLOW
    assert ask(0x40000000) == ask(0x40000000 + 41) == ask(0xFFFFFFFF) == expected
    assert ask(0x3FFFFFFF) == ALLOW


@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_clone_makes_no_namespace(ask: Ask, flag: int) -> None:
    assert ask("clone", flag | 17) == REFUSED
    assert ask("clone", flag) == REFUSED


@pytest.mark.parametrize("flags", [17, 0x3D0F00, 0x1200011, 0x4111])
def test_clone_makes_threads_and_children(ask: Ask, flags: int) -> None:
    assert ask("clone", flags) == ALLOW


@pytest.mark.parametrize("upper", [0, 1 << 32])
def test_no_text_is_put_into_a_terminal(ask: Ask, upper: int) -> None:
    # The kernel takes the lower half of the request, so what is above must not hide it.
    assert ask("ioctl", 0, upper | 0x5412) == REFUSED
    assert ask("ioctl", 0, upper | 0x541C) == REFUSED
    assert ask("ioctl", 0x5412, upper | 0x5401) == ALLOW


CHANGES_OF_MODE = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1}


@pytest.mark.parametrize("call", CHANGES_OF_MODE)
def test_no_mode_has_the_set_uid_bit(ask: Ask, dump: dict[str, Any], machine: str, call: str) -> None:
    if dump["tables"][call][machine] is None:
        pytest.skip("there is no such call on this machine")
    before = [0o6000] * CHANGES_OF_MODE[call]
    for mode in (0o4755, 0o6000, 0o4000):
        assert ask(call, *before, mode) == REFUSED
    for mode in (0o755, 0o1777, 0o2755, 0o3777, 0):
        assert ask(call, *before, mode, 0o6000) == ALLOW


@pytest.mark.parametrize(("call", "flags"), [("open", 1), ("openat", 2)])
def test_no_file_is_made_with_the_set_uid_bit(
    ask: Ask, dump: dict[str, Any], machine: str, call: str, flags: int
) -> None:
    if dump["tables"][call][machine] is None:
        pytest.skip("there is no such call on this machine")
    before = [0o6000] * flags
    for creates in (0o100, 0o20200000, 0o1101):
        assert ask(call, *before, creates, 0o4644) == REFUSED
        assert ask(call, *before, creates, 0o644) == ALLOW
        assert ask(call, *before, creates, 0o2644) == ALLOW
    # Without them there is no mode, and its register holds anything.
    assert ask(call, *before, 0o1, 0o4644) == ALLOW


def test_sockets_are_refused_without_the_network_and_of_the_internet_with_it(ask: Ask) -> None:
    for family in range(48):
        assert ask("socket", family, 1) == REFUSED
        assert ask("socket", family, 1, network=True) == (ALLOW if family in {2, 10} else REFUSED)


@pytest.mark.parametrize("network", [False, True])
def test_pairs_of_sockets_are_connected_ones(ask: Ask, *, network: bool) -> None:
    for kind in range(11):
        for flags in (0, 0o2000000 | 0o4000):
            expected = ALLOW if kind in {1, 5} else REFUSED
            assert ask("socketpair", 1, kind | flags, network=network) == expected
            assert ask("socketpair", 30, kind | flags, network=network) == REFUSED


OF_ITSELF = ["prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"]


@pytest.mark.parametrize("call", OF_ITSELF)
def test_limits_and_processors_are_those_of_the_caller(ask: Ask, call: str) -> None:
    assert ask(call, 0, 7) == ALLOW
    assert ask(call, 1, 7) == REFUSED


@pytest.mark.parametrize(("call", "process"), [("setpriority", 0), ("ioprio_set", 1)])
def test_priorities_are_those_of_the_caller_and_of_no_group_or_user(ask: Ask, call: str, process: int) -> None:
    assert ask(call, process, 0, 7) == ALLOW
    assert ask(call, process, 1, 7) == REFUSED
    for kind in {0, 1, 2, 3} - {process}:
        assert ask(call, kind, 0, 7) == REFUSED


@pytest.mark.parametrize("upper", [0, 1 << 32])
def test_buffers_of_sockets_and_pipes_have_their_usual_size(ask: Ask, upper: int) -> None:
    for option in range(80):
        assert ask("setsockopt", 3, upper | 1, upper | option) == (REFUSED if option in {7, 8, 32, 33} else ALLOW)
        assert ask("setsockopt", 3, 6, option) == ALLOW
    assert ask("fcntl", 3, upper | 1031, 1 << 20) == REFUSED
    for command in (0, 1, 2, 3, 4, 1030, 1032):
        assert ask("fcntl", 1031, command, 1031) == ALLOW


def test_no_process_hides_what_it_uses(ask: Ask) -> None:
    for value in (0, 2, 1 << 32):
        assert ask("prctl", 4, value) == ask("prctl", 1 << 32 | 4, value) == REFUSED
    assert ask("prctl", 4, 1) == ALLOW
    for option in {*range(80)} - {4}:
        assert ask("prctl", option, 0) == ALLOW


HEADERS = [
    ("aarch64", Path("/usr/include/asm-generic/unistd.h")),
    ("x86_64", Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
]


def test_the_list_of_what_is_said_not_to_be_there_has_lost_nothing(dump: dict[str, Any]) -> None:
    expected = "clone3 openat2 memfd_create inotify_init inotify_init1 inotify_add_watch"
    assert sorted(dump["said not to exist"]) == sorted(expected.split())
    expected = """
        setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    """
    assert sorted(dump["said not to be supported"]) == sorted(expected.split())


def test_the_list_of_what_is_refused_has_lost_nothing(dump: dict[str, Any]) -> None:
    expected = """
        ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd mount umount2 pivot_root chroot setns unshare
        open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr bpf perf_event_open userfaultfd
        io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key kexec_load kexec_file_load
        init_module finit_module delete_module reboot swapon swapoff acct quotactl quotactl_fd settimeofday
        clock_settime
        clock_adjtime adjtimex syslog personality mknod mknodat open_by_handle_at name_to_handle_at iopl ioperm
        lookup_dcookie nfsservctl vhangup memfd_secret migrate_pages move_pages mbind set_mempolicy
        set_mempolicy_home_node msgget msgsnd msgrcv msgctl semget semop semtimedop semctl shmget shmat shmctl mq_open
        fanotify_init sethostname setdomainname process_madvise process_mrelease
    """
    assert sorted(dump["refused"]) == sorted(expected.split())


@pytest.mark.parametrize(("machine", "header"), HEADERS)
def test_numbers_are_those_of_the_kernel(dump: dict[str, Any], machine: str, header: Path) -> None:
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    # 3264 stands for two calls of which a 64-bit machine has the one without a number in its name.
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s", header.read_text())
    known = {name: int(number) for name, number in found}
    newer = {"fchmodat2", "open_tree_attr", "setxattrat", "removexattrat"} - known.keys()

    for name, numbers in dump["tables"].items():
        if name not in newer:
            assert numbers[machine] == known.get(name), name


@pytest.mark.parametrize("network", [False, True])
def test_the_kernel_takes_the_program(dump: dict[str, Any], machine: str, *, network: bool) -> None:
    program = dump["programs"][f"{machine} {network}"]

    assert len(program) < 4096  # BPF_MAXINSNS, linux/bpf_common.h
    assert all(0 <= part <= 255 for instruction in program for part in instruction[1:3])
    assert program[-1] == [0x06, 0, 0, ALLOW]
