"""What a job gives up, each thing shown twice: it works without `confine`, and fails as expected with it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Attempt = Callable[..., str]

LIMITED = {
    "a file larger than it may be": (
        """
        with open(inside + '/large', 'wb', buffering=0) as file:
            while file.tell() < 2 << 20: file.write(bytes(65536))
        """,
        {"file_bytes": 1 << 20},
        "EFBIG",
    ),
    "a file larger than it may be, by a program that does not ignore the signal": (
        """
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        with open(inside + '/large', 'wb', buffering=0) as file:
            while file.tell() < 2 << 20: file.write(bytes(65536))
        """,
        {"file_bytes": 1 << 20},
        "SIGXFSZ",
    ),
    "more memory than it may use": ("bytes(768 << 20)", {"memory_bytes": 512 << 20}, "MemoryError"),
    "more addresses than it may reserve": (
        "import mmap\nmmap.mmap(-1, 5 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_NORESERVE, prot=mmap.PROT_READ)",
        {"memory_bytes": 512 << 20},
        "ENOMEM",
    ),
    "more open files than it may have": (
        "kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(40)]",
        {"open_files": 32},
        "EMFILE",
    ),
}

FORK = "child = os.fork()\nif child == 0: os._exit(0)\nos.waitpid(child, 0)"


@pytest.mark.parametrize("what", LIMITED)
def test_a_job_can_not_use_more_than_its_limits(what: str, attempt: Attempt, user: int) -> None:
    code, limits, expected = LIMITED[what]

    assert attempt(code, user=user, **limits) == expected
    assert attempt(code, user=user, confined=False) == "done"


@pytest.mark.parametrize(("answer", "expected"), [("SIG_DFL", "SIGXCPU"), ("SIG_IGN", "SIGKILL")])
def test_too_much_processor_time_is_told_before_it_kills(attempt: Attempt, answer: str, expected: str) -> None:
    code = f"""
        import signal, time
        signal.signal(signal.SIGXCPU, signal.{answer})
        while time.process_time() < 2.5: pass
    """

    assert attempt(code, cpu_seconds=1) == expected
    assert attempt(code, confined=False) == "done"


def test_an_ordinary_user_can_not_start_more_processes_than_the_limit(attempt: Attempt, user: int) -> None:
    if user == 0:
        pytest.skip("this limit does not hold for root outside of a user namespace (getrlimit(2))")

    assert attempt(FORK, user=user, processes=1) == "EAGAIN"
    assert attempt(FORK, user=user, processes=1, confined=False) == "done"


def test_a_job_leaves_no_core_file(attempt: Attempt) -> None:
    no_core = "import resource\nassert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)"
    allowed = "import resource\nhard = resource.getrlimit(resource.RLIMIT_CORE)[1]\nassert hard != 0"
    if attempt(allowed, confined=False) != "done":
        pytest.skip("nobody may leave one here")

    assert attempt(no_core) == "done"


def test_a_limit_above_one_that_holds_already_is_lowered_to_it(attempt: Attempt, user: int) -> None:
    before = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (20, 30))"
    code = "found = resource.getrlimit(resource.RLIMIT_NOFILE)\nassert found == {}, found"

    assert attempt(code.format((20, 30)), before=before, user=user, open_files=256) == "done"
    assert attempt(code.format((10, 10)), before=before, user=user, open_files=10) == "done"


def test_limits_can_not_be_raised_again(attempt: Attempt) -> None:
    if os.getuid() != 0:
        pytest.skip("needs an ordinary user that root can become")
    code = """
        import resource
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (65, 65))
        except ValueError as error:
            raise OSError(errno.EPERM, str(error))
    """

    assert attempt(code, user=65534, open_files=64) == "EPERM"
    assert attempt(code, user=65534, confined=False) == "done"


def test_a_job_can_get_no_new_privileges(attempt: Attempt, user: int) -> None:
    code = "assert 'NoNewPrivs:\\t1' in open('/proc/self/status').read()"

    assert attempt(code, user=user) == "done"
    assert attempt(code, user=user, confined=False) == "AssertionError"


def test_confine_says_what_it_applied(attempt: Attempt, kernel: dict[str, Any]) -> None:
    landlock = [f"landlock-{min(kernel['landlock_abi'], 10)}"] if kernel["landlock_abi"] else []

    expected = ["no_new_privs", "rlimits", *landlock, "seccomp"]

    assert attempt(f"assert applied == {expected}, applied") == "done"


def test_an_unknown_machine_is_refused_by_name(attempt: Attempt) -> None:
    # The personality of a 32-bit machine changes what `uname` says: personality(2), PER_LINUX32.
    before = "system_calls.library().personality(8)"
    name = "i686" if os.uname().machine == "x86_64" else "armv8l"

    said = attempt("", before=before)

    assert said == (
        f"Unconfinable ENOSYS: `seccomp` can't be applied: the system calls of `{name}` are not known, "
        "only those of `aarch64` and `x86_64`"
    )


def test_a_path_that_can_not_be_reached_is_no_missing_path(
    attempt: Attempt, places: dict[str, Path], kernel: dict[str, Any]
) -> None:
    if os.getuid() != 0 or not kernel["landlock_abi"]:
        pytest.skip("needs root, to become an ordinary user, and Landlock")
    places["outside"].chmod(0o700)

    said = attempt("", user=65534, read=[str(places["outside"] / "secret")])

    assert said == (
        f"Unconfinable EACCES: `landlock-{min(kernel['landlock_abi'], 10)}` can't be applied: Permission denied"
    )


def test_asking_what_is_supported_confines_nothing(attempt: Attempt, kernel: dict[str, Any]) -> None:
    code = (
        f"assert confine.supported() == {kernel}\nconfine.prepare()\nopen(outside + '/secret').close()\n"
        "assert 'Seccomp:\\t0' in open('/proc/self/status').read()"
    )

    assert attempt(code, confined=False) == "done"


def test_the_machine_that_runs_the_tests_is_supported(kernel: dict[str, Any]) -> None:
    assert kernel["seccomp"]
    assert kernel["machine"] == os.uname().machine


BENIGN = {
    "writes and reads a file": """
        open(inside + '/a', 'w').write('x')
        assert open(inside + '/a').read() == 'x'
    """,
    "writes to /dev/null": "open('/dev/null', 'w').write('x')",
    "makes and removes folders": """
        import shutil
        os.makedirs(inside + '/a/b')
        shutil.rmtree(inside + '/a')
    """,
    "renames from one folder to another": """
        os.mkdir(inside + '/a')
        open(inside + '/a/b', 'w').close()
        os.rename(inside + '/a/b', beside + '/b')
        os.rename(inside + '/a', beside + '/a')
    """,
    "links files": """
        open(inside + '/a', 'w').close()
        os.symlink('a', inside + '/b')
        os.link(inside + '/a', beside + '/c')
    """,
    "truncates its own file": """
        open(inside + '/a', 'w').write('x')
        os.truncate(inside + '/a', 0)
        open(inside + '/a', 'w')
    """,
    "makes a file executable": """
        open(inside + '/a', 'w').close()
        os.chmod(inside + '/a', 0o1755)
    """,
    "makes a temporary file without a name": "os.close(os.open(inside, os.O_TMPFILE | os.O_RDWR, 0o600))",
    "forks": FORK,
    "runs a shell": """
        import subprocess
        assert subprocess.check_output(['/bin/sh', '-c', 'echo x | cat']) == b'x\\n'
    """,
    "runs a script that it wrote": """
        import subprocess
        with open(inside + '/a.sh', 'w') as file: file.write('#!/bin/sh\\necho x > b\\n')
        os.chmod(inside + '/a.sh', 0o755)
        subprocess.check_call([inside + '/a.sh'], cwd=inside)
        os.stat(inside + '/b')
    """,
    "keeps a database": """
        import sqlite3
        base = sqlite3.connect(inside + '/a.db')
        base.execute('create table t (x)')
        base.execute('insert into t values (1)')
        base.commit()
    """,
    "runs threads": """
        import threading
        found = []
        threads = [threading.Thread(target=found.append, args=(1,)) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(found) == 8
    """,
    "talks through a pair of sockets": """
        import socket
        left, right = socket.socketpair()
        left.sendall(b'x')
        assert right.recv(1) == b'x'
        socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    """,
    "runs an event loop with a child": """
        import asyncio
        async def main():
            child = await asyncio.create_subprocess_exec('/bin/true')
            assert await child.wait() == 0
        asyncio.run(main())
    """,
    "shares memory": """
        import mmap
        mmap.mmap(-1, 4096).write(b'x')
    """,
    "reserves more addresses than it uses, as Node and Java do": """
        import mmap
        mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_NORESERVE, prot=mmap.PROT_READ)
    """,
    "reads its own limits": """
        import resource
        resource.prlimit(0, resource.RLIMIT_NOFILE)
    """,
    "makes itself slower, and moves to one processor": """
        os.nice(1)
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    """,
    "signals its own child": """
        import signal
        child = os.fork()
        if child == 0:
            while True: signal.pause()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    """,
}


@pytest.mark.parametrize("what", BENIGN)
def test_an_ordinary_job_still(what: str, attempt: Attempt, user: int) -> None:
    assert attempt(BENIGN[what], user=user) == "done"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_job_can_make_a_repository(attempt: Attempt, user: int) -> None:
    code = """
