"""Starts the real worker as a renderer does, and speaks its protocol."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = Path(__file__).parents[2] / "src" / "dynamo_mcp" / "_in_environment" / "worker.py"
SECONDS = 60.0

Tree = dict[str, tuple[str, int, bytes]]


def write_template(folder: Path, files: dict[str, str | bytes], configuration: object = None) -> Path:
    """Write a template: its files by path, and its `cookiecutter.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    if configuration is not None:
        (folder / "cookiecutter.json").write_text(json.dumps(configuration), "utf-8")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, "utf-8", newline="")
    return folder


def tree(folder: Path) -> Tree:
    """Read a tree: kind, mode and content of everything in it, by path."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found[str(path.relative_to(folder))] = ("link", 0, os.fsencode(path.readlink()))
        elif path.is_dir():
            found[str(path.relative_to(folder))] = ("folder", mode, b"")
        else:
            found[str(path.relative_to(folder))] = ("file", mode, path.read_bytes())
    return found


class Outcome:
    """What one job said and made."""

    def __init__(self, messages: list[dict[str, Any]], output: Path, temporary: Path) -> None:
        self.messages = messages
        self.last = messages[-1]
        self.output = output
        self.temporary = temporary

    @property
    def event(self) -> str:
        return str(self.last["event"])

    @property
    def message(self) -> str:
        return str(self.last.get("message"))

    @property
    def resolved(self) -> dict[str, Any]:
        return next(message for message in self.messages if message["event"] == "resolved")

    @property
    def steps(self) -> list[str]:
        return [message["message"] for message in self.messages if message["event"] == "step"]

    @property
    def project(self) -> Path:
        assert self.event == "done", self.last
        return self.output / str(self.last["directory"])

    def read(self, name: str) -> str:
        return (self.project / name).read_bytes().decode()


class Worker:
    """A worker that runs, and its two pipes."""

    def __init__(self, process: subprocess.Popen[bytes], room: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.room = room
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._heard = b""
        self._worked = False

    @property
    def supervisor(self) -> int:
        """The process that sees to one job."""
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def tell(self, message: dict[str, Any]) -> None:
        if (
            message["action"] in {"create", "inspect", "compile"} and self._worked
        ):  # the test looks at what the last job has left
            self.tell({"action": "clear", "paths": []})
            assert self.hear() == {"event": "cleared"}
        self._worked = message["action"] != "clear" and (
            self._worked or message["action"] in {"create", "inspect", "compile"}
        )
        self._stdin.write(json.dumps(message).encode() + b"\n")
        self._stdin.flush()

    def forget(self) -> None:
        """Leave it to the test to have what the last job has left cleared."""
        self._worked = False

    def hear(self, seconds: float = SECONDS) -> dict[str, Any]:
        """Return the next message."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                assert selector.select(max(0.0, deadline - time.monotonic())), "the worker said nothing in time"
                piece = os.read(self._stdout.fileno(), 1 << 16)
                assert piece, "the worker is gone: " + (self.room / "log").read_text()
                self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def begin(self, template: Path, answers: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """Ask for a project; return the message."""
        identity = uuid.uuid4().hex
        message = {
            "action": "create",
            "id": identity,
            "template": str(template),
            "environment": sys.prefix,
            "output": str(self.room / "output" / identity),
            "temporary": str(self.room / "temporary" / identity),
            "answers": answers or {},
            "trust": "contained",
            "variables": {"_template": "here", "_output_dir": "there", "_checkout": None},
            "warm_hooks": True,
            "hook_output_bytes": 64 << 10,
            "message_bytes": 8 << 20,
            "policy": None,
            **changes,
        }
        self.tell(message)
        return message

    def compile(self, template: Path, **changes: Any) -> Outcome:
        """Have a job leave what later ones of a template load."""
        asked = self.begin(template, action="compile", **changes)
        return Outcome([self.hear()], Path(asked["output"]), Path(asked["temporary"]))

    def create(
        self, template: Path, answers: dict[str, Any] | None = None, *, order: str = "proceed", **changes: Any
    ) -> Outcome:
        """Run one job to its end."""
        asked = self.begin(template, answers, **changes)
        messages: list[dict[str, Any]] = []
        while not messages or messages[-1]["event"] not in {"done", "failed"}:
            messages.append(self.hear())
            assert messages[-1]["id"] == asked["id"]
            if messages[-1]["event"] == "resolved":
                self.tell({"action": order, "id": asked["id"]})
        return Outcome(messages, Path(asked["output"]), Path(asked["temporary"]))


@contextmanager
def started(room: Path, *arguments: str, measured: bool = True) -> Iterator[Worker]:
    """Run a worker, which may only write to `room`, while the caller stays in the context.

    Args:
        room: A folder that does not exist.
        arguments: The worker's.
        measured: What measures how much of our code the tests run sees it, which makes each job three times as dear.
    """
    (room / "home").mkdir(parents=True)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(room / "home"),
        "TMPDIR": str(room),
        "LANG": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if measured and name.startswith("COVERAGE_")},
    }
    with (room / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", CODE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=room,
        )
    with process:
        try:
            worker = Worker(process, room)
            ready = worker.hear()
            assert ready["event"] == "ready", ready
            yield worker
            assert process.stdin is not None
            if process.poll() is None:
                process.stdin.close()
                process.wait(SECONDS)
        finally:
            process.kill()


class Pool:
    """Hands out one worker for as long as it lives; a test that kills it costs a start, no more."""

    def __init__(self, room: Path, *, measured: bool = True) -> None:
        self.room = room
        self._measured = measured
        self._number = 0
        self._worker: Worker | None = None
        self._closing: list[Any] = []

    def worker(self) -> Worker:
        if self._worker is None or self._worker.process.poll() is not None:
            self._number += 1
            context = started(self.room / str(self._number), measured=self._measured)
            self._worker = context.__enter__()
            self._closing.append(context)
        return self._worker

    def drop(self) -> None:
        """Use another worker from now on: this one may be in the middle of something."""
        if self._worker is not None:
            self._worker.process.kill()
            self._worker.process.wait(SECONDS)
            self._worker = None

    def close(self) -> None:
        for context in self._closing:
            context.__exit__(None, None, None)
