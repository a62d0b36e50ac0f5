"""Whatever goes wrong with a renderer, the caller gets a clear error, the next create works, and nothing is left.

Each fault happens to a real server over stdio, on each of the machines of `machines.py`; one server lives
through all of them. The same at one's own pace, in the pool: `test_renderers.py`, `test_hostile_templates.py`,
`sandbox/test_launch.py`; a server that is killed while it adds, and a caller who leaves: `test_sudden_death.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from mcp import Client

from dynamo_mcp.settings import Settings
from homes import command, until, write_template
from integration.machines import DOCKER, MACHINES, served
from integration.places import SECONDS, Place, kill_when
from integration.test_sudden_death import at_work, processes_of

CREATE_SECONDS = 10
OUTPUT_BYTES = 4 << 20
MEMORY_BYTES = 256 << 20
PROCESSES = 64
MORE_BYTES = 2 * Settings(Path()).message_bytes + (1 << 20)
"""More than a server reads of one message of a worker."""
SOON = 1.0
"""Seconds in which nothing of a job may run any more."""
MARK = "left-by-a-fault"
"""Is on the command line of what hooks start."""

WAITING = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)', '{MARK}'])\n"
DAEMON = f"""\
import os, sys
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.set_inheritable(write, True)
        code = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write(%d, b'x'); time.sleep(600)" % write
        os.execv(sys.executable, [sys.executable, "-c", code, "{MARK}"])
    os._exit(0)
assert os.read(read, 1) == b"x"
"""
"""Returns when a process that has left its family and its session runs."""

FIVE_CHILDREN = f"""\
import subprocess, sys
code = "import time; held = bytearray({MEMORY_BYTES // 4}); held[::4096] = bytes(len(held[::4096])); time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", code, "{MARK}"]) for _ in range(5)]
print("five of them", flush=True)
for child in children:
    child.wait()
