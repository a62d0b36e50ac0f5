"""How does a Python hook run without an interpreter being started for it? In a fork of this one, made to look new.

Starting an interpreter takes longer than most projects take to render. A job forks a host before anything of the
template has run in it; the host forks once more for each hook. So no hook sees what extensions, patches of cookiecutter
or another hook have made of their interpreter.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import io
import json
import logging
import os
import signal
import site
import sys
import threading
import types
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import TracebackType
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

    def run(self, command: list[str], script: str, folder: str, printed: str, beside: str) -> int:
        """Run a script as `python SCRIPT` would.

        Args:
            command: What starts an interpreter for it, which tells best what is wrong where it is no Python.
            script: Its path.
            folder: Where it runs.
            printed: Existing file that takes what it prints.
            beside: Folder of which it may import what is nowhere else; empty for none.

        Returns:
            Its exit code, or minus the number of the signal that ended it.
        """
        line = json.dumps([command, script, folder, printed, beside]).encode() + b"\n"
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
    gc.freeze()  # what a script leaves open is looked for among its own objects
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


def _become(request: tuple[list[str], str, str, str, str], before: Callable[[], None] | None) -> NoReturn:
    command, script, folder, printed, beside = request
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
    code = _compiled(script)
    if code is None:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    logging.disable(logging.NOTSET)
    sys.argv = [script]
    sys.orig_argv = [*command[:1], script]
    sys.path.insert(0, os.path.dirname(script))
    if beside:
        sys.path.append(beside)
    status = _run(script, code)
    _finish()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def _finish() -> None:
    """Do what `Py_Finalize` does that others see; all of it takes longer than most hooks."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as it does
    atexit._run_exitfuncs()  # noqa: SLF001 - the same
    # Files that the script has left open; the collector may close what one writes through first.
    _flush()
    sys.modules.pop("__main__", None)
    gc.collect()
    _flush()


def _flush() -> None:
    for thing in gc.get_objects():
        if issubclass(type(thing), io.IOBase):
            with contextlib.suppress(Exception):
                thing.flush()


def _unbuffered(descriptor: int, like: TextIO) -> TextIO:
    """Return what an interpreter has as a standard stream where `PYTHONUNBUFFERED` is set."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    raw.name = f"<{'stdout' if descriptor == 1 else 'stderr'}>"
    stream = io.TextIOWrapper(raw, encoding=like.encoding, errors=like.errors, newline="\n", write_through=True)
    vars(stream)["mode"] = "w"
    return stream


def _compiled(script: str) -> types.CodeType | None:
    """Compile a script; None where an interpreter might say something else of it, which reads more strictly."""
    with open(script, "rb") as file:
        source = file.read()
    try:
        source.decode("utf-8")
        return compile(source, script, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        return None


def _run(script: str, code: types.CodeType) -> int:
    """Run a script's code as the main module.

    Returns:
        The exit code, or minus the number of a signal that is to end the process.
    """
    main = types.ModuleType("__main__")
    names: dict[str, Any] = main.__dict__
    names.update(__file__=script, __builtins__=builtins, __cached__=None, __annotations__={})
    names["__loader__"] = SourceFileLoader("__main__", script)
    sys.modules["__main__"] = main
    try:
        exec(code, names)  # noqa: S102 - what a script is for
    except BaseException as error:  # noqa: BLE001 - as the interpreter does
        # It is shown without this frame.
        return _ended(error, error.__traceback__.tb_next if error.__traceback__ else None)
    return 0


def _ended(error: BaseException, trace: TracebackType | None) -> int:
    """Say why a script has ended, as the interpreter does; return its exit code."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return 1
    error.__traceback__ = trace
    sys.last_exc = sys.last_value = error
    sys.last_type, sys.last_traceback = type(error), trace
    try:
        sys.excepthook(type(error), error, trace)
    except SystemExit as exiting:
        return _ended(exiting, None)
    except BaseException as another:  # noqa: BLE001 - it is told, too
        inner = another.__traceback__.tb_next if another.__traceback__ else None
        another.__context__ = None
        print("Error in sys.excepthook:", file=sys.stderr)  # noqa: T201 - in the interpreter's own words
        sys.__excepthook__(type(another), another.with_traceback(inner), inner)
        print("\nOriginal exception was:", file=sys.stderr)  # noqa: T201 - the same
        sys.__excepthook__(type(error), error, trace)
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def _only(*kept: int) -> None:
    """Close every descriptor but the standard ones and these."""
    first = 3
    for descriptor in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(first, descriptor)
        first = descriptor + 1
