"""The protocol of the worker: every event, and what a job that misbehaves does to it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cookiecutter
import pytest

from in_environment.workers import CODE, SECONDS, Worker, started, tree, write_template
from people import ONLY_ROOT

NOBODYS = 61_900
"""A user whom nobody is."""
SLUG = "{{cookiecutter.slug}}"


def template(folder: Path, **files: str) -> Path:
    return write_template(folder / "template", {f"{SLUG}/file.txt": "{{cookiecutter.slug}}", **files}, {"slug": "made"})


def with_extension(folder: Path, code: str) -> Path:
    """Write a template whose own extension runs code in the job itself, when it is first rendered with."""
    module = (
        "from jinja2.ext import Extension\nimport os, json, signal, socket, stat, time\n"
        "class Ours(Extension):\n    def __init__(self, environment):\n        super().__init__(environment)\n"
    )
    module += "".join(f"        {line}\n" for line in code.strip().splitlines())
    files: dict[str, str | bytes] = {f"{SLUG}/file.txt": "x", "ours.py": module}
    return write_template(folder / "template", files, {"slug": "made", "_extensions": ["ours.Ours"]})


def alive(identity: int) -> bool:
    try:
        status = Path(f"/proc/{identity}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def wait_until_gone(identity: int) -> None:
    deadline = time.monotonic() + SECONDS
    while alive(identity):
        assert time.monotonic() < deadline, f"process {identity} still runs"
        os.sched_yield()


def wait_until_there(path: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} is not there"
        os.sched_yield()


def waiting(folder: Path) -> tuple[str, Path]:
    """Return a hook that tells its number in a file, and waits."""
    pid = folder / "pid"
    hook = f"import os, time\nopen({str(pid)!r} + '.new', 'w').write(str(os.getpid()))\n"
    return hook + f"os.rename({str(pid)!r} + '.new', {str(pid)!r})\ntime.sleep(600)\n", pid


def write_end(what: str) -> str:
    """Return code that sends a line to the worker by the job's own pipe."""
    return f"""
for descriptor in range(3, 40):
    try:
        kind = os.readlink('/proc/self/fd/%d' % descriptor)
        lines = open('/proc/self/fdinfo/%d' % descriptor).read().splitlines()
        writable = int([line for line in lines if line.startswith('flags')][0].split()[1], 8) & 1
        if kind.startswith('pipe:') and writable:
            os.write(descriptor, {what!r})
    except OSError:
        pass
"""


def test_a_worker_says_once_which_python_and_which_cookiecutter_it_has(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-B", CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(os.environ),
        cwd=tmp_path,
    ) as process:
        said, _ = process.communicate(b"", timeout=SECONDS)
    assert process.returncode == 0
    assert [json.loads(line) for line in said.splitlines()] == [
        {"event": "ready", "python": sys.version.split()[0], "cookiecutter": cookiecutter.__version__}
    ]


