"""A real renderer under the real bubblewrap: what a template can reach from in there, and what it leaves."""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.errors import DynamoError, HookFailed, RendererFailed, RenderFailed
from dynamo_mcp.progress import Step
from dynamo_mcp.sandbox.launch import Launch, bubblewrap, launched
from dynamo_mcp.sandbox.user import User
from homes import SLUG, Home, base_environments, processes_of, write_template

pytestmark = pytest.mark.anyio

SECRET = "SECRET_OF_THE_OPERATOR"  # noqa: S105 - nobody's


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def told_by_hook(home: Home, code: str, **settings: Any) -> Any:
    """Run code as a template's hook; return what it put into `told`."""
    hook = f"import json, os, sys\ntold = None\n{code}\nprint(json.dumps(told))\n"
    async with home.open(**settings) as dynamo:
        await home.add(dynamo, "asking", post_gen_project=hook)
        project = await dynamo.create_project("asking", str(home.outputs))
    assert (project.trust, project.tier) == ("contained", "strong")
    assert project.mechanisms[0] == "bubblewrap"
    return json.loads(project.hooks[0].output)


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


async def test_a_hook_reads_nothing_of_the_machine_that_it_does_not_need(home: Home, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    (home.path / "outputs").mkdir(exist_ok=True)
    (home.path / "outputs" / "elsewhere").write_text("another project")
    own = Path(pwd.getpwuid(os.getuid()).pw_dir)
    wanted = [
        "/etc/passwd",
        "/etc/shadow",
        str(own / ".bashrc"),
        str(own / ".profile"),
        str(tmp_path / "private"),
        str(home.path / "templates"),
        str(home.path / "templates" / "asking.json"),
        str(home.path / "projects"),
        str(home.path / "outputs" / "elsewhere"),
        str(home.path / "locks"),
        str(home.path / "scratch"),
        str(home.outputs),
        str(home.templates / "asking"),
        str(Path(__file__)),
        "/home",
        "/var/log",
        "/sys/kernel",
        "/run",
    ]
    told = await told_by_hook(home, f"{READING}\ntold = {{path: attempt(path) for path in {wanted!r}}}")
    assert {path: answer for path, answer in told.items() if not str(answer).startswith("no: ")} == {}


async def test_a_hook_reads_no_other_template_and_no_other_environment(home: Home) -> None:
    async with home.open() as dynamo:
        other = await home.add(dynamo, "other", {"secret.txt": "of another"})
    venvs = str(home.path / "venvs")
    code = f"{READING}\ntold = [attempt({str(other / 'secret.txt')!r}), attempt({venvs!r})]"
    assert await told_by_hook(home, code) == ["no: Permission denied"] * 2


async def test_a_hook_can_change_neither_its_template_nor_its_environment_nor_its_base(home: Home) -> None:
    async with home.open() as dynamo:
        checkout = await home.add(dynamo, "changed")
    code = f"""
import glob
told = []
venv = sys.prefix
places = [{str(checkout)!r}, {str(checkout / "cookiecutter.json")!r}, venv, venv + '/bin/python', sys.base_prefix]
places += ['/usr', '/']
for place in places:
    for act in (lambda p: open(p + ('/new' if os.path.isdir(p) else ''), 'a'), lambda p: os.chmod(p, 0o777),
                lambda p: os.utime(p), lambda p: os.rename(p, p + '-moved')):
        try:
            act(place)
            told.append(place)
        except OSError:
            pass
"""
    assert await told_by_hook(home, code) == []


async def test_a_hook_reaches_no_listener_of_this_machine(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = f"""
import socket
told = []
for family, kind, to in ((socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', {port})),
                         (socket.AF_INET6, socket.SOCK_STREAM, ('::1', {port})),
                         (socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', {port})),
                         (socket.AF_UNIX, socket.SOCK_STREAM, '/run/docker.sock')):
    try:
        with socket.socket(family, kind) as connection:
            connection.settimeout(5)
            connection.connect(to)
            told.append(str(to))
    except OSError:
        pass
"""
        assert await told_by_hook(home, code) == []


async def test_a_secret_in_the_operators_environment_is_not_in_a_hooks(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "hunter2")
    told = await told_by_hook(home, f"{READING}\ntold = [dict(os.environ), attempt('/proc/1/environ')]")
    assert SECRET not in json.dumps(told)
    assert "hunter2" not in json.dumps(told)
    assert "DYNAMO_MCP_HOME" not in told[0]
    assert told[0]["GIT_TERMINAL_PROMPT"] == "0"
    assert told[0]["VIRTUAL_ENV"].startswith(str(home.path / "venvs"))
    assert told[0]["PATH"].startswith(told[0]["VIRTUAL_ENV"] + "/bin:")


async def test_a_hook_sees_none_of_the_machines_processes(home: Home) -> None:
    told = await told_by_hook(home, "told = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())")
    assert told[0] == 1
    assert os.getpid() not in told or os.getpid() < 10
    assert len(told) <= 5  # the worker, its supervisor, the job, what forks for hooks, the hook


async def test_a_daemon_of_a_hook_is_dead_when_the_create_is_done(home: Home) -> None:
    marker = f"daemon-{os.getpid()}-of-a-hook"
    hook = (
        "import os, sys\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.set_inheritable(write, True)\n"
        f"        code = 'import os, time; os.write(%d, b\"x\"); time.sleep(600) # {marker}' % write\n"
        "        os.execv(sys.executable, [sys.executable, '-c', code])\n"
        "    os._exit(0)\n"
        "assert os.read(read, 1) == b'x'\n"
    )
    async with home.open() as dynamo:
        await home.add(dynamo, "daemon", post_gen_project=hook)
        await dynamo.create_project("daemon", str(home.outputs))
        running = [
            entry.name
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _says(entry / "cmdline", marker.encode())
        ]
    assert running == []


def _says(path: Path, text: bytes) -> bool:
    try:
        return text in path.read_bytes()
    except OSError:
        return False


async def test_what_a_job_writes_goes_to_size_limited_file_systems_in_memory(home: Home) -> None:
    code = """
told = {}
for line in open('/proc/self/mounts'):
    _, where, kind, options, *_ = line.split()
    told[where] = [kind, options]
told['own'] = os.getcwd()[1:]  # whole, it would be told as the project's own place
told['temporary'] = os.environ['TMPDIR']
told['bytes'] = [os.statvfs(p).f_blocks * os.statvfs(p).f_frsize for p in ('/output', '/tmp')]
"""
    told = await told_by_hook(home, code, output_bytes=8 << 20)
    assert told["/output"][0] == told["/tmp"][0] == "tmpfs"  # noqa: S108 - inside the sandbox
    assert told["bytes"] == [8 << 20, 64 << 20]
    assert told["own"].startswith("output/")
    assert told["temporary"].startswith("/tmp/")  # noqa: S108
    writable = {where for where, value in told.items() if where.startswith("/") and "rw" in value[1].split(",")}
    places = ("/proc", "/dev", "/output", "/tmp")  # noqa: S108
    assert {where for where in writable if not where.startswith(places)} == set()


async def test_an_output_that_is_full_is_said_clearly_and_the_next_create_works(home: Home) -> None:
    hook = "with open('large', 'wb') as file:\n    for _ in range(12):\n        file.write(bytes(1 << 20))\n"
    async with home.open(output_bytes=8 << 20) as dynamo:
        await home.add(dynamo, "large", post_gen_project=hook)
        await home.add(dynamo, "large-file", {f"{SLUG}/large.bin": bytes(12 << 20)})
        await home.add(dynamo, "small")
        with pytest.raises(HookFailed, match="No space left on device"):
            await dynamo.create_project("large", str(home.outputs))
        assert home.made == []
        await dynamo.create_project("small", str(home.outputs), {"slug": "between"})
        with pytest.raises(RenderFailed, match="No space left on device") as raised:
            await dynamo.create_project("large-file", str(home.outputs))
        assert "DYNAMO_MCP_OUTPUT_BYTES" in raised.value.hint
        await dynamo.create_project("small", str(home.outputs), {"slug": "after"})
    assert home.made == ["after", "between"]


async def test_what_one_job_leaves_in_shared_memory_no_other_job_finds(home: Home) -> None:
    leaving = "import pathlib\npathlib.Path('/dev/shm/left').write_text('answers of another template')\n"
    finding = "import os\nprint(os.listdir('/dev/shm'))\n"
    async with home.open() as dynamo:
        await home.add(dynamo, "leaving", post_gen_project=leaving)
        await home.add(dynamo, "finding", post_gen_project=finding)
        await dynamo.create_project("leaving", str(home.outputs), {"slug": "one"})
        project = await dynamo.create_project("finding", str(home.outputs), {"slug": "two"})
    assert project.hooks[0].output == "[]\n"


async def test_shared_memory_has_a_limit(home: Home) -> None:
    told = await told_by_hook(home, "s = os.statvfs('/dev/shm')\ntold = s.f_blocks * s.f_frsize")
    assert told <= 256 << 20


FORGING = """
from jinja2.ext import Extension
import json, os, signal, stat


def send(message):
    for descriptor in range(3, 40):
        try:
            flags = [line for line in open('/proc/self/fdinfo/%d' % descriptor) if line.startswith('flags')][0]
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and int(flags.split()[1], 8) & 1:
                os.write(descriptor, json.dumps(message).encode() + bytes([10]))
        except OSError:
            pass


class Ours(Extension):
    def __init__(self, environment):
        super().__init__(environment)
        output = OUTPUT
        os.chdir(output)
        CODE
        for event in ('resolved', 'done'):
            send({'event': event, 'directory': DIRECTORY, 'answers': {}, 'hooks': [], 'seconds': {}, 'mechanisms': []})
        signal.pause()
"""


async def forge(home: Home, name: str, code: str, directory: str, **options: Any) -> str:
    """Create from a template whose own code says what it likes about what it made; return how it ended."""
    lines = "\n        ".join(code.strip().splitlines())
    module = FORGING.replace("CODE", lines).replace("DIRECTORY", directory)
    module = module.replace("OUTPUT", "'/output/' + os.path.basename(os.environ['TMPDIR'])")
    async with home.open() as dynamo:
        folder = write_template(
            home.templates / name, {"forging.py": module}, configuration={"slug": "s", "_extensions": ["forging.Ours"]}
        )
        await dynamo.add_template(str(folder), name=name)
        try:
            project = await dynamo.create_project(name, str(home.outputs), **options)
        except DynamoError as error:
            return f"{type(error).__name__}: {error.message}"
    return f"made {project.path}"


async def test_a_job_that_lies_about_its_folder_makes_the_server_read_nothing_of_this_machine(home: Home) -> None:
    private = home.root / "private"
    private.mkdir()
    (private / "keys").mkdir()
    (private / "keys" / "id_rsa").write_text("a secret of the operator")
    # An earlier project of this name is all that is needed for the path to lead somewhere on both sides.
    (home.outputs / "earlier").mkdir()
    ended = await forge(home, "forging", f"os.symlink({str(private)!r}, 'earlier')", "'earlier/keys'")
    leaked = [path for path in home.outputs.rglob("*") if path.is_file() and "secret" in path.read_text()]
    assert leaked == [], ended


async def test_a_job_that_lies_about_its_folder_makes_the_server_write_nowhere_else(home: Home) -> None:
    # `earlier/../..` is the output folder's parent out here, and the job's own output folder in there.
    (home.outputs / "earlier").mkdir()
    code = "os.makedirs('a/b')\nos.symlink('a/b', 'earlier')\nos.mkdir('planted')\nopen('planted/file', 'w').close()"
    ended = await forge(home, "forging", code, "'earlier/../../planted'")
    assert not (home.root / "planted").exists(), ended


@pytest.mark.parametrize(("number", "ended"), [(100, "made"), (1000, "RendererFailed")])
async def test_steps_of_a_job_are_plain_and_not_without_end(home: Home, number: int, ended: str) -> None:
    steps: list[str] = []

    async def sink(step: Step) -> None:
        steps.append(step.message)

    code = (
        "os.mkdir('s')\n"
        f"for _ in range({number}): send({{'event': 'step', 'message': chr(27) + ']0;owned' + chr(7) + 'x' * 1000}})"
    )
    assert (await forge(home, "forging", code, "'s'", sink=sink)).startswith(ended)
    assert len(steps) < 250
    # The job itself says what it does, too.
    assert min(number, 190) <= len([message for message in steps if message.startswith("]0;owned")]) <= 200
    assert all(message.isprintable() and len(message) <= 200 for message in steps)


@pytest.mark.parametrize("directory", ["..", ".", "", "a/b", "/etc", "../x", "a\0b", "a\nb", "x" * 300])
async def test_a_folder_name_that_is_none_is_refused_whoever_says_it(home: Home, directory: str) -> None:
    ended = await forge(home, "forging", "os.makedirs('a/b')", repr(directory))
    assert not ended.startswith("made"), ended
    assert home.made == []


async def test_nothing_runs_any_more_when_the_home_is_closed(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs))
        assert processes_of(home.path) != []
    assert processes_of(home.path) == []
    assert list((home.path / "scratch").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_user_whom_the_kernel_does_not_take_is_told_with_what_bubblewrap_said(home: Home) -> None:
    room = home.root / "room"
    room.mkdir()
    nobody_at_all = User((1 << 32) - 1, os.open(os.devnull, os.O_RDONLY))
    settings = home.settings()
    launch = Launch(Path(sys.executable), room, (), room, bubblewrap(settings), ("", ""), user=nobody_at_all)
    try:
        with pytest.raises(RendererFailed, match=r"Invalid argument.*; it said: nothing"):
            async with launched(launch, settings):
                pass
    finally:
        os.close(nobody_at_all.lock)
    assert processes_of(room) == []
