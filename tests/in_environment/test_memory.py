"""What do all processes of a job use together? What is shared counts once, what nobody maps counts too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from in_environment.test_worker import alive, with_extension

if TYPE_CHECKING:
    from pathlib import Path

    from in_environment.workers import Outcome, Worker

LIMIT = 256 << 20
LIMITS = {
    "memory_bytes": LIMIT,
    "cpu_seconds": 60,
    "file_bytes": 1 << 30,
    "open_files": 64,
    "processes": 60,
}
"""Of the watch alone: as policy of a worker of a test they would confine, which other tests look at."""

READY = """
if 'ONCE' in os.environ:
    return
os.environ['ONCE'] = 'an environment of Jinja is made several times'
read, write = os.pipe()
def child(use, number=1):
    for _ in range(number):
        if os.fork() == 0:
            use()
            os.write(write, b'x')
            time.sleep(600)
    for _ in range(number):
        os.read(read, 1)
def filled(mebibytes):
    kept.append(bytearray(os.urandom(1 << 20)) * mebibytes)
kept = []
import mmap
"""


WITHOUT_FIRST = """
import ctypes, threading
def hold():
    filled(100)
    os.write(write, b'x')
    time.sleep(600)
def use():
    threading.Thread(target=hold).start()
    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)
child(use, 4)
"""
SHARED = "shared = mmap.mmap(-1, 100 << 20)\nfor at in range(0, 100 << 20, 4096): shared[at] = 1\n"


def watched(worker: Worker, folder: Path, code: str, **limits: int) -> Outcome:
    """Run code in a job that is watched for half a second after it, if it is not ended before."""
    policy = {"read": ["/"], "write": ["/"], "devices": [], "network": True, "limits": {**LIMITS, **limits}}
    return worker.create(with_extension(folder, f"{READY}\n{code}\ntime.sleep(0.5)"), policy=policy)


@pytest.mark.parametrize(
    "code",
    [
        "child(lambda: filled(100), 4)",
        "shared = mmap.mmap(-1, 400 << 20)\nfor at in range(0, 400 << 20, 4096): shared[at] = 1",
        "child(lambda: kept.extend(socket.socketpair() for _ in range(25)), 25)",
        "filled(190)\nchild(lambda: kept.extend(os.pipe() for _ in range(25)), 50)\ntime.sleep(3)",
        WITHOUT_FIRST,
        "import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nchild(lambda: filled(100), 4)",
    ],
    ids=[
        "many processes",
        "shared memory",
        "sockets",
        "pipes",
        "ended first threads",
        "processes that hide what they share",
    ],
)
def test_what_uses_too_much_memory_together_is_ended_and_told_so(worker: Worker, tmp_path: Path, code: str) -> None:
    made = watched(worker, tmp_path, code)
    assert (made.event, made.last["kind"], made.last["limit"]) == ("failed", "memory", "memory_bytes")
    assert made.message == f"the job used more memory than the {LIMIT} bytes that it may"


@pytest.mark.parametrize(
    "code",
    [
        "filled(150)\nchild(lambda: None, 10)",
        "filled(100)\nimport ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)",
        SHARED + "child(lambda: sum(shared[at] for at in range(0, 100 << 20, 4096)), 5)",
    ],
    ids=["forks of much", "a process that hides what it shares", "many that share"],
)
def test_what_is_shared_counts_once(worker: Worker, tmp_path: Path, code: str) -> None:
    made = watched(worker, tmp_path, code)
    assert made.event == "done", made.last


def test_more_processes_and_threads_than_it_may_have_are_ended_and_told(worker: Worker, tmp_path: Path) -> None:
    code = "import threading\nfor _ in range(4): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    assert watched(worker, tmp_path / "some", code, processes=8).event == "done"
    made = watched(worker, tmp_path / "many", f"child(lambda: None, 2)\n{code.replace('4', '8')}", processes=8)
    # Who is not root is held to it by the kernel, too.
    told = ("processes", "processes", "the job had more than 8 processes and threads at a time")
    last = made.last
    assert (last["kind"], last.get("limit"), made.message) == told or "can't start new thread" in made.message


def test_nothing_of_a_job_that_used_too_much_is_left(worker: Worker, tmp_path: Path) -> None:
    code = f"""
child(lambda: None)
open({str(tmp_path / "job")!r}, 'w').write(str(os.getpid()))
shared = mmap.mmap(-1, 400 << 20)
for at in range(0, 400 << 20, 4096): shared[at] = 1
"""
    made = watched(worker, tmp_path, code)
    assert made.last["kind"] == "memory", made.last
    assert not alive(int((tmp_path / "job").read_text()))


def test_a_job_that_is_not_confined_is_not_watched(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(with_extension(tmp_path, f"{READY}\nchild(lambda: filled(5), 70)\ntime.sleep(0.5)"))
    assert made.event == "done", made.last


def test_a_job_that_talks_without_end_is_watched_as_well(worker: Worker, tmp_path: Path) -> None:
    code = """
shared = mmap.mmap(-1, 400 << 20)
for at in range(0, 400 << 20, 4096): shared[at] = 1
for descriptor in range(3, 20):
    try:
        while os.readlink('/proc/self/fd/%d' % descriptor).startswith('pipe:'):
            os.write(descriptor, b'{"event": "step", "message": "x"}\\n')
    except OSError:
        pass
"""
    assert watched(worker, tmp_path, code).last["kind"] == "memory"


def test_the_kernel_ends_a_job_before_anything_else(worker: Worker, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'score')!r}, 'w').write(open('/proc/self/oom_score_adj').read())"
    made: Any = worker.create(with_extension(tmp_path, code))
    assert made.event == "done"
    assert (tmp_path / "score").read_text().strip() == "1000"
