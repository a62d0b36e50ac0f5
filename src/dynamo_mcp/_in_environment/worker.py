"""The worker: runs in a template's own Python, warm, and renders one job at a time in a fork of itself.

It is started as `python -I -S -B worker.py --packages SITE_PACKAGES [--pid-namespace] [--user NUMBER]` and talks JSON,
a line each.

It expects on standard input:
    {"action": "create", "id", "template", "environment", "output", "temporary", "answers", "trust", "variables",
     "hooks", "hook_output_bytes", "message_bytes", "policy"}
        id: names the job.
        template: folder that holds `cookiecutter.json`; only read.
        environment: the template's own virtual environment, which the job enters; only read.
        output, temporary: folders that do not exist yet; the job writes nowhere else.
        answers: literal values for some of the template's variables.
        trust: "inert" renders in a sandboxed Jinja and runs no hooks; anything else renders and runs hooks.
        variables: `_template`, `_output_dir`, `_checkout` for the template to read.
        hooks: false leaves out those before and after the files; `pre_prompt` belongs to resolving, and runs.
        hook_output_bytes: of what one hook prints, as much is kept: the end.
        message_bytes: the length of the job's longest message.
        policy: what the job gives up before it touches the template (see `confine.py`); null for nothing.
        most: how much it may write, where no file system limits that (see `written.py`); null or left out otherwise.
    {"action": "inspect", …}
        the same fields: runs the template's `pre_prompt` hook on a copy, and tells what it left.
    {"action": "proceed", "id"} or {"action": "stop", "id"}
        the answer to "resolved".
    {"action": "clear", "paths"}
        removes what jobs have left.
    {"action": "ping"}

It results in, on standard output:
    {"event": "ready", "python", "cookiecutter"}         once, at the start
    {"event": "resolved", "id", "directory", "answers", "choices"}
        the project folder's name, every public answer, and what each choice offers
    {"event": "step", "id", "message"}
    {"event": "done", "id", "directory", "hooks", "seconds", "mechanisms"}
    {"event": "done", "id", "configuration", "names", "hooks", "seconds", "mechanisms"}
        of "inspect"; there is no "resolved" before it.
        configuration: the text of the `cookiecutter.json` that the hook left.
        names: those in the template's folder that hold `cookiecutter`, of which one may be the project folder's.
        mechanisms: what the job said that has confined it, before anything of the template and its packages ran.
    {"event": "failed", "id", "kind", "message", "hook", "output", "variable", "choices", "allowed", "always"}
        kind: "answers", "template", "render", "hook", "space", "stopped", "sandbox", "memory",
            "processes" or "died".
        variable: the one whose answer does not fit, for "answers"; choices: what it may be, where it is a choice;
            allowed: the same in words, where it is none.
        always: true where nothing that is answered mends it, for "template".
    {"event": "cleared"} or {"event": "odd", "message"}
    {"event": "pong"}

The worker itself never runs template code and never reads what a job wrote. With `--pid-namespace` it is process 1 of a
PID namespace, so that killing everything it sees leaves nothing of a job alive. With `--user` it is root, and its jobs
become that user, whom nobody else is.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if __name__ == "__main__":
    # An isolated interpreter leaves a script's own folder out of the path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    if "--packages" in sys.argv:
        sys.path.append(sys.argv[sys.argv.index("--packages") + 1])

# The interpreter finds the modules of this folder by its entry in `sys.path`, type checkers by the package.
if TYPE_CHECKING:
    from dynamo_mcp._in_environment import family, identity, job, memory, render, watching, written
else:
    import family
    import identity
    import job
    import memory
    import render
    import watching
    import written


EVENTS = ["resolved", "step", "done", "failed"]
PATIENCE = 2.0
"""Seconds that a job has to end after its last message."""
ROOTS: dict[str, int] = {}
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of the sandbox
FOR_ALL = 0o1777


def main() -> None:
    """Answer messages until standard input ends, or the server does."""
    alone = "--pid-namespace" in sys.argv[1:]
    user = int(sys.argv[sys.argv.index("--user") + 1]) if "--user" in sys.argv else None
    if not alone:
        family.adopt()
        signal.signal(signal.SIGTERM, stop)
        family.die_with_parent(signal.SIGTERM)
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Whatever prints by accident must not reach the protocol.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    preheat()
    if alone and user is not None:
        os.chmod(SHARED_MEMORY, FOR_ALL)
    if alone:
        ROOTS.update({root: os.stat(root).st_mode for root in ("/output", "/tmp", SHARED_MEMORY)})  # noqa: S108
    send(replies, {"event": "ready", "python": sys.version.split()[0], "cookiecutter": render.VERSION})
    for line in requests:
        message: dict[str, Any] = json.loads(line)
        if message["action"] == "ping":
            send(replies, {"event": "pong"})
        elif message["action"] == "clear":
            send(replies, clear(message["paths"], alone=alone))
        elif message["action"] in {"create", "inspect"}:
            send(replies, supervise(message, requests, replies, alone=alone, user=user))


def stop(*_: object) -> None:
    """End, and bury what runs: the server asks for it, or is dead."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and the burial is not interrupted
    raise SystemExit


