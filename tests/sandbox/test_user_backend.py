"""Jobs that root starts are a user of their own: under bubblewrap, and where no namespace can be made at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import RenderFailed
from dynamo_mcp.merging import link_tree
from dynamo_mcp.progress import Step
from dynamo_mcp.sandbox import CODE
from dynamo_mcp.sandbox.user import FIRST, LAST, runs, unreadable
from homes import SECONDS, SLUG, Home, base_environments, command, until, write_template

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(bool(unreadable([CODE])), reason="others may not read this repository"),
]

TESTS = Path(__file__).parents[1]
OWN, SYSTEM = Path(sys.executable), Path("/usr/bin/python3")
PYTHON = SYSTEM if unreadable([Path(sys.base_prefix)]) and SYSTEM.exists() else OWN
"""One that others may run: that of the tests may be root's alone."""
PROGRAMS = ("git", "sh", "env", "sleep")
WALLS = ("bubblewrap", "user")


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that others may enter, with what environments are made of."""
    bases = base_environments(tmp_path_factory)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        link_tree(bases.parent / "wheels", root / "wheels")
        (root / "programs").mkdir()
        for program in PROGRAMS:
            (root / "programs" / program).symlink_to(str(shutil.which(program)))
        yield root


class Walled:
    """A home whose renderers are walled in by one thing or the other."""

    def __init__(self, readable: Path, root: Path, backend: str) -> None:
        self.home = Home(root, None)
        self.backend = backend
        if (readable / "bases").is_dir():
            link_tree(readable / "bases", self.home.path / "bases")
        link_tree(readable / "wheels", self.home.path / "wheels")
        self.python = PYTHON
        self.environ = {"PATH": str(readable / "programs")} if backend == "user" else {}
        self._readable = readable

    def open(self, **chosen: Any) -> Any:
        return self.home.open(self.environ, python=self.python, **chosen)

    def keep_bases(self) -> None:
        if not (self._readable / "bases").exists():
            link_tree(self.home.path / "bases", self._readable / "bases")

    async def told(self, code: str, **settings: Any) -> Any:
        """Run code as a template's hook; return what it put into `told`."""
        hook = f"import json, os, sys\ntold = None\n{code}\nprint(json.dumps(told))\n"
        async with self.open(**settings) as dynamo:
            await self.home.add(dynamo, "asking", post_gen_project=hook)
            project = await dynamo.create_project("asking", str(self.home.outputs))
            self.keep_bases()
        assert (project.trust, project.tier) == ("contained", "strong")
        walls = ("bubblewrap", "user") if self.backend == "bubblewrap" else ("user",)
        assert project.mechanisms[: len(walls) + 2] == (*walls, "no_new_privs", "rlimits")
        return json.loads(project.hooks[0].output)


@pytest.fixture(params=WALLS)
def walled(request: pytest.FixtureRequest, readable: Path) -> Iterator[Walled]:
    with tempfile.TemporaryDirectory(dir=readable) as name:
        Path(name).chmod(0o755)
        yield Walled(readable, Path(name) / "root", request.param)


@pytest.fixture
def alone(readable: Path) -> Iterator[Walled]:
    """Without bubblewrap."""
    with tempfile.TemporaryDirectory(dir=readable) as name:
        Path(name).chmod(0o755)
        yield Walled(readable, Path(name) / "root", "user")


def users(home: Path) -> list[int]:
    """Return the users of the renderers of a home, as they are numbered outside of user namespaces."""
    said = workers_of(home).values()
    return sorted({int(words[words.index("--user") + 1]) for words in said if "--pid-namespace" not in words})


