"""The worker: runs in a template's own Python, warm, and renders one job at a time in a fork of itself.

It is started as `python -I -S -B worker.py --packages SITE_PACKAGES [--pid-namespace] [--user NUMBER]` and talks JSON,
a line each.

It expects on standard input:
    {"action": "create", "id", "template", "environment", "output", "temporary", "answers", "trust", "variables",
     "hooks", "warm_hooks", "compiled", "hook_output_bytes", "message_bytes", "policy", "most", "readable"}
        id: names the job.
        template: folder that holds `cookiecutter.json`; only read.
        environment: the template's own virtual environment, which the job enters; only read.
        output, temporary: folders that do not exist yet; the job writes nowhere else.
        answers: literal values for some of the template's variables.
        trust: "inert" renders in a sandboxed Jinja and runs no hooks; anything else renders and runs hooks.
        variables: `_template`, `_output_dir`, `_checkout` for the template to read.
        hooks: false leaves out those before and after the files; `pre_prompt` belongs to resolving, and runs.
        warm_hooks: Python hooks run in forks (see `warm.py`); otherwise each has an interpreter started for it.
        compiled: the file that holds what "compile" has left; null or left out for none.
        hook_output_bytes: of what one hook prints, as much is kept: the end.
        message_bytes: the length of the job's longest message.
        policy: what the job gives up before it touches the template (see `confine.py`); null for nothing.
        most: how much it may write, where no file system limits that (see `written.py`); null or left out otherwise.
        readable: whether every user may read the template, where that is known; null or left out otherwise.
    {"action": "inspect", …}
        the same fields: runs the template's `pre_prompt` hook on a copy, and tells what it left.
    {"action": "compile", …}
        the same fields, without answers: leaves what later jobs need not work out again (`compiled.py`), if there is
        any, as `.compiled` in `temporary`.
    {"action": "proceed", "id"} or {"action": "stop", "id"}
        the answer to "resolved".
    {"action": "clear", "paths"}
        removes what a job has left; comes after each, and only when it is answered, the next one is asked for.
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
        mechanisms: what has confined the job.
    {"event": "done", "id", "hooks", "seconds", "mechanisms"}
        of "compile"; there is no "resolved" before it.
    {"event": "failed", "id", "kind", "message", "hook", "output", "variable", "choices", "allowed", "always",
     "mechanisms"}
        of a job that tells it itself.
        kind: "answers", "template", "render", "hook", "space", "stopped" or "sandbox".
        variable: the one whose answer does not fit, for "answers"; choices: what it may be, where it is a choice;
            allowed: the same in words, where it is none.
        always: true where nothing that is answered mends it, for "template".
    {"event": "failed", "id", "kind", "message", "output", "limit"}
        of one that could not.
        kind: "memory", "processes", "space" or "depth" where it used too much and was ended, otherwise "died".
        limit: left out of "died"; the name of the setting that allows more, null where none does.
    {"event": "cleared", "readable"} or {"event": "odd", "message"}
        readable: whether every user may read the template of the job, where it was that of another user.
    {"event": "pong"}

A job tells its supervisor the same from "resolved" to "failed", without "id". Its first line comes before anything of
the template and its packages runs, and is not handed on, but becomes the "mechanisms":
    {"event": "confined", "mechanisms"}

The worker itself never runs template code, and reads no message: a fork of it does (`supervisor.py`), which sees to one
job and is gone, with what it knew, when the next one begins. With `--pid-namespace` the worker is process 1 of a PID
namespace, so that killing everything else in it leaves nothing of a job alive. With `--user` it is root, and its jobs
become that user, whom nobody else is.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    # An isolated interpreter leaves a script's own folder out of the path.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    if "--packages" in sys.argv:
        sys.path.append(sys.argv[sys.argv.index("--packages") + 1])

# The interpreter finds the modules of this folder by its entry in `sys.path`, type checkers by the package.
if TYPE_CHECKING:
    from dynamo_mcp._in_environment import family, job, render, supervisor
else:
    import family
    import job
    import render
    import supervisor


FOR_ALL = 0o1777


def main() -> None:
    """Have one supervisor after the other, until standard input ends, or the server does."""
    alone = "--pid-namespace" in sys.argv[1:]
    user = int(sys.argv[sys.argv.index("--user") + 1]) if "--user" in sys.argv else None
    # Process 1 is not stopped: whoever signals it in its namespace is a job.
    expected = {signal.SIGCHLD} if alone else {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, expected)
    if not alone:
        family.adopt()
        family.die_with_parent(signal.SIGTERM)
    requests, replies = os.dup(0), os.dup(1)
    # Whatever prints by accident must not reach the protocol.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    preheat()
    shared = supervisor.SHARED_MEMORY
    if alone and user is not None:
        os.chmod(shared, FOR_ALL)
    roots = {root: os.stat(root).st_mode for root in ("/output", "/tmp", shared)} if alone else {}  # noqa: S108
    job.say(replies, {"event": "ready", "python": sys.version.split()[0], "cookiecutter": render.VERSION})
    handed = supervisor.Worker(os.getpid(), requests, replies, alone, user, roots)
    while (code := supervised(handed, expected)) == supervisor.ANOTHER:
        pass
    sys.exit(code)


def preheat() -> None:
    """Import and run once all that a job will need, then set it aside from the garbage collector: forks share it."""
    render.rehearse()
    job.prepare()
    gc.collect()
    gc.freeze()


def supervised(handed: supervisor.Worker, expected: set[signal.Signals]) -> int:
    """Have one supervisor, and wait for its end; process 1 reaps meanwhile what nobody else does.

    Args:
        handed: What it needs.
        expected: The signals that are blocked, which tell of a child, or to end.

    Returns:
        Its exit code.
    """
    child = os.fork()
    if child == 0:
        supervisor.run(handed)
    asked_to_end = False
    while True:
        # A job that is no user of its own may be able to stop its supervisor, and would not be watched any more.
        ended, status = os.waitpid(-1, os.WNOHANG | (os.WUNTRACED if handed.alone else 0))
        if ended == child:
            break
        if not ended and signal.sigwait(expected) == signal.SIGTERM:
            asked_to_end = True
            os.kill(child, signal.SIGTERM)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else supervisor.FAILED
    if asked_to_end and code == supervisor.ANOTHER:  # it had ended already
        return supervisor.ENDED
    if code == supervisor.FAILED and not handed.alone:  # the namespace ends with process 1
        family.bury(None, alone=False, user=handed.user)
    return code


if __name__ == "__main__":
    main()
