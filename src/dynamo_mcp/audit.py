"""Who did what, and how did it end? A line of JSON for each change that was made, asked for, or refused.

The lines of a day are in `audit/<day>.jsonl` of the home, readable for its owner alone. What templates were answered is
not in them unless an operator asks for it, and secrets are not in any case: there are none among the arguments.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskStatus

from dynamo_mcp.text import plain

MOST = 10_000
"""Lines that wait to be written; more are lost, which a line of their own says."""
ANSWERS_BYTES = 16 << 10
"""Of what one call answered; more is left out."""
_SHOWN = 200
_LEFT_OUT = "left out"

_log = logging.getLogger(__name__)


class Entry(msgspec.Struct, omit_defaults=True):
    """One call.

    Attributes:
        time: When it was done, in UTC.
        who: The caller's name; `local` is whoever started the server.
        what: The tool.
        outcome: `done`, `asked` (a person has to answer first), `task` (it goes on), `cancelled`, or the kind of error.
        seconds: Seconds that it took.
        template: Which one.
        revision: Of the template.
        project: The identity of what was made.
        answers: What the caller answered, where an operator wants it.
    """

    time: str
    who: str
    what: str
    outcome: str
    seconds: float
    template: str | None = None
    revision: str | None = None
    project: str | None = None
    answers: Mapping[str, Any] | None = None


class Audit:
    """The log of one home. Noting costs nothing; the lines are written by a task."""

    def __init__(self, home: Path, days: float) -> None:
        """Write nothing yet.

        Args:
            home: Whose log it is.
            days: Days that a file is kept.
        """
        self._folder = home / "audit"
        self._days = days
        self._waiting: list[bytes] = []
        self._lost = 0
        self._more = anyio.Event()

    def note(self, entry: Entry) -> None:
        """Have a line written."""
        if len(self._waiting) >= MOST:
            self._lost += 1
            return
        self._waiting.append(msgspec.json.encode(entry))
        self._more.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled, and then what is left."""
        task_status.started()
        try:
            while True:
                await self._more.wait()
                self._more = anyio.Event()
                await self._flush()
        finally:
            with anyio.CancelScope(shield=True):
                await self._flush()

    async def _flush(self) -> None:
        lines, lost = self._waiting, self._lost
        self._waiting, self._lost = [], 0
        if lost:
            lines.append(msgspec.json.encode({"lost": lost}))
        if not lines:
            return
        try:
            await anyio.to_thread.run_sync(self._write, b"".join(line + b"\n" for line in lines))
        except OSError:
            _log.exception("%d lines of the audit log could not be written", len(lines))

    def _write(self, lines: bytes) -> None:
        now = datetime.now(UTC)
        path = self._folder / f"{now:%Y-%m-%d}.jsonl"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            oldest = f"{now - timedelta(days=self._days):%Y-%m-%d}.jsonl"
            for old in self._folder.glob("????-??-??.jsonl"):
                if old.name < oldest:
                    old.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(lines)


class Noted:
    """One call, of which a line will be written whatever becomes of it."""

    def __init__(
        self,
        audit: Audit | None,
        who: str,
        what: str,
        *,
        template: object = None,
        answers: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin.

        Args:
            audit: The log; None writes no line.
            who: The caller's name.
            what: The tool.
            template: What the caller named as the template.
            answers: What the caller answered; None leaves it out.
        """
        self._audit = audit
        self._began = time.monotonic()
        self._given = (who, what, template if isinstance(template, str) else None, answers)

    def end(self, outcome: str, result: Mapping[str, Any] | None = None) -> None:
        """Have the line written.

        Args:
            outcome: As of `Entry`.
            result: What the call returned, from which the line has what it made.
        """
        if self._audit is None:
            return
        who, what, template, answers = self._given
        told = result or {}
        named = _text(told.get("template")) or _text(told.get("name")) or template
        self._audit.note(
            Entry(
                datetime.now(UTC).isoformat(timespec="milliseconds"),
                who,
                plain(what, _SHOWN),
                outcome,
                round(time.monotonic() - self._began, 3),
                template=plain(named, _SHOWN) if named is not None else None,
                revision=_text(told.get("revision")),
                project=_text(told.get("id")),
                answers=answers if answers is None else _within(answers),
            )
        )


def _within(answers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return answers that make a line; a caller may give what makes none, and the call is logged all the same."""
    try:
        size = len(msgspec.json.encode(answers))
    except (ValueError, OverflowError, TypeError, RecursionError):
        return {_LEFT_OUT: "what can't be written as JSON"}
    return answers if size <= ANSWERS_BYTES else {_LEFT_OUT: f"{size} bytes, more than {ANSWERS_BYTES}"}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