def test_a_job_is_told_as_resolved_then_steps_then_done(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(template(tmp_path, **{"hooks/post_gen_project.py": "print('hooked')"}), {"slug": "chosen"})
    assert [message["event"] for message in made.messages] == ["step", "resolved", "step", "step", "done"]
    assert made.resolved["directory"] == "chosen"
    assert made.resolved["answers"] == {"slug": "chosen"}
    assert made.steps == ["computing the answers", "rendering files", "running the hook post_gen_project.py"]
    assert made.last["directory"] == "chosen"
    assert made.last["mechanisms"] == []
    assert [(run["hook"], run["output"]) for run in made.last["hooks"]] == [("post_gen_project.py", "hooked\n")]
    assert set(made.last["seconds"]) == {"resolve", "render"}
    assert made.read("file.txt") == "chosen"


def test_a_job_that_is_told_to_stop_makes_nothing_and_runs_no_hook(worker: Worker, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    hook = f"open({str(flag)!r}, 'w')"
    made = worker.create(template(tmp_path, **{"hooks/pre_gen_project.py": hook}), order="stop")
    assert [message["event"] for message in made.messages] == ["step", "resolved", "failed"]
    assert made.last["kind"] == "stopped"
    assert tree(made.output) == {}
    assert not flag.exists()


def test_what_jobs_left_is_removed_on_demand_and_links_are_not_followed(worker: Worker, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    made = worker.create(
        template(tmp_path, **{"hooks/post_gen_project.py": f"import os; os.symlink({str(kept)!r}, 'l')"})
    )
    assert (made.project / "l").is_symlink()
    worker.tell({"action": "clear", "paths": [str(made.output), str(made.temporary), str(tmp_path / "never-there")]})
    assert worker.hear() == {"event": "cleared"}
    assert not made.output.exists()
    assert not made.temporary.exists()
    assert (kept / "file").read_text() == "kept"


@ONLY_ROOT
def test_a_template_that_is_known_to_be_for_all_is_not_looked_through(tmp_path: Path) -> None:
    folder = template(tmp_path)
    with started(tmp_path / "room", "--user", str(NOBODYS)) as own:
        for mode, known, told in ((0o755, None, {"readable": True}), (0o700, None, {"readable": False}), (0, True, {})):
            folder.chmod(mode)
            own.create(folder, readable=known)
            own.tell({"action": "clear", "paths": []})
            assert own.hear() == {"event": "cleared", **told}


def test_what_cannot_be_removed_is_said(worker: Worker) -> None:
    worker.tell({"action": "clear", "paths": ["/proc/self"]})
    said = worker.hear()
    assert said["event"] == "odd"
    assert "/proc/self" in said["message"]


def test_a_worker_serves_one_template_after_the_other_and_mixes_nothing(worker: Worker, tmp_path: Path) -> None:
    for name in ("one", "two"):
        module = (
            "from cookiecutter.utils import simple_filter\n@simple_filter\ndef same(text):\n"
            f"    return text + '-{name}'\n"
        )
        folder = write_template(
            tmp_path / name,
            {"shared_module.py": module, f"{SLUG}/file": "{{ 'x'|same }}"},
            {"slug": "s", "_extensions": ["shared_module.same"]},
        )
        assert worker.create(folder).read("file") == f"x-{name}"


def test_nothing_that_a_job_was_told_is_in_the_memory_of_a_later_one(worker: Worker, tmp_path: Path) -> None:
    code = """
import re
found = set()
with open('/proc/self/mem', 'rb', buffering=0) as memory:
    for line in open('/proc/self/maps'):
        begin, end = (int(word, 16) for word in line.split()[0].split('-'))
        if line.split()[1].startswith('rw'):
            memory.seek(begin)
            found.update(re.findall(b'canary' + b'-[0-9a-f]{32}', memory.read(end - begin)))
environment.globals['found'] = b' '.join(sorted(found)).decode()
"""
    told, own = (f"canary-{secrets.token_hex(16)}" for _ in range(2))
    assert worker.create(template(tmp_path / "first"), {"slug": told}).event == "done"
    folder = with_extension(tmp_path, code)
    (folder / SLUG / "file.txt").write_text("{{ found }}")
    assert worker.create(folder, {"slug": own}).read("file.txt") == own


def test_the_process_of_a_job_waits_before_the_job_is_known_and_ends_with_its_worker(tmp_path: Path) -> None:
    with started(tmp_path) as own:
        own.tell({"action": "ping"})
        assert own.hear() == {"event": "pong"}
        waiting = children(own.supervisor)
        assert len(waiting) == 1
        assert own.create(template(tmp_path)).event == "done"
        assert not alive(waiting[0])
        own.tell({"action": "clear", "paths": []})
        assert own.hear() == {"event": "cleared"}
        own.forget()
        own.tell({"action": "ping"})
        assert own.hear() == {"event": "pong"}
        next_one = children(own.supervisor)
        assert len(next_one) == 1
    wait_until_gone(next_one[0])


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_a_second_job_without_an_end_of_the_first_is_refused(tmp_path: Path) -> None:
    with started(tmp_path / "room") as own:
        assert own.create(template(tmp_path)).event == "done"
        own.forget()
        own.begin(template(tmp_path))
        assert own.hear() == {"event": "odd", "message": "the last job was not cleared"}
        own.tell({"action": "clear", "paths": []})
        assert own.hear() == {"event": "cleared"}
        own.tell({"action": "ping"})
        assert own.hear() == {"event": "pong"}


def test_a_job_has_no_descriptor_of_the_worker_but_its_own_two_pipes(worker: Worker, tmp_path: Path) -> None:
    code = """
found = {}
for name in os.listdir('/proc/self/fd'):
    try:
        found[int(name)] = os.readlink('/proc/self/fd/' + name)
    except OSError:
        pass
environment.globals['descriptors'] = json.dumps(found)
"""
    folder = with_extension(tmp_path, code)
    (folder / SLUG / "file.txt").write_text("{{ descriptors }}")
    made = worker.create(folder)
    found = {int(number): where for number, where in json.loads(made.read("file.txt")).items()}
    assert found.pop(0) == "/dev/null"
    assert found.pop(1) == found.pop(2) == str(made.temporary / ".printed")
    # Besides what a measurement of the tests may hold open.
    pipes = [where for where in found.values() if where.startswith("pipe:")]
    assert len(pipes) == 2
    assert not any("socket:" in where or str(worker.room / "log") in where for where in found.values())


def test_what_an_extension_prints_does_not_reach_the_protocol(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(with_extension(tmp_path, "print('{\"event\": \"done\"}', flush=True)\nos.system('echo lost')"))
    assert made.event == "done"
    assert "lost" in (made.temporary / ".printed").read_text()


def test_a_job_that_kills_itself_is_told_as_dead_and_the_next_one_works(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(with_extension(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert made.event == "failed"
    assert made.last["kind"] == "died"
    assert made.message
    assert worker.create(template(tmp_path / "next")).event == "done"


def test_the_signal_that_ended_a_job_is_named(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(with_extension(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)"))
    assert made.last["kind"] == "died"
    assert "SIGSEGV" in made.message


def test_a_job_that_uses_too_much_processor_time_is_ended_and_told_so(worker: Worker, tmp_path: Path) -> None:
    code = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    made = worker.create(with_extension(tmp_path, code))
    assert made.last["kind"] == "died"
    assert "SIGXCPU" in made.message
    assert "processor seconds" in made.message
    assert worker.create(template(tmp_path / "next")).event == "done"


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\xff\xfe\x00\n",
        b"\n",
        b"7\n",
        b"[]\n",
        b"{}\n",
        b'{"event": 7}\n',
        b'{"event": ["done"]}\n',
        b'{"event": {}}\n',
        b'{"event": null}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=["text", "bytes", "empty", "number", "list", "object", "event-7", "event-list", "event-object", "null", "deep"],
)
def test_garbage_from_a_job_neither_confuses_nor_ends_the_worker(worker: Worker, tmp_path: Path, line: bytes) -> None:
    made = worker.create(with_extension(tmp_path, write_end("LINE").replace("'LINE'", repr(line))))
    assert made.event in {"done", "failed"}
    assert worker.create(template(tmp_path / "next")).event == "done"


def test_garbage_on_every_descriptor_leaves_the_worker_as_it_was(worker: Worker, tmp_path: Path) -> None:
    code = """
for descriptor in range(3, 21):
    try:
        os.write(descriptor, b'garbage on %d' % descriptor + b'!' * 5000 + bytes([10]))
    except OSError:
        pass
"""
    made = worker.create(with_extension(tmp_path, code))
    assert made.event == "failed"
    assert made.last["kind"] == "died"
    assert worker.create(template(tmp_path / "next")).event == "done"


def test_a_message_without_end_does_not_fill_the_memory_of_the_worker(worker: Worker, tmp_path: Path) -> None:
    megabytes = 200
    code = (
        write_end("LINE")
        .replace("'LINE'", "b'x' * (1 << 20)")
        .replace("os.write(", f"[os.write(descriptor, b'x' * (1 << 16)) for _ in range({megabytes} * 16)]; os.write(")
    )
    made = worker.create(with_extension(tmp_path, code))
    assert made.event == "failed"
    status = Path(f"/proc/{worker.supervisor}/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10
    assert peak < megabytes, f"the worker used {peak} MiB for one message of a job"


def test_a_job_that_dies_before_it_may_proceed_is_told_as_dead_and_the_next_one_works(
    worker: Worker, tmp_path: Path
) -> None:
    code = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nsignal.setitimer(signal.ITIMER_REAL, 0.5)"
    asked = worker.begin(with_extension(tmp_path, code))
    assert [worker.hear()["event"], worker.hear()["event"]] == ["step", "resolved"]
    wait_until_gone(int((tmp_path / "pid").read_text()))
    worker.tell({"action": "proceed", "id": asked["id"]})
    last = worker.hear()
    assert (last["event"], last["kind"]) == ("failed", "died")
    assert worker.create(template(tmp_path / "next")).event == "done"


def test_a_child_that_a_job_left_running_is_dead_when_the_job_is_told_as_done(worker: Worker, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hook = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
    )
    made = worker.create(template(tmp_path, **{"hooks/post_gen_project.py": hook}))
    assert made.event == "done"
    wait_until_gone(int(pid.read_text()))


def test_a_daemon_that_a_job_left_running_is_dead_when_the_job_is_told_as_done(worker: Worker, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hook = (
        "import os, time\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "        os.close(write)\n"
        "        os.closerange(0, 3)\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.close(write)\n"
        "os.read(read, 1) \n"
    ).replace("        os.close(write)\n", "        os.write(write, b'x')\n")
    made = worker.create(template(tmp_path, **{"hooks/post_gen_project.py": hook}))
    assert made.event == "done"
    daemon = int(pid.read_text())
    try:
        # A killed process needs a moment to end; one that nobody has killed never does.
        deadline = time.monotonic() + 5
        while alive(daemon) and time.monotonic() < deadline:
            os.sched_yield()
        assert not alive(daemon)
    finally:
        with suppress(ProcessLookupError):
            os.kill(daemon, signal.SIGKILL)


def test_a_worker_that_is_killed_takes_its_job_with_it(tmp_path: Path) -> None:
    hook, pid = waiting(tmp_path)
    folder = template(tmp_path, **{"hooks/post_gen_project.py": hook})
    with started(tmp_path / "room") as own:
        asked = own.begin(folder)
        assert [own.hear()["event"], own.hear()["event"]] == ["step", "resolved"]
        own.tell({"action": "proceed", "id": asked["id"]})
        wait_until_there(pid)
        own.process.kill()
        own.process.wait(SECONDS)
        running = int(pid.read_text())
        try:
            deadline = time.monotonic() + 5
            while alive(running) and time.monotonic() < deadline:
                os.sched_yield()
            assert not alive(running)
        finally:
            with suppress(ProcessLookupError):
                os.kill(running, signal.SIGKILL)


def test_what_a_job_says_has_confined_it_is_believed_only_before_the_template_runs(
    worker: Worker, tmp_path: Path
) -> None:
    lie = json.dumps({"event": "done", "directory": "made", "hooks": [], "seconds": {}, "mechanisms": ["a lie"]})
    late = json.dumps({"event": "confined", "mechanisms": ["a lie"]})
    send = write_end("LINE")
    told = worker.create(with_extension(tmp_path / "a", send.replace("'LINE'", repr(lie.encode() + b"\n"))))
    assert (told.event, told.last["mechanisms"]) == ("done", [])
    told = worker.create(with_extension(tmp_path / "b", send.replace("'LINE'", repr(late.encode() + b"\n"))))
    assert (told.event, told.last["kind"]) == ("failed", "died")
    assert "mechanisms" not in told.last or told.last["mechanisms"] == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_with_its_supervisor_a_worker_and_its_job_end(tmp_path: Path, name: str) -> None:
    hook, pid = waiting(tmp_path)
    with started(tmp_path / "room") as own:
        asked = own.begin(template(tmp_path, **{"hooks/post_gen_project.py": hook}))
        assert [own.hear()["event"], own.hear()["event"]] == ["step", "resolved"]
        own.tell({"action": "proceed", "id": asked["id"]})
        wait_until_there(pid)
        os.kill(own.supervisor, getattr(signal, name))
        own.process.wait(SECONDS)
        wait_until_gone(int(pid.read_text()))


def test_a_worker_that_is_asked_to_end_has_buried_its_job_when_it_does(tmp_path: Path) -> None:
    hook, pid = waiting(tmp_path)
    with started(tmp_path / "room") as own:
        asked = own.begin(template(tmp_path, **{"hooks/post_gen_project.py": f"import os; os.setsid()\n{hook}"}))
        assert [own.hear()["event"], own.hear()["event"]] == ["step", "resolved"]
        own.tell({"action": "proceed", "id": asked["id"]})
        wait_until_there(pid)
        own.process.terminate()
        own.process.wait(SECONDS)
        assert not alive(int(pid.read_text()))