def preheat() -> None:
    """Import and run once all that a job will need, then set it aside from the garbage collector: forks share it."""
    folder = tempfile.mkdtemp()
    render.rehearse(folder)
    shutil.rmtree(folder)
    job.prepare()
    gc.collect()
    gc.freeze()


def supervise(
    message: dict[str, Any], requests: BinaryIO, replies: BinaryIO, *, alone: bool, user: int | None
) -> dict[str, Any]:
    """Run one job in a fork, hand its messages on, and leave nothing of it alive.

    Returns:
        The job's last message.
    """
    message["readable"] = user is None or identity.readable(message["template"])
    from_job, to_worker = os.pipe()
    from_worker, to_job = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_job)
        os.close(to_job)
        job.run(message, from_worker, to_worker, alone=alone, user=user)
    status = 0
    try:
        os.close(to_worker)
        os.close(from_worker)
        with os.fdopen(from_job, "rb", buffering=0) as pipe, os.fdopen(to_job, "wb", buffering=0) as orders:
            messages = watching.Lines(pipe.fileno(), looks(message, alone=alone))
            last = follow(message, messages, orders, requests, replies)
    except watching.TooMuch as error:
        last = {**died(message["id"], str(error)), "kind": error.kind}
    finally:
        status = family.bury(child, alone=alone, user=user)
    if last.get("kind") == "died":
        last["message"] = family.obituary(status, last["message"])
    return last


def looks(message: dict[str, Any], *, alone: bool) -> list[Callable[[], None]]:
    """Return what is looked at while a job runs: only what nothing else limits."""
    found: list[Callable[[], None]] = []
    if message["policy"]:
        found.append(functools.partial(memory.look, message["policy"]["limits"], alone=alone))
    if message.get("most"):
        found.append(functools.partial(written.look, message["most"]))
    return found


def follow(
    asked: dict[str, Any], messages: watching.Lines, orders: BinaryIO, requests: BinaryIO, replies: BinaryIO
) -> dict[str, Any]:
    """Hand a job's messages on, one of each known shape at a time; what it writes is read as data, never as code.

    First it says what has confined it, which is believed there alone: by then nothing of the template has run.

    Returns:
        Its last message, or the `failed` one of a job that ended, or wrote nonsense.
    """
    identity = asked["id"]
    mechanisms: list[str] | None = None
    while line := messages.next(asked["message_bytes"]):
        try:
            said = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            said = None
        event = said.get("event") if isinstance(said, dict) else None
        if mechanisms is None and isinstance(said, dict) and event == "confined":
            mechanisms = said["mechanisms"]
            continue
        expected = EVENTS[-1:] if mechanisms is None else EVENTS
        if not isinstance(said, dict) or not isinstance(event, str) or event not in expected:
            return died(identity, "the job wrote something that is no message")
        said["id"] = identity
        if event in EVENTS[2:]:
            said["mechanisms"] = mechanisms or []
            # A job ends by itself now, which closes its pipe; one that stays, against the rules, is killed.
            messages.wait(PATIENCE)
            return said
        send(replies, said)
        if event == "resolved":
            order = json.loads(requests.readline() or b'{"action": "stop"}')
            with contextlib.suppress(BrokenPipeError):
                orders.write(b"1" if order["action"] == "proceed" else b"0")
    return died(identity, "the job ended without a word")


def died(identity: str, message: str) -> dict[str, Any]:
    """Compose the last message of a job that had none."""
    return {"event": "failed", "id": identity, "kind": "died", "message": message, "output": ""}


def clear(paths: list[str], *, alone: bool) -> dict[str, Any]:
    """Remove what jobs have written; links are removed, not followed."""
    if alone:  # then it is this sandbox's own, and every job may write to it
        paths = [*paths, *(os.path.join(SHARED_MEMORY, name) for name in os.listdir(SHARED_MEMORY))]
    odd = [root for root, mode in ROOTS.items() if alone and os.stat(root).st_mode != mode]
    if odd:
        return {"event": "odd", "message": "the mode of " + odd[0] + " was changed"}
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
        # One too deep for that is odd, and goes with the worker.
        with contextlib.suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            return {"event": "odd", "message": path + " can't be removed"}
    return {"event": "cleared"}


def send(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message."""
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


if __name__ == "__main__":
    main()
