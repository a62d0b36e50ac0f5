"""How does a Python hook run without an interpreter being started for it? In a fork of this one, made to look new.

Starting an interpreter takes longer than most projects take to render. A job forks a host before anything of the
template has run in it; the host forks once more for each hook. So no hook sees what extensions, patches of cookiecutter
or another hook have made of their interpreter.
"""

from __future__ import annotations

import atexit
import builtins
import io
import json
import logging
import os
import site
import sys
import threading
import types
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from typing import Any, NoReturn, TextIO

HARMLESS = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
"""Variables that change nothing about an interpreter which the fork of a running one would not have, too."""
ENDED = -9
"""The exit code of a hook whose host is gone: somebody has killed both."""


def possible(template: str) -> bool:
    """Tell whether a template has Python hooks, and nothing asks for an interpreter that is unlike this one."""
    if any(name.startswith("PYTHON") and name not in HARMLESS for name in os.environ):
        return False
    try:
        return any(name.endswith(".py") for name in os.listdir(os.path.join(template, "hooks")))
    except OSError:
        return False


class Host:
    """A process that forks for each script, and waits for it."""

    def __init__(self, before: Callable[[], None] | None) -> None:
        """Fork it.

        Args:
            before: Called in the host's process, and in each script's.
        """
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        if os.fork() == 0:
            try:
                _serve(requests, replies, before)
            finally:
                os._exit(1)
        os.close(requests)
        os.close(replies)

    def run(self, script: str, folder: str, printed: str, beside: str) -> int:
        """Run a script as `python SCRIPT` would.

        Args:
            script: Its path.
            folder: Where it runs.
            printed: Existing file that takes what it prints.
            beside: Folder of which it may import what is nowhere else; empty for none.

        Returns:
            Its exit code, or minus the number of the signal that ended it.
        """
        line = json.dumps([script, folder, printed, beside]).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._requests, line) :]
        except BrokenPipeError:
            return ENDED
        status = os.read(self._replies, 64)
        return os.waitstatus_to_exitcode(int(status)) if status.endswith(b"\n") else ENDED


def _serve(requests: int, replies: int, before: Callable[[], None] | None) -> NoReturn:
    """Run one script after the other, until nobody asks any more."""
    if before:
        before()
    _only(requests, replies)
    # The worker was started without it: `exit`, and what an environment's `.pth` files say.
    site.main()
    with os.fdopen(requests, "rb", closefd=False) as lines:
        for line in lines:
            child = os.fork()
            if child == 0:
                try:
                    _become(json.loads(line), before)
                finally:
                    os._exit(1)
            _, status = os.waitpid(child, 0)
            os.write(replies, f"{status}\n".encode())
    os._exit(0)


def _become(request: list[str], before: Callable[[], None] | None) -> NoReturn:
    script, folder, printed, beside = request
    if before:
        before()
    os.chdir(folder)
    output = os.open(printed, os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _only()
    os.environ["PYTHONUNBUFFERED"] = "1"
    out, err = _unbuffered(1, sys.stdout), _unbuffered(2, sys.stderr)
    vars(sys).update(stdout=out, __stdout__=out, stderr=err, __stderr__=err)
    logging.disable(logging.NOTSET)
    sys.argv = [script]
    sys.path.insert(0, os.path.dirname(script))
    if beside:
        sys.path.append(beside)
    code = _run(script)
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as `Py_Finalize` does, which this fork never reaches
    atexit._run_exitfuncs()  # noqa: SLF001 - the same
    os._exit(code)


def _unbuffered(descriptor: int, like: TextIO) -> TextIO:
    """Return what an interpreter has as a standard stream where `PYTHONUNBUFFERED` is set."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    raw.name = f"<{'stdout' if descriptor == 1 else 'stderr'}>"
    return io.TextIOWrapper(
        raw,
        encoding=like.encoding,
        errors=like.errors,
        newline="\n",
        line_buffering=True,
        write_through=True,
    )


def _run(script: str) -> int:
    """Run a script's code as the main module.

    Returns:
        The exit code.
    """
    main = types.ModuleType("__main__")
    names: dict[str, Any] = main.__dict__
    names.update(__file__=script, __builtins__=builtins, __cached__=None, __annotations__={})
    names["__loader__"] = SourceFileLoader("__main__", script)
    sys.modules["__main__"] = main
    try:
        with open(script, "rb") as file:
            code = compile(file.read(), script, "exec", dont_inherit=True)
        exec(code, names)  # noqa: S102 - what a script is for
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return 1
    except BaseException as error:  # noqa: BLE001 - it is shown, without this frame
        inner = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(inner), inner)
        return 1
    return 0


def _only(*kept: int) -> None:
    """Close every descriptor but the standard ones and these."""
    first = 3
    for descriptor in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(first, descriptor)
        first = descriptor + 1
