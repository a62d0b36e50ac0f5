"""What is known of a task, whichever server of the home does it, and though that server may have died?

Each task is a file, written whole each time that something of it changes. None is forced to the disk: what a power cut
takes of a task is found out as if there had never been one, and so are the projects that it takes.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import anyio.to_thread
import msgspec

from dynamo_mcp.disk import words
from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.store import Store, lives

Status: TypeAlias = Literal["working", "input_required", "completed", "failed", "cancelled"]
UNFINISHED: frozenset[Status] = frozenset({"working", "input_required"})

INTERNAL_ERROR = -32603
"""JSON-RPC 2.0, section 5.1."""

_BYTES = 24
"""Random bytes of a name: nobody guesses a task's."""
_NAME = re.compile(r"[A-Za-z0-9_-]{32}")

_log = logging.getLogger(__name__)


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call that goes on when it was answered.

    Attributes:
        name: Tells it from every other; who does not know it can't guess it.
        owner: The name of the caller whose it is.
        server: The scratch folder of the server that does it.
        created: When it was begun, in seconds since the epoch.
        updated: When something of it changed last, likewise.
        kept: Seconds that it is kept from then on.
        poll: Seconds that a client should wait before it asks again.
        left: What there is of its work if nothing more is done, as a sentence's second half.
        status: How far it is.
        message: The same, for a person.
        requests: What it waits to be answered, by key, as the protocol's requests.
        result: Of a completed one: what its call returned.
        error: Of a failed one: the `code`, `message` and maybe `data` of the protocol's error.
    """

    name: str
    owner: str
    server: str
    created: float
    updated: float
    kept: float
    poll: float
    left: str
    status: Status = "working"
    message: str = ""
    requests: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def unfinished(self) -> bool:
        """It is still worked on."""
        return self.status in UNFINISHED

    @property
    def expires(self) -> float:
        """When it is forgotten if it is finished, in seconds since the epoch."""
        return self.updated + self.kept


class TaskRecords:
    """The tasks of a home, as one server sees them."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        """Read nothing yet.

        Args:
            store: The home.
            clock: Seconds since the epoch.
        """
        self._store = store
        self._folder = store.home / "tasks"
        self.clock = clock

    def new(self, owner: str, *, left: str, poll: float, kept: float) -> Task:
        """Return a task that begins now, and is written nowhere; arguments as its attributes."""
        now = self.clock()
        name = secrets.token_urlsafe(_BYTES)
        return Task(name, owner, self._store.scratch.name, now, now, kept, poll, left)

    async def write(self, task: Task) -> None:
        """Write a task down.

        Raises:
            StorageFailed: It can't be written; what was written of it before is as it was.
        """
        content = msgspec.json.encode(task)
        path = self._folder / f"{task.name}.json"
        await anyio.to_thread.run_sync(lambda: self._store.write(path, content, force=False))

    async def read(self, name: str) -> Task | None:
        """Return a task as it is now; None if there is none of this name, or no more.

        Raises:
            StorageFailed: It can't be read.
        """
        return await anyio.to_thread.run_sync(self._read, name) if _NAME.fullmatch(name) else None

    async def forget(self) -> None:
        """Remove what has expired; what can't be removed is tried again the next time."""
        await anyio.to_thread.run_sync(self._forget)

    def _read(self, name: str) -> Task | None:
        path = self._folder / f"{name}.json"
        try:
            with words("read the task", path):
                task = msgspec.json.decode(path.read_bytes(), type=Task)
        except StorageFailed as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # a power cut has left nothing of it
        if task.name != name:
            return None  # a disk that ignores case
        if task.unfinished and lives(self._store.home, task.server):
            return task
        return None if task.expires < self.clock() else _as_it_ended(task)

    def _forget(self) -> None:
        for path in self._folder.glob("*.json"):
            try:
                if self._read(path.stem) is None:
                    path.unlink(missing_ok=True)
            except (OSError, StorageFailed):
                _log.exception("the task `%s` can't be removed", path)


def _as_it_ended(task: Task) -> Task:
    """Return a task with the truth about it, if the server that did it died."""
    if not task.unfinished:
        return task
    message = f"the server ended before it was done; {task.left}"
    error = {"code": INTERNAL_ERROR, "message": message}
    return msgspec.structs.replace(task, status="failed", message=message, requests={}, error=error)
