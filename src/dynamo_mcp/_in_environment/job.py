"""What does one job do, from the fork to its end? It gives up what it does not need, enters its environment, renders.

Everything here runs in the fork; only `prepare` runs in the worker.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import afresh, confine, family, identity, memory, render, warm
    from dynamo_mcp._in_environment.failure import Failure, described
else:
    import afresh
    import confine
    import family
    import identity
    import memory
    import render
    import warm
    from failure import Failure, described


_OWN: list[str] = []
"""Modules of this folder."""


PIECE = 1 << 16
IDLE_SECONDS = 0.05
"""Seconds without a word after which there is time to rehearse, which takes some milliseconds of a processor."""


def prepare() -> None:
    """Do in the worker, once, what every job would otherwise do again."""
    logging.disable(logging.CRITICAL)
    confine.prepare()
    _OWN[:] = own_modules()


def own_modules() -> list[str]:
    """Return the names of the modules of this folder.

    To look at every module writes to each (its count of references), and a fork copies what it writes to.
    """
    folder = os.path.dirname(__file__)
    return [
        name
        for name, module in sys.modules.items()
        if name != "__main__" and os.path.dirname(getattr(module, "__file__", None) or "") == folder
    ]


def run(orders: int, replies: int, *, alone: bool, user: int | None = None) -> NoReturn:
    """Wait to be told which job it is, run it, and end the process.

    Args:
        orders: File descriptor that tells the worker's `create`, `inspect` or `compile` message, a line of JSON that
            may say "readable": that the user may read the template; and "1" to proceed after "resolved".
        replies: File descriptor that takes the job's messages.
        alone: The worker is process 1 of a PID namespace, so that nothing of the job can outlive it.
        user: Whom the job becomes; None where it stays who the worker is.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def begin() -> dict[str, Any]:
        memory.die_first()
        if not alone:
            os.setsid()
            family.die_with_parent()
        rehearse_meanwhile(orders)
        message = told(orders)
        return work(message, orders, replies, alone=alone, user=user, readable=message.get("readable", True))

    end(replies, begin)


def rehearse_meanwhile(orders: int) -> None:
    """Do what every job does while nobody needs this one: what a fork writes to first is copied, page by page."""
    with contextlib.suppress(OSError):
        if not select.select([orders], [], [], IDLE_SECONDS)[0]:
            render.rehearse()