def workers_of(home: Path) -> dict[int, list[str]]:
    """Return the renderers of a home with their command lines, read once: a renderer may end meanwhile."""
    said = {int(entry.name): command(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {
        identity: words
        for identity, words in said.items()
        if words and words[0].startswith(str(home)) and any(word.endswith("worker.py") for word in words)
    }


WAITING = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
code = 'import signal; signal.sigwait([signal.SIGUSR1])'
os.execv(sys.executable, [sys.executable, '-I', '-S', '-c', code, 'MARK'])
"""


def marked(mark: str) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in _said(entry)]


def _said(entry: Path) -> list[str]:
    return command(int(entry.name))[-1:]


async def test_a_job_is_a_user_of_its_own_as_seen_from_outside(walled: Walled) -> None:
    mark = f"waits-{os.getpid()}-{walled.backend}"
    seen: list[int] = []

    async def sink(step: Step) -> None:
        if step.message.startswith("running the hook"):
            await until(lambda: marked(mark))
            (process,) = marked(mark)
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            seen.extend(int(line.split()[1]) for line in lines if line.startswith(("Uid:", "Gid:", "CapPrm:")))
            os.kill(process, signal.SIGUSR1)

    async with walled.open() as dynamo:
        await walled.home.add(dynamo, "waiting", post_gen_project=WAITING.replace("MARK", mark))
        project = await dynamo.create_project("waiting", str(walled.home.outputs), sink=sink)
        walled.keep_bases()
    assert seen[0] == seen[1]
    assert seen[0] in range(FIRST, LAST + 1)
    assert seen[2] == 0
    # What is published belongs to who asked for it.
    assert (Path(project.path) / "README.md").stat().st_uid == 0


async def test_a_hook_changes_no_device_and_no_priority_of_another(walled: Walled) -> None:
    code = """
told = []
for act in (lambda: os.chmod('/dev/null', 0o600), lambda: os.chown('/dev/null', 1, 1),
            lambda: os.utime('/dev/null', (1, 1)), lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
            lambda: os.setpriority(os.PRIO_USER, 0, 19), lambda: os.sched_setaffinity(os.getppid(), {0}),
            lambda: os.setuid(0), lambda: os.setgid(0)):
    try:
        act()
        told.append('done')
    except OSError as error:
        told.append(error.strerror)
"""
    before = os.stat("/dev/null")
    assert await walled.told(code) == ["Operation not permitted"] * 8
    assert (os.stat("/dev/null").st_mode, os.stat("/dev/null").st_uid) == (before.st_mode, before.st_uid)


async def test_a_fork_bomb_of_roots_stops_at_the_limit_and_nothing_is_left_of_it(walled: Walled) -> None:
    code = """
import signal
told = [0, '', os.getuid()]
try:
    while told[0] < 500:
        if os.fork() == 0:
            while True: signal.pause()
        told[0] += 1
except OSError as error:
    told[1] = error.strerror
"""
    forks, said, user = await walled.told(code)
    assert 32 < forks < 64
    assert said == "Resource temporarily unavailable"
    assert walled.backend == "bubblewrap" or not runs(user)


async def test_a_template_that_only_root_may_read_is_rendered_all_the_same(walled: Walled) -> None:
    folder = write_template(walled.home.templates / "private", {f"{SLUG}/key": "x"})
    for path in (folder / SLUG / "key", folder / SLUG, folder / "cookiecutter.json"):
        path.chmod(path.stat().st_mode & 0o700)
    async with walled.open() as dynamo:
        await dynamo.add_template(str(folder), name="private")
        project = await dynamo.create_project("private", str(walled.home.outputs))
        walled.keep_bases()
    assert (Path(project.path) / "key").stat().st_mode & 0o777 == 0o600


READING = """
def attempt(path):
    try:
        if os.path.isdir(path):
            return os.listdir(path)
        with open(path, 'rb') as file:
            return file.read(100).decode('latin-1')
    except OSError as error:
        return 'no: ' + error.strerror
"""


async def test_without_namespaces_a_hook_reads_nothing_that_it_does_not_need(alone: Walled) -> None:
    home = alone.home
    (home.root / "secret").write_text("secret")
    wanted = [
        "/etc/shadow",
        "/etc/passwd",
        "/etc",
        "/root",
        "/proc",
        "/proc/1/environ",
        f"/proc/{os.getpid()}/environ",
        "/dev/shm",  # noqa: S108
        "/tmp",  # noqa: S108
        "/run",
        "/var/log",
        str(home.root / "secret"),
        str(home.path),
        str(home.path / "templates"),
        str(home.path / "templates" / "asking.json"),
        str(home.path / "scratch"),
        str(home.path / "keys"),
        str(home.path / "venvs"),
        str(home.templates / "asking"),
        str(home.outputs),
    ]
    told = await alone.told(f"{READING}\ntold = {{path: attempt(path) for path in {wanted!r}}}")
    assert {path: answer for path, answer in told.items() if not str(answer).startswith("no: ")} == {}


async def test_without_namespaces_a_hook_writes_nowhere_else_and_makes_no_socket(alone: Walled) -> None:
    home = alone.home
    (home.root / "open").mkdir()
    (home.root / "open").chmod(0o777)
    code = f"""
import glob, socket
told = []
places = [{str(home.root / "open")!r}, '/tmp', '/dev/shm', '/var/tmp', sys.prefix, {str(home.path)!r}]
for place in places:
    for act in (lambda: open(place + '/new', 'w'), lambda: os.mkdir(place + '/folder'), lambda: os.chmod(place, 0o777),
                lambda: os.symlink('x', place + '/link')):
        try:
            act()
            told.append(place)
        except OSError:
            pass
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
    try:
        socket.socket(family)
        told.append(str(family))
    except OSError:
        pass
"""
    assert await alone.told(code) == []


async def test_without_namespaces_benign_hooks_work(alone: Walled) -> None:
    code = """
import subprocess, sqlite3, tempfile, time, socket
subprocess.run(['git', 'init', '-q'], check=True)
subprocess.run(['git', 'add', '.'], check=True)
subprocess.run(['git', 'commit', '-q', '-m', 'x'], check=True)
subprocess.run(['sh', '-c', 'cat < README.md > copy; date > /dev/null; echo x | cat > /dev/null'], check=True)
sqlite3.connect('a.db').execute('create table t (x)')
with tempfile.NamedTemporaryFile() as file: file.write(b'x')
open('n\\u00e4me', 'w').close()
told = [os.cpu_count() > 0, time.tzname != (), os.path.isdir('.git')]
"""
    assert await alone.told(code) == [True, True, True]


DAEMON = """
import os, signal, sys, time
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(write, b'x')
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        os.closerange(0, 100)
        while True: time.sleep(600)
    os._exit(0)
os.read(read, 1)
"""


async def test_without_namespaces_a_daemon_of_a_hook_is_dead_when_the_create_is_done(alone: Walled) -> None:
    async with alone.open() as dynamo:
        await alone.home.add(dynamo, "daemon", post_gen_project=DAEMON)
        await dynamo.create_project("daemon", str(alone.home.outputs))
        (user,) = users(alone.home.path)
        assert not runs(user)
        alone.keep_bases()


MUCH = {
    "DYNAMO_MCP_OUTPUT_BYTES": "[open(str(n), 'wb').write(bytes(1 << 20)) for n in range(40)]",
    "DYNAMO_MCP_OUTPUT_FILES": "[open(str(n), 'wb').close() for n in range(4000)]",
}


@pytest.mark.parametrize("setting", MUCH)
async def test_without_namespaces_a_job_that_writes_too_much_is_ended_and_told(alone: Walled, setting: str) -> None:
    hook = f"import time\nprint('making much')\n{MUCH[setting]}\ntime.sleep(600)\n"
    async with alone.open(output_bytes=16 << 20, output_files=1000) as dynamo:
        await alone.home.add(dynamo, "much", post_gen_project=hook)
        await alone.home.add(dynamo, "little")
        with pytest.raises(RenderFailed, match="made more than it may") as raised:
            await dynamo.create_project("much", str(alone.home.outputs))
        assert setting in raised.value.hint
        assert (
            "while running the hook post_gen_project.py; the hook had printed:\n> making much" in raised.value.message
        )
        (user,) = users(alone.home.path)
        assert not runs(user)
        await dynamo.create_project("little", str(alone.home.outputs))
        alone.keep_bases()


async def test_more_files_than_a_project_may_have_are_nowhere_else_either(walled: Walled) -> None:
    hook = (
        "import os, time\n[os.symlink('x', os.environ['TMPDIR'] + '/%d' % n) for n in range(4000)]\ntime.sleep(600)\n"
    )
    async with walled.open(output_files=1000) as dynamo:
        await walled.home.add(dynamo, "much", post_gen_project=hook)
        with pytest.raises(RenderFailed, match="its temporary folder has more than 1000 files and folders") as raised:
            await dynamo.create_project("much", str(walled.home.outputs))
        assert "DYNAMO_MCP_OUTPUT_FILES" in raised.value.hint
        walled.keep_bases()


def serving(walled: Walled, *arguments: str, refusing: bool = False) -> subprocess.Popen[bytes]:
    """Start the program, as default Docker would."""
    before = [sys.executable, str(TESTS / "refusing.py")] if refusing else []
    environ = {
        **os.environ,
        **walled.environ,
        "DYNAMO_MCP_HOME": str(walled.home.path),
        "DYNAMO_MCP_PYTHON": str(walled.python),
    }
    return subprocess.Popen(
        [*before, sys.executable, "-m", "dynamo_mcp", *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def added(walled: Walled, hook: str) -> None:
    async with walled.open() as dynamo:
        await walled.home.add(dynamo, "killed", post_gen_project=hook)
        await made_once(dynamo, walled)


async def made_once(dynamo: Dynamo, walled: Walled) -> None:
    await walled.home.add(dynamo, "first")
    await dynamo.create_project("first", str(walled.home.outputs), {"slug": "first"})
    walled.keep_bases()


@pytest.mark.parametrize("worker_too", [False, True])
async def test_a_killed_server_leaves_no_process_of_its_jobs(walled: Walled, *, worker_too: bool) -> None:
    mark = f"left-{os.getpid()}-{walled.backend}-{worker_too}"
    await added(walled, WAITING.replace("MARK", mark))
    server = serving(walled, "create", "killed", "-o", str(walled.home.outputs))
    try:
        await until(lambda: marked(mark))
        numbers = users(walled.home.path)
        for worker in workers_of(walled.home.path) if worker_too else []:
            with suppress(ProcessLookupError):  # its namespace ends with the first of them
                os.kill(worker, signal.SIGKILL)
    finally:
        server.kill()
        server.communicate(timeout=SECONDS)
    await until(lambda: not marked(mark) and not runs(*numbers), 5)


async def test_what_survives_a_server_and_its_worker_is_ended_by_the_next_server(alone: Walled) -> None:
    await added(alone, DAEMON + "\nimport signal\nsignal.pause()\n")
    server = serving(alone, "create", "killed", "-o", str(alone.home.outputs))
    try:
        await until(lambda: len(users(alone.home.path)) > 0)
        (number,) = users(alone.home.path)
        await until(lambda: _without_parents(number) >= 2)  # the job, and the daemon that it has let go
    finally:
        # Frozen, neither of the two can bury anything before both are dead.
        workers = [worker for worker in workers_of(alone.home.path) if worker not in _of(number)]
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        server.kill()
        server.communicate(timeout=SECONDS)
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    assert runs(number)
    async with alone.open():
        assert not runs(number)


def _without_parents(number: int) -> int:
    """Count the processes of a user whose parents are of another."""
    parents = _of(number)
    return sum(parent not in parents for parent in parents.values())


def _of(number: int) -> dict[int, int]:
    """Return the processes of a user, each with its parent."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                status = (entry / "status").read_text("utf-8", "replace")
                if f"Uid:\t{number}\t" in status:
                    parents[int(entry.name)] = int(status.partition("PPid:\t")[2].partition("\n")[0])
    return parents


async def test_as_default_docker_root_creates_contained(alone: Walled) -> None:
    await added(alone, "print('ran')\n")
    alone.environ = {}  # bubblewrap is on PATH, and can't work
    server = serving(alone, "create", "killed", "-o", str(alone.home.outputs), refusing=True)
    said, _ = await anyio.to_thread.run_sync(lambda: server.communicate(timeout=SECONDS))
    assert server.returncode == 0, said.decode()
    assert "trust contained, confined at tier strong by user, no_new_privs" in said.decode()