import subprocess
# Git wants a folder that belongs to its user, and /dev/urandom to name temporary files.
project = inside + "/project"
os.mkdir(project)
open(project + "/a", "w").close()
environment = {"PATH": "/usr/bin:/bin", "HOME": inside, "GIT_CONFIG_NOSYSTEM": "1"}
for person in ("AUTHOR", "COMMITTER"):
    environment.update({"GIT_" + person + "_NAME": "A", "GIT_" + person + "_EMAIL": "a@b.c"})
for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
    subprocess.check_call(["git", *command], cwd=project, env=environment)
"""
    assert attempt(code, user=user) == "done"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_job_can_use_multiprocessing(attempt: Attempt, method: str) -> None:
    code = f"""
import multiprocessing
import operator
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    queue = context.SimpleQueue()
    process = context.Process(target=queue.put, args=(7,))
    process.start()
    assert queue.get() == 7
    process.join()
    assert process.exitcode == 0
"""
    # Its locks are files of /dev/shm.
    assert attempt(code, write=["/dev/shm"]) == "done"  # noqa: S108


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


def test_a_job_without_the_network_reaches_no_port(attempt: Attempt, user: int, listener: int) -> None:
    code = f"import socket\nimport encodings.idna\nsocket.create_connection(('127.0.0.1', {listener}), timeout=10)"

    assert attempt(code, user=user) == "EPERM"
    assert attempt(code, user=user, network=True) == "done"
    assert attempt(code, user=user, confined=False) == "done"


def test_a_job_with_the_network_gets_sockets_of_the_internet_only(attempt: Attempt, user: int) -> None:
    code = "import socket\nsocket.socket({}).close()"
    for family in ("socket.AF_INET, socket.SOCK_DGRAM", "socket.AF_INET6"):
        assert attempt(code.format(family), user=user, network=True) == "done"
        assert attempt(code.format(family), user=user) == "EPERM"
    for family in ("socket.AF_UNIX", "socket.AF_NETLINK, socket.SOCK_RAW"):
        assert attempt(code.format(family), user=user, network=True) == "EPERM"
        assert attempt(code.format(family), user=user, confined=False) == "done"