def told(orders: int) -> dict[str, Any]:
    """Read what the job is; the process ends where nobody tells it any more."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(orders, PIECE)
        if not piece:
            os._exit(0)
        line += piece
    message: dict[str, Any] = json.loads(line)
    return message


def end(replies: int, work: Callable[[], dict[str, Any]]) -> NoReturn:
    """Do the work, tell how it ended, and end the process."""
    try:
        last = work()
    except BaseException as error:  # noqa: BLE001 - a job's end is always told, whatever template code raised
        last = failure(error)
    with contextlib.suppress(OSError):
        say(replies, last)
    os._exit(0)


def work(
    message: dict[str, Any], orders: int, replies: int, *, alone: bool, user: int | None, readable: bool
) -> dict[str, Any]:
    """Confine, then make what is wanted; until the first is done, nothing of the template and its packages runs."""
    started = time.perf_counter()
    output, temporary = message["output"], message["temporary"]
    os.makedirs(output)
    os.makedirs(temporary)
    mechanisms = []
    if user is not None:
        if not readable:
            message["template"] = identity.copied(message["template"], temporary, user)
        hand_over(user, output, temporary)
        mechanisms.append("user")
        if not alone:
            family.die_with_parent()  # who changes users is no longer told of its parent's death (prctl(2))
    keep_only({orders, replies}, os.path.join(temporary, ".printed"))
    if message["policy"]:
        mechanisms += confine.confine(confine.Policy.from_message(message["policy"]))
    say(replies, {"event": "confined", "mechanisms": mechanisms})
    own = packages_of(message["environment"])
    # At `inert` the worker's own packages render, and the template's are never those of an extension that does more.
    if message["trust"] != "inert" and afresh.needed(render.PACKAGES, own):
        afresh.begin(
            message["environment"],
            own,
            temporary,
            message=message,
            orders=orders,
            replies=replies,
            started=started,
            alone=alone,
        )
    return make(message, orders, replies, started, alone=alone)


def hand_over(user: int, *folders: str) -> None:
    """Give a user the job's own folders, which nobody else may enter, and become that user.

    Raises:
        Unconfinable: The kernel refused.
    """
    try:
        for folder in folders:
            os.chmod(folder, 0o700)
            os.chown(folder, user, user)
        identity.become(user)
    except OSError as error:
        raise confine.Unconfinable(error.errno, f"the job can't become user {user}: {error.strerror}") from error


def make(message: dict[str, Any], orders: int, replies: int, started: float, *, alone: bool) -> dict[str, Any]:
    """Enter, resolve, render; or only look at what the template makes of itself.

    Returns:
        The `done` message, or the `failed` one of a job that was told to stop.
    """
    output, temporary = message["output"], message["temporary"]
    enter(message["environment"], temporary)
    inert = message["trust"] == "inert"
    before_hook = None if alone else family.die_with_parent
    host = None
    if message["warm_hooks"] and message["action"] != "compile" and not inert and warm.possible(message["template"]):
        host = warm.Host(before_hook)
    project = render.Project(
        template=message["template"],
        output=output,
        temporary=temporary,
        answers=message["answers"],
        inert=inert,
        variables=message["variables"],
        hook_output_bytes=message["hook_output_bytes"],
        before_hook=before_hook,
        say=lambda text: say(replies, {"event": "step", "message": text}),
        host=host,
        known=message.get("compiled"),
    )
    if message["action"] == "compile":
        project.compile()
        return {"event": "done", "hooks": [], "seconds": {}}
    if message["action"] == "inspect":
        inspected = project.inspect()
        seconds = {"inspect": time.perf_counter() - started}
        return {"event": "done", **inspected, "hooks": project.ran, "seconds": seconds}
    resolved = project.resolve()
    say(replies, {"event": "resolved", **resolved})
    seconds = {"resolve": time.perf_counter() - started}
    if os.read(orders, 1) != b"1":
        return {"event": "failed", "kind": "stopped", "message": "stopped by the server", "output": ""}
    started = time.perf_counter()
    project.generate(accept_hooks=message.get("hooks", True))
    seconds["render"] = time.perf_counter() - started
    return {"event": "done", "directory": resolved["directory"], "hooks": project.ran, "seconds": seconds}


def keep_only(descriptors: set[int], printed: str) -> None:
    """Close every other descriptor; what is printed goes to a file, and there is nothing to read."""
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    first = 3
    for kept in [*sorted(descriptors), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(first, kept)
        first = kept + 1


def packages_of(environment: str) -> str:
    """Return an environment's `site-packages`."""
    base = os.path.dirname(os.path.dirname(os.path.dirname(render.PACKAGES)))
    return os.path.join(environment, os.path.relpath(render.PACKAGES, base))


def enter(environment: str, temporary: str) -> None:
    """Make this process one of the template's own environment, as if its interpreter had been started."""
    own = packages_of(environment)
    sys.prefix = sys.exec_prefix = environment
    sys.executable = os.path.join(environment, "bin", "python")
    folder = os.path.dirname(__file__)
    sys.path[:] = [own if entry == render.PACKAGES else entry for entry in sys.path if entry != folder]
    # A template's extensions may have modules of these names, and must find their own.
    for name in _OWN or own_modules():
        sys.modules.pop(name, None)
    if os.environ.get("HOME") == os.environ.get("TMPDIR"):  # nobody's: programs of hooks keep caches and settings there
        os.environ["HOME"] = temporary
    os.environ["VIRTUAL_ENV"] = environment
    os.environ["PATH"] = os.pathsep.join([os.path.join(environment, "bin"), os.environ.get("PATH", os.defpath)])
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    sys.dont_write_bytecode = True
    os.chdir(temporary)


def failure(error: BaseException) -> dict[str, Any]:
    """Say what went wrong: where in the template, or the end of what its hook printed."""
    if isinstance(error, Failure):
        return {
            "event": "failed",
            "kind": error.kind,
            "message": str(error),
            "hook": error.hook,
            "output": error.output,
            "variable": error.variable,
            "choices": error.choices,
            "allowed": error.allowed,
            "always": error.always,
        }
    if isinstance(error, confine.Unconfinable):
        return {"event": "failed", "kind": "sandbox", "message": str(error), "output": ""}
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EFBIG}:
        where = f": {error.filename}" if error.filename else ""
        return {"event": "failed", "kind": "space", "message": f"{error.strerror}{where}", "output": ""}
    return {"event": "failed", "kind": "render", "message": described(error), "output": ""}


def say(replies: int, message: dict[str, Any]) -> None:
    """Write one message, whole."""
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(replies, line) :]
