"""The real cookiecutter, in one process that forks for each project: it changes its working directory and its path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from in_environment.workers import SECONDS, Tree, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """
import json, os, sys, warnings
import cookiecutter.main, cookiecutter.extensions

def make(asked):
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    warnings.simplefilter("ignore")
    folders = {"cookiecutters_dir": "cookiecutters", "replay_dir": "replay"}
    try:
        return {"path": cookiecutter.main.cookiecutter(default_config=folders, **asked)}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"}

for line in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, json.dumps(make(json.loads(line))).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        print(answer.read(), flush=True)
    os.waitpid(child, 0)
"""


class Reference:
    """The real cookiecutter."""

    def __init__(self, process: subprocess.Popen[str], room: Path) -> None:
        self._process = process
        self._output = room / "output"

    def make(
        self, template: Path, answers: dict[str, Any] | None = None, *, replay: Path | None = None
    ) -> tuple[Tree | None, str]:
        """Return what it makes of a template, or None and what it said."""
        shutil.rmtree(self._output, ignore_errors=True)
        self._output.mkdir(parents=True)
        asked: dict[str, Any] = {"template": str(template), "output_dir": str(self._output)}
        if replay is None:
            asked |= {"no_input": True, "extra_context": answers or {}}
        else:
            asked["replay"] = str(replay)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return (tree(self._output), "") if "path" in said else (None, str(said["error"]))


@contextmanager
def started(room: Path) -> Iterator[Reference]:
    """Run it while the caller stays in the context; it only writes to `room`."""
    room.mkdir(parents=True)
    # Nothing of ours runs in it, so it need not be measured.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = {**own, "HOME": str(room), "TMPDIR": str(room)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=room,
    ) as process:
        assert process.stdin is not None
        try:
            yield Reference(process, room)
            process.stdin.close()
            process.wait(SECONDS)
        finally:
            process.kill()
