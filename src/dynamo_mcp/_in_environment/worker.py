"""The worker: runs in a template's own Python, warm, and renders one job at a time in a fork of itself.

It is started as `python -I -B worker.py [--pid-namespace]` and talks JSON, a message a line.

It expects on standard input:
    {"action": "create", "id", "template", "environment", "output", "temporary", "answers", "trust", "variables",
     "policy"}
        id: names the job.
        template: folder that holds `cookiecutter.json`; only read.
        environment: the template's own virtual environment, which the job enters; only read.
        output, temporary: folders that do not exist yet; the job writes nowhere else.
        answers: literal values for some of the template's variables.
        trust: "inert" renders in a sandboxed Jinja and runs no hooks; anything else renders and runs hooks.
        variables: `_template`, `_output_dir`, `_checkout` for the template to read.
        policy: what the job gives up before it touches the template (see `confine.py`); null for nothing.
    {"action": "proceed", "id"} or {"action": "stop", "id"}
        the answer to "resolved".
    {"action": "clear", "paths"}
        removes what jobs have left.

It results in, on standard output:
    {"event": "ready", "python", "cookiecutter"}         once, at the start
    {"event": "resolved", "id", "directory", "answers"}  the project folder's name and every public answer
    {"event": "step", "id", "message"}
    {"event": "done", "id", "directory", "hooks", "seconds", "mechanisms"}
    {"event": "failed", "id", "kind", "message", "hook", "output"}
        kind: "answers", "template", "render", "hook", "stopped", "sandbox" or "died".
    {"event": "cleared"} or {"event": "odd", "message"}

The worker itself never runs template code and never reads what a job wrote. With `--pid-namespace` it is process 1 of a
PID namespace, so that killing everything it sees leaves nothing of a job alive.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if __name__ == "__main__":
    # An isolated interpreter leaves a script's own folder out of the path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))

# The interpreter finds the modules of this folder by its entry in `sys.path`, type checkers by the package.
if TYPE_CHECKING:
    from dynamo_mcp._in_environment import job, render
else:
    import job
    import render


def main() -> None:
    """Answer messages until standard input ends."""
    alone = "--pid-namespace" in sys.argv[1:]
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Whatever prints by accident must not reach the protocol.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    preheat()
    send(replies, {"event": "ready", "python": sys.version.split()[0], "cookiecutter": render.VERSION})
    for line in requests:
        message: dict[str, Any] = json.loads(line)
        if message["action"] == "clear":
            send(replies, clear(message["paths"]))
        elif message["action"] == "create":
            send(replies, supervise(message, requests, replies, alone=alone))


def preheat() -> None:
    """Import and run once all that a job will need, then set it aside from the garbage collector: forks share it."""
    folder = tempfile.mkdtemp()
    render.rehearse(folder)
    shutil.rmtree(folder)
    job.prepare()
    gc.collect()
    gc.freeze()


def supervise(message: dict[str, Any], requests: BinaryIO, replies: BinaryIO, *, alone: bool) -> dict[str, Any]:
    """Run one job in a fork, hand its messages on, and leave nothing of it alive.

    Returns:
        The job's last message.
    """
    from_job, to_worker = os.pipe()
    from_worker, to_job = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_job)
        os.close(to_job)
        if not alone:
            os.setsid()
        job.run(message, from_worker, to_worker)
    os.close(to_worker)
    os.close(from_worker)
    last: dict[str, Any] = {"event": "failed", "kind": "died", "message": "the job ended without a word"}
    # What comes out of a job is read as a message, never as code, and only its known shapes are handed on.
    with os.fdopen(from_job, "rb") as messages, os.fdopen(to_job, "wb", buffering=0) as orders:
        for line in messages:
            try:
                said = json.loads(line)
                event = said["event"]
            except (ValueError, KeyError, TypeError):
                last = {"event": "failed", "kind": "died", "message": "the job wrote something that is no message"}
                break
            said["id"] = message["id"]
            if event == "resolved":
                send(replies, said)
                order = json.loads(requests.readline() or b'{"action": "stop"}')
                orders.write(b"1" if order["action"] == "proceed" else b"0")
            elif event == "step":
                send(replies, said)
            elif event in {"done", "failed"}:
                last = said
                break
    status = bury(child, alone=alone)
    last["id"] = message["id"]
    if last.get("kind") == "died":
        last["message"] = obituary(status, last["message"])
        last["output"] = ""
    return last


def bury(child: int, *, alone: bool) -> int:
    """Kill the job and all its descendants, and reap them.

    Returns:
        How the job itself ended, as `os.waitpid` tells it; 0 when it had to be killed after its last message.
    """
    status = 0
    with contextlib.suppress(ChildProcessError):
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            status = 0
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if alone:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, how = os.waitpid(-1 if alone else child, 0)
            if ended == child and os.WIFSIGNALED(how) and os.WTERMSIG(how) != signal.SIGKILL:
                status = how
    return status


def obituary(status: int, otherwise: str) -> str:
    """Say how a job died."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        meaning = {signal.SIGXCPU: " (it used more processor seconds than it may)", signal.SIGSYS: " (forbidden call)"}
        return "the job was ended by " + signal.Signals(number).name + meaning.get(signal.Signals(number), "")
    return otherwise


def clear(paths: list[str]) -> dict[str, Any]:
    """Remove folders that jobs have written; links are removed, not followed."""
    for path in paths:
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
