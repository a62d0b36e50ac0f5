"""Who sees to one job? A fork of the worker, which hears what is asked, and ends with all that it has heard.

What one job was told is therefore in no process that a later one is forked from: the worker itself reads no message.
The job is forked before anything is heard, and waits to be told. Of its descendants nothing gets away, since whatever
they leave behind becomes this process's own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import family, identity, job, memory, watching, written
else:
    import family
    import identity
    import job
    import memory
    import watching
    import written

ENDED, FAILED, ANOTHER = 0, 1, 2
"""Exit codes: standard input has ended, or the worker; something is wrong; a fork may see to the next job."""
EVENTS = ["resolved", "step", "done", "failed"]
PATIENCE = 2.0
"""Seconds that a job has to end after its last message."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of the sandbox


class Worker(NamedTuple):
    """What the worker hands on.

    Attributes:
        number: Of its process.
        requests: Descriptor of its standard input.
        replies: Descriptor of its standard output.
        alone: It is process 1 of a PID namespace.
        user: Whom jobs become; None where they stay who it is.
        roots: Modes that folders had before any job.
    """

    number: int
    requests: int
    replies: int
    alone: bool
    user: int | None
    roots: dict[str, int]


def run(worker: Worker) -> NoReturn:
    """See to one job and end the process; called in the fork."""
    code = FAILED
    try:
        family.adopt()
        if not worker.alone:
            signal.signal(signal.SIGTERM, stop)
            family.die_with_parent(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        family.end_without(worker.number)
        code = serve(worker)
    except SystemExit:
        code = ENDED
    except BaseException:  # noqa: BLE001 - the process ends here
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def stop(*_: object) -> None:
    """End, and bury what runs: the server asks for it, or is dead."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and the burial is not interrupted
    raise SystemExit


def serve(worker: Worker) -> int:
    """Answer messages up to the one that clears what a job has left.

    Returns:
        How to end.
    """
    waiting: Waiting | None = begin(worker)
    known: dict[str, bool] = {}
    # It may read ahead: until it has said "cleared", nothing is asked of the next one.
    with os.fdopen(worker.requests, "rb", closefd=False) as requests:
        for line in requests:
            message: dict[str, Any] = json.loads(line)
            if message["action"] == "ping":
                job.say(worker.replies, {"event": "pong"})
            elif message["action"] == "clear":
                job.say(worker.replies, {**known, **clear(worker, message["paths"])})
                return ANOTHER
            elif waiting is None:
                job.say(worker.replies, {"event": "odd", "message": "the last job was not cleared"})
            else:
                if worker.user is not None and message.get("readable") is None:
                    message["readable"] = known["readable"] = identity.readable(message["template"])
                job.say(worker.replies, supervise(worker, waiting, message, requests))
                waiting = None
    return ENDED


class Waiting(NamedTuple):
    """A job that waits to be told what it is.

    Attributes:
        child: Its process.
        replies: Descriptor that its messages are read from.
        orders: Descriptor that it is told by.
    """

    child: int
    replies: int
    orders: int


def begin(worker: Worker) -> Waiting:
    """Fork the job before it is known: nobody waits for a fork, and it holds nothing that a caller said."""
    from_job, to_worker = os.pipe()
    from_worker, to_job = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_job)
        os.close(to_job)
        job.run(from_worker, to_worker, alone=worker.alone, user=worker.user)
    os.close(to_worker)
    os.close(from_worker)
    return Waiting(child, from_job, to_job)


def supervise(worker: Worker, waiting: Waiting, message: dict[str, Any], requests: BinaryIO) -> dict[str, Any]:
    """Tell a job what it is, hand its messages on, and leave nothing of it alive.

    Returns:
        The job's last message.
    """
    status = 0
    try:
        with (
            os.fdopen(waiting.replies, "rb", buffering=0) as pipe,
            os.fdopen(waiting.orders, "wb", buffering=0) as orders,
        ):
            with contextlib.suppress(BrokenPipeError):
                job.say(orders.fileno(), message)
            messages = watching.Lines(pipe.fileno(), looks(worker, message))
            last = follow(message, messages, orders, requests, worker.replies)
    except watching.TooMuch as error:
        last = {**died(message["id"], str(error)), "kind": error.kind, "limit": error.setting}
    finally:
        status = family.bury(waiting.child, alone=worker.alone, user=worker.user)
    if last.get("kind") == "died":
        last["message"] = family.obituary(status, last["message"])
    return last


def looks(worker: Worker, message: dict[str, Any]) -> list[Callable[[], None]]:
    """Return what is looked at while a job runs: whether the worker lives, and only what nothing else limits."""
    found: list[Callable[[], None]] = [functools.partial(family.end_without, worker.number)]
    if message["policy"]:
        limits = message["policy"]["limits"]
        found.append(functools.partial(memory.look, limits, alone=worker.alone, user=worker.user))
    if message.get("most"):
        found.append(functools.partial(written.look, message["most"], written.inodes(message["most"])))
    return found


def follow(
    asked: dict[str, Any], messages: watching.Lines, orders: BinaryIO, requests: BinaryIO, replies: int
) -> dict[str, Any]:
    """Hand a job's messages on, one of each known shape at a time; what it writes is read as data, never as code.

    First it says what has confined it, which is believed there alone: by then nothing of the template has run.

    Returns:
        Its last message, or the `failed` one of a job that ended, or wrote nonsense.
    """
    name = asked["id"]
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
            return died(name, "the job wrote something that is no message")
        said["id"] = name
        if event in EVENTS[2:]:
            said["mechanisms"] = mechanisms or []
            # A job ends by itself now, which closes its pipe; one that stays, against the rules, is killed.
            messages.wait(PATIENCE)
            return said
        job.say(replies, said)
        if event == "resolved":
            order = json.loads(requests.readline() or b'{"action": "stop"}')
            with contextlib.suppress(BrokenPipeError):
                orders.write(b"1" if order["action"] == "proceed" else b"0")
    return died(name, "the job ended without a word")


def died(name: str, message: str) -> dict[str, Any]:
    """Compose the last message of a job that had none."""
    return {"event": "failed", "id": name, "kind": "died", "message": message, "output": ""}


def clear(worker: Worker, paths: list[str]) -> dict[str, Any]:
    """Remove what jobs have written; links are removed, not followed."""
    if worker.alone:  # then it is this sandbox's own, and every job may write to it
        paths = [*paths, *(os.path.join(SHARED_MEMORY, name) for name in os.listdir(SHARED_MEMORY))]
    odd = [root for root, mode in worker.roots.items() if os.stat(root).st_mode != mode]
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
