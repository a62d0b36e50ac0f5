"""How does a template's hook run? As cookiecutter runs it, with nothing to read and its output kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

import cookiecutter.hooks
import cookiecutter.utils
from jinja2.exceptions import TemplateError

if TYPE_CHECKING:
    from dynamo_mcp._in_environment.failure import Failure, located
    from dynamo_mcp._in_environment.warm import Host
else:
    from failure import Failure, located

PRINTED = ".hook"
"""Where a hook prints to while it runs; the server reads that of one that it ends (`last_words.py`)."""
MORE = "`DYNAMO_MCP_HOOK_OUTPUT_BYTES` keeps more"
"""Put where a hook's output is cut off."""
FULL_BYTES = 1 << 16
"""Free bytes of a temporary folder that a hook has filled, at most."""

BESIDE = """
import sys
sys.path.append(sys.argv[1])
del sys.argv[:2]
__file__ = sys.argv[0]
sys.path[0] = __file__.rpartition("/")[0]
with open(__file__, "rb") as file:
    code = compile(file.read(), __file__, "exec")
del file, sys
exec(globals().pop("code"))
"""
"""Runs a script (the second argument) that may import what is in a folder (the first), and shadows nothing by it."""


class Hooks:
    """The hooks of one job."""

    def __init__(
        self,
        temporary: str,
        kept: int,
        before: Callable[[], None] | None,
        say: Callable[[str], None],
        host: Host | None,
    ) -> None:
        """Begin with none.

        Args:
            temporary: Existing folder, to which cookiecutter writes rendered hooks.
            kept: Bytes that are kept of what one hook prints: its end, where the errors are.
            before: Called in a hook's process before the hook.
            say: Told in words what is being done.
            host: Runs Python hooks; without it each has an interpreter started for it.
        """
        self._before = before
        self._host = host
        self._kept = kept
        self._temporary = temporary
        self._name = ""
        self._beside = ""
        self.ran: list[dict[str, Any]] = []
        self._say = say

    def install(self) -> None:
        """Have cookiecutter run hooks this way."""
        run_rendered = cookiecutter.hooks.run_script_with_context
        find = cookiecutter.hooks.find_hook

        def run_named(script: str, folder: str, context: dict[str, Any]) -> None:
            # cookiecutter renders a hook to a file of another name.
            self._name = os.path.basename(script)
            self._beside = os.path.dirname(script)
            try:
                run_rendered(script, folder, context)
            except TemplateError as error:
                raise Failure("render", f"the hook `{self._name}`: {located(error)}") from error
            except UnicodeDecodeError as error:
                raise Failure("render", f"the hook `{self._name}` is not UTF-8 text: {error}") from error

        # cookiecutter runs them as the disk lists them.
        cookiecutter.hooks.find_hook = lambda *arguments: sorted(find(*arguments) or []) or None
        cookiecutter.hooks.run_script = self._run
        cookiecutter.hooks.run_script_with_context = run_named

    def _run(self, script: str, cwd: str = ".") -> None:
        """Run one script; no rendered copy of it is left.

        Raises:
            Failure: It failed; with the end of what it printed.
        """
        name = self._name or os.path.basename(script)
        python = script.endswith(".py")
        beside = self._beside if python and self._beside and _has_modules(self._beside) else ""
        self._name = self._beside = ""
        self._say(f"running the hook {name}")
        printed = os.path.join(self._temporary, PRINTED)
        started = time.perf_counter()
        cookiecutter.utils.make_executable(script)
        problem = ""
        command = [sys.executable, script] if python else [script]
        if beside:
            # At `full` nothing else keeps bytecode from being written into the template.
            command[1:1] = ["-B", "-c", BESIDE, beside]
        try:
            with open(printed, "wb") as output:
                if python and self._host:
                    os.stat(cwd)
                    code = self._host.run(command, script, cwd, printed, beside)
                else:
                    code = self._start(command, cwd, output)
        except OSError as error:
            code = 1
            problem = f"it can't be run ({error.strerror}): is the file empty, or its first line no `#!`?"
        text = _tail(printed, self._kept)
        self.ran.append({"hook": name, "output": text, "seconds": time.perf_counter() - started})
        full = shutil.disk_usage(self._temporary).free < FULL_BYTES
        with contextlib.suppress(OSError):
            os.unlink(printed)
            if os.path.dirname(script) == self._temporary:
                os.unlink(script)
        if code:
            ending = (problem or _ending(code)) + ("; its temporary folder is full" if full else "")
            message = f"the hook `{name}` failed: {ending}"
            raise Failure("hook", message, hook=name, output=text)

    def _start(self, command: list[str], cwd: str, output: BinaryIO) -> int:
        """Run a script as a program of its own; return its exit code."""
        return subprocess.run(
            command,
            cwd=cwd,
            # Of one that is ended, what it printed is told, not what its interpreter kept back.
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            preexec_fn=self._before,
        ).returncode


def _has_modules(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(
            entry.is_dir() or (entry.name.endswith(".py") and entry.name[:-3] not in cookiecutter.hooks._HOOKS)  # noqa: SLF001 - their names
            for entry in entries
        )


def _tail(path: str, kept: int) -> str:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - kept))
        text = file.read(min(size, kept)).decode("utf-8", "replace")
    return text if size <= kept else f"[{size - kept} bytes left out: {MORE}]\n{text}"


def _ending(code: int) -> str:
    meaning = {-signal.SIGXCPU: " (it used more processor seconds than it may)", -signal.SIGSYS: " (forbidden call)"}
    return f"exit status {code}" if code > 0 else f"ended by signal {-code}{meaning.get(code, '')}"
