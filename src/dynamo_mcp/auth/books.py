"""Who is known, and by which secret? A file of all of them, for its owner alone, that a running server sees change."""

from __future__ import annotations

import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from dynamo_mcp.auth.hashing import Hash
from dynamo_mcp.callers import SCOPES, Scope
from dynamo_mcp.disk import sync_folder, words
from dynamo_mcp.errors import Busy, InvalidName, NameTaken, NotFound, StorageFailed, UsageError
from dynamo_mcp.problems import nearest
from dynamo_mcp.text import plain

MOST = 10_000
"""Entries of one book."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_SHOWN = 80
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Entry(msgspec.Struct, frozen=True):
    """Somebody who is known.

    Attributes:
        name: What people call them by.
        identity: What they say that they are: of a key a number of its own, of a user their name.
        scopes: What they may do.
        hash: What is kept of their secret.
        made: When, in seconds since 1970.
        expires: From when on they are known no more, likewise; None for never.
    """

    name: str
    identity: str
    scopes: tuple[Scope, ...]
    hash: Hash
    made: float
    expires: float | None = None

    def expired(self) -> bool:
        """Say whether they are known no more."""
        return self.expires is not None and self.expires <= time.time()


class Book:
    """All that are known in one way; several processes may read and change it."""

    def __init__(self, path: Path, noun: str, *, removal: str, lock_seconds: float) -> None:
        """Read nothing yet.

        Args:
            path: The file, which need not be there.
            noun: What an entry is called, in words.
            removal: The command that takes one away, before its name.
            lock_seconds: Seconds to wait for another process that changes it.
        """
        self.path = path
        self._noun = noun
        self._removal = removal
        self._lock_seconds = lock_seconds
        self._seen: tuple[int, ...] = ()
        self._entries: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """Return all, by name.

        Raises:
            StorageFailed: The file can't be read, is damaged, or others may change it: nobody is known then.
        """
        self._look()
        return sorted(self._entries.values(), key=lambda entry: entry.name)

    def find(self, identity: str) -> Entry | None:
        """Return who this is, as the file says at this moment.

        Raises:
            StorageFailed: As of `entries`.
        """
        self._look()
        return self._entries.get(identity)

    def refuse_taken(self, name: str) -> None:
        """Refuse a name that somebody has, before anything is asked for.

        Raises:
            NameTaken: There is one of this name.
            StorageFailed: As of `entries`.
        """
        self._refuse_taken(name, self.entries())

    def add(self, entry: Entry) -> None:
        """Write one more.

        Raises:
            NameTaken: There is one of this name.
            UsageError: There would be too many.
            Busy: Another process changes it for too long.
            StorageFailed: It can't be read or written.
        """
        with self._locked():
            entries = self.entries()
            self._refuse_taken(entry.name, entries)
            if len(entries) >= MOST:
                raise UsageError(
                    f"There are {MOST} {self._noun}s already", hint="remove those that nobody uses any more"
                )
            self._write([*entries, entry])

    def remove(self, name: str) -> None:
        """Have one known no more, by a running server either.

        Raises:
            NotFound: There is none of this name.
            Busy: Another process changes it for too long.
            StorageFailed: It can't be read or written.
        """
        with self._locked():
            entries = self.entries()
            left = [entry for entry in entries if entry.name != name]
            if len(left) == len(entries):
                raise NotFound(
                    f"There is no {self._noun} `{plain(name, _SHOWN)}`",
                    hint=f"there are {', '.join(f'`{entry.name}`' for entry in entries[:20]) or 'none at all'}",
                )
            self._write(left)

    def _refuse_taken(self, name: str, entries: list[Entry]) -> None:
        if any(name == other.name for other in entries):
            raise NameTaken(
                f"There is a {self._noun} `{name}` already",
                hint=f"choose another name, or take that one away first: `{self._removal} {name}`",
            )

    def _look(self) -> None:
        """Read the file if it is another one than was read last: it is replaced as a whole, never written into."""
        with words(f"read the {self._noun}s", self.path):
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                self._seen, self._entries = (), {}
                return
            with file:
                about = os.fstat(file.fileno())
                seen = (about.st_ino, about.st_mtime_ns, about.st_size, about.st_mode)
                if seen == self._seen:
                    return
                self._refuse_writable(about.st_mode)
                content = file.read()
        try:
            entries = msgspec.json.decode(content, type=list[Entry])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StorageFailed(
                f"The file `{self.path}` of {self._noun}s is damaged: {error}",
                hint="bring back a copy of it, or remove it and make them anew",
            ) from error
        self._seen, self._entries = seen, {entry.identity: entry for entry in entries}

    def _refuse_writable(self, mode: int) -> None:
        if mode & _BY_OTHERS:
            raise StorageFailed(
                f"The file `{self.path}` says which {self._noun}s there are, and others may change it",
                hint=f"forbid it, `chmod go-w {self.path}`, and then see who is in it: `dynamo-mcp {self._noun}s list`",
            )

    def _write(self, entries: list[Entry]) -> None:
        begun = self.path.with_name(f".{uuid.uuid4().hex}")
        with words(f"write the {self._noun}s", self.path):
            try:
                with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(msgspec.json.encode(entries))
                    file.flush()
                    os.fsync(file.fileno())
                begun.rename(self.path)
                sync_folder(self.path.parent)
            finally:
                begun.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with words(f"write the {self._noun}s", self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), mode=0o600)
            try:
                lock.acquire(timeout=self._lock_seconds)
            except Timeout as error:
                raise Busy(
                    f"Another process changes `{self.path}` for more than {self._lock_seconds:g} seconds",
                    hint="try again later, or end what holds it",
                ) from error
        try:
            yield
        finally:
            lock.release()


def checked_name(name: str, noun: str) -> str:
    """Return a name that may be one.

    Raises:
        InvalidName: It may not.
    """
    if _NAME.fullmatch(name):
        return name
    raise InvalidName(
        f"`{plain(name, _SHOWN)}` can't be the name of a {noun}",
        hint="a name has letters, digits and `._@+-`, begins with a letter or a digit, and has 64 characters at most",
    )


def checked_scopes(scopes: list[str]) -> tuple[Scope, ...]:
    """Return scopes that there are, at least one, in their usual order.

    Raises:
        UsageError: There is none, or one that there is not.
    """
    allowed = "it is one of " + ", ".join(f"`{scope}`" for scope in SCOPES) + "; give `--scope` once for each"
    if not scopes:
        raise UsageError("No scope was given, so nothing would be allowed", hint=allowed)
    for scope in scopes:
        if scope not in SCOPES:
            near = nearest(scope, SCOPES)
            meant = "" if near is None else f"did you mean `{near}`? "
            raise UsageError(f"There is no scope `{plain(scope, _SHOWN)}`", hint=meant + allowed)
    return tuple(scope for scope in SCOPES if scope in scopes)