"""
"""Each of them has less than a job may have, all together have more, and none ends by itself."""

NAMELESS_FILES = f"""\
import os, time
for _ in range(5):
    os.write(os.memfd_create("nameless"), bytes({MEMORY_BYTES // 4}))
print("five of them", flush=True)
time.sleep(600)
"""
"""What is in them is memory, whether any process has mapped it or not."""

COUNTED_FORKS = f"""\
import os, subprocess, sys
for number in range({4 * PROCESSES}):
    try:
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)", "{MARK}"])
    except OSError as error:
        sys.exit(f"after {{number}}: {{error}}")
"""
ENDLESS_FORKS = """\
import os, time
print("forking", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.1)
"""

Strike = Callable[[int], None]


def kill(worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


def stop(worker: int) -> None:
    """Let it hang: it is there, and answers nothing."""
    os.kill(worker, signal.SIGSTOP)


def say(text: bytes) -> Strike:
    """Return what writes to the server in a worker's name."""

    def write(worker: int) -> None:
        # The first pipe that a worker can write to is the one that it began with.
        own = Path(f"/proc/{worker}/fd")
        replies = min((descriptor for descriptor in own.iterdir() if _is_output(descriptor)), key=lambda d: int(d.name))
        with suppress(BrokenPipeError), replies.open("wb", buffering=0) as pipe:
            rest = memoryview(text)
            while rest:
                rest = rest[pipe.write(rest) :]

    return write


def _is_output(descriptor: Path) -> bool:
    told = (descriptor.parents[1] / "fdinfo" / descriptor.name).read_text().splitlines()
    flags = int(next(line for line in told if line.startswith("flags")).split()[1], 8)
    return flags & os.O_ACCMODE == os.O_WRONLY and str(descriptor.readlink()).startswith("pipe:")


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong.

    Attributes:
        hook: What the template does.
        says: What the error must hold; None where nothing may be noticed.
        strike: What happens to the worker while the hook runs.
        earlier: It happens before the create, while the worker is idle.
    """

    hook: str
    says: tuple[str, ...] | None
    strike: Strike | None = None
    earlier: bool = False


FAULTS = {
    "a worker is killed": Fault(WAITING, ("A renderer died", "try again"), kill),
    "a worker was killed": Fault("", None, kill, earlier=True),
    "a worker hangs": Fault(
        WAITING, (f"more than {CREATE_SECONDS} seconds", "post_gen_project.py", "`DYNAMO_MCP_CREATE_SECONDS`"), stop
    ),
    "a worker has hung": Fault("", None, stop, earlier=True),
    "a worker writes garbage": Fault(WAITING, ("A renderer answered nonsense", "try again"), say(b"garbage\n")),
    "a worker writes bytes that are no text": Fault(WAITING, ("A renderer answered nonsense",), say(b"\xff\xfe\0\n")),
    "a worker tells of another job": Fault(
        WAITING, ("A renderer answered nonsense",), say(b'{"event": "done", "id": "another"}\n')
    ),
    "a worker writes without end": Fault(WAITING, ("A renderer answered nonsense",), say(bytes(MORE_BYTES))),
    "the output is full": Fault(
        "with open('large', 'wb') as file:\n    file.write(bytes(8 << 20))\n",
        ("No space left on device", "`DYNAMO_MCP_OUTPUT_BYTES`"),
    ),
    "the temporary folder is full": Fault(
        "import os\nfor number in range(3):\n"
        "    with open(os.environ['TMPDIR'] + f'/{number}', 'wb') as file:\n        file.write(bytes(60 << 20))\n",
        ("post_gen_project.py", "its temporary folder is full", "`DYNAMO_MCP_TEMPORARY_BYTES`"),
    ),
    "one process uses up the memory": Fault(f"bytearray({2 * MEMORY_BYTES})", ("MemoryError",)),
    "five processes use up the memory together": Fault(
        FIVE_CHILDREN,
        (
            f"more memory than the {MEMORY_BYTES} bytes that it may while running the hook post_gen_project.py",
            "> five of them",
            "`DYNAMO_MCP_MEMORY_BYTES`",
        ),
    ),
    "files without a name, which nobody could count": Fault(NAMELESS_FILES, ("Function not implemented",)),
    "more processes than may be": Fault(COUNTED_FORKS, ("Resource temporarily unavailable",)),
    "a fork bomb": Fault(ENDLESS_FORKS, (f"more than {CREATE_SECONDS} seconds", "forking")),
    "a daemon that forked twice": Fault(DAEMON, None),
    "a daemon, and a hook that fails": Fault(DAEMON + "sys.exit('no')\n", ("post_gen_project.py", "no")),
}
OTHERWISE = {
    (DOCKER, "the output is full"): (
        f"more than {OUTPUT_BYTES} bytes",  # while it runs, or as soon as it has ended
        "`DYNAMO_MCP_OUTPUT_BYTES`",
    ),
    (DOCKER, "the temporary folder is full"): (
        "its temporary folder is full",
        "while running the hook post_gen_project.py",
        "`DYNAMO_MCP_TEMPORARY_BYTES`",
    ),
}
"""What is said where no file system has a size, and the server counts."""


class Happened(msgspec.Struct, frozen=True):
    """What became of a fault.

    Attributes:
        error: What the caller was told; None if nothing went wrong.
        left: The command lines of what ran a second later, of the job's.
        next: Why the next create failed, or None.
        made: What was in the output folder after the next create.
    """

    error: str | None
    left: list[str]
    next: str | None
    made: list[str]


class Life(msgspec.Struct, frozen=True):
    """What became of one server and its faults, and what was there when it had ended."""

    happened: dict[str, Happened]
    processes: list[str]
    scratch: list[str]


@pytest.fixture(scope="module")
def lives(ready: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Life]:
    """The lives of all servers, side by side: they wait most of the time."""
    places = {
        name: Place(tmp_path_factory.mktemp("faults"), ready, shared=not machine.given)
        for name, machine in MACHINES.items()
    }
    return anyio.run(partial(_live_all, places))


async def _live_all(places: dict[str, Place]) -> dict[str, Life]:
    lives: dict[str, Life] = {}

    async def live(machine: str) -> None:
        lives[machine] = await _live(machine, places[machine])

    async with anyio.create_task_group() as tasks:
        for machine in places:
            tasks.start_soon(live, machine)
    return lives


async def _live(machine: str, place: Place) -> Life:
    names = {title: f"fault-{number}" for number, title in enumerate(FAULTS)}
    for title, name in names.items():
        write_template(place.templates / name, post_gen_project=FAULTS[title].hook)
    write_template(place.templates / "good")
    happened = {}
    limits = {"CREATE_SECONDS": CREATE_SECONDS, "OUTPUT_BYTES": OUTPUT_BYTES, "MEMORY_BYTES": MEMORY_BYTES}
    limits["RENDERERS"] = 1  # what goes wrong happens to the one that serves
    async with served(place, MACHINES[machine], **limits) as client:
        for name in ("good", *names.values()):
            added = await client.call_tool("add_template", {"url": str(place.templates / name)})
            assert not added.is_error, added.content
        await _create(client, place, "good", "first")
        for title, name in names.items():
            happened[title] = await _happen(client, place, FAULTS[title], name)
    with suppress(TimeoutError):
        await until(lambda: not processes_of(place), SOON)
    return Life(happened, list(processes_of(place).values()), place.scratch)


async def _happen(client: Client, place: Place, fault: Fault, name: str) -> Happened:
    if fault.strike is not None and fault.earlier:
        struck = await worker_of(place)
        below = {number for number in _with_packages(place) if _parent(number) == struck}
        fault.strike(struck)
        # A kill reaches it, and what it has forked, when the processor is theirs; before that the worker is as before.
        await until(lambda: _is_stopped(struck) or not _with_packages(place) & {struck, *below}, SECONDS)
    error = await _create(client, place, name, name, None if fault.earlier else fault.strike)
    with suppress(TimeoutError):
        await until(lambda: not hooks_of(place), SOON)
    left = list(hooks_of(place).values())
    after = await _create(client, place, "good", f"after-{name}")
    return Happened(error, left, after, [made for made in place.made if made.endswith(name)])


async def _create(client: Client, place: Place, name: str, slug: str, strike: Strike | None = None) -> str | None:
    """Create a project, and let something happen as soon as its hook runs; return the error."""
    struck = False

    async def progress(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001
        nonlocal struck
        if strike is not None and not struck and "running the hook" in (message or ""):
            struck = True
            await until(lambda: hooks_of(place), SECONDS)
            await anyio.to_thread.run_sync(strike, _worker_above(place, min(hooks_of(place))))

    arguments = {"template_name": name, "output_dir": str(place.outputs), "variables": {"slug": slug}}
    result: Any = await client.call_tool("create_project", arguments, progress_callback=progress)
    assert struck == (strike is not None)
    return "\n".join(block.text for block in result.content) if result.is_error else None


def hooks_of(place: Place) -> dict[int, str]:
    """Return the command lines of living hooks of this place, and of what they have started, by process number."""
    found = {}
    for number in _numbers():
        words = command(number)
        own = bool(words) and words[0].startswith(str(place.home / "venvs"))
        if own or (words and words[-1] == MARK and any(str(place.home) in word for word in words)):
            found[number] = " ".join(words)
    return found


async def worker_of(place: Place) -> int:
    """Return the process number of the worker, as soon as it is the only one: another may be about to end."""
    found: list[int] = []

    def one() -> bool:
        found[:] = _workers_of(place)
        return len(found) == 1

    await until(one, SECONDS)
    return found[0]


def _workers_of(place: Place) -> list[int]:
    numbers = _with_packages(place)
    return [number for number in numbers if _parent(number) not in numbers]


def _worker_above(place: Place, hook: int) -> int:
    """Return the process number of the worker whose job a hook is of."""
    workers, above = _workers_of(place), hook
    while above > 1 and above not in workers:
        above = _parent(above)
    assert above in workers, (hook, workers)
    return above


def _with_packages(place: Place) -> set[int]:
    """Return the process numbers of workers, and of what they forked."""
    lines = {number: command(number) for number in _numbers()}
    return {
        number
        for number, words in lines.items()
        if words and words[0].startswith(str(place.home / "bases")) and "--packages" in words
    }


def _numbers() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _is_stopped(number: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


def _parent(number: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "title",
    list(FAULTS),
)
def test_a_fault_is_told_clearly_ends_all_of_its_job_and_the_next_create_works(
    title: str, machine: str, lives: dict[str, Life]
) -> None:
    fault, happened = FAULTS[title], lives[machine].happened[title]
    says = OTHERWISE.get((machine, title), fault.says)
    if says is None:
        assert happened.error is None
    else:
        assert [words for words in says if words not in (happened.error or "")] == [], happened.error
        assert "\n\nhint: " in (happened.error or "")
    assert happened.left == []
    assert happened.next is None
    assert len(happened.made) == (2 if says is None else 1)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_server_that_lived_through_all_of_it_leaves_no_process_and_nothing_in_scratch(
    machine: str, lives: dict[str, Life]
) -> None:
    assert lives[machine].processes == []
    assert lives[machine].scratch == []


@pytest.mark.anyio
async def test_a_server_that_is_killed_during_a_job_leaves_no_process_within_a_second(place: Place) -> None:
    write_template(place.templates / "one", post_gen_project=DAEMON + WAITING)
    write_template(place.templates / "good")
    for name in ("one", "good"):
        await place.run("add", str(place.templates / name))
    arguments = {"template_name": "one", "output_dir": str(place.outputs)}
    await kill_when(place, "create_project", arguments, lambda _, said: "running the hook" in said)
    await until(lambda: not at_work(place), SOON)
    assert place.made == []
    assert place.scratch != []
    await place.run("create", "good", "-o", str(place.outputs))
    assert place.scratch == []
    assert place.made == ["made"]
