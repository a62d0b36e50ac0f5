"""What is here already of a repository elsewhere? One mirror of each, which all its templates and revisions share.

A mirror holds objects, as git's own packs, and a record of what they are: nothing else of a repository, so that it has
no configuration, no hook and no reference that anybody could obey. Git never writes into it. A fetch runs in a scratch
repository that borrows the mirror's objects and says to the host that it has them, so that only what is new comes. What
came, checked by git, is linked into the mirror, and then the record is replaced. So whatever is killed, and whenever, a
mirror is as it was or holds more; and two processes may fetch at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.errors import FetchFailed, StorageFailed
from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import ABBREVIATIONS
from dynamo_mcp.sources.tokens import token_for
from dynamo_mcp.sources.wording import ONLINE, shown
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from dynamo_mcp.uses import Uses

FOLDER = "mirrors"
RECORD = "known.json"
MOST_KNOWN = 200
"""Commits and names that a record tells: the last ones that were asked for."""
MOST_PACKS = 60
"""Packs of a mirror: git looks through all of them for each object."""
FACTOR = 8
"""Bytes of a mirror per byte that a template may have, at most."""
_DIGITS = 32
_FULL_HASH = 40
_DEFAULT = "HEAD"
_HOSTS = "|".join(re.escape(urlsplit(address).netloc) for address in ABBREVIATIONS.values())
_ONE_WITHOUT = re.compile(rf"(?:https://|ssh://git@|git@)(?:{_HOSTS})[/:]")
"""Addresses of hosts that take `x` and `x.git` for one repository; to others they may be two."""

_Value = TypeVar("_Value")
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]


class Known(msgspec.Struct, frozen=True):
    """What a mirror holds.

    Attributes:
        names: What was asked for, and the commit that it was.
        commits: Those whose files are all here, and whether a branch or a tag is known to have pointed to it.
        shallow: Those whose history is not.
        public: Somebody who is no person has fetched it without a token, too.
    """

    names: dict[str, _Hash] = {}
    commits: dict[_Hash, bool] = {}
    shallow: tuple[_Hash, ...] = ()
    public: bool = False


class Mirror:
    """The mirror of one repository, as it was when it was looked at; `mirror_of` returns it."""

    def __init__(self, path: Path, known: Known, store: Store, settings: Settings, *, signs_in: bool) -> None:
        """Use `mirror_of` instead."""
        self._signs_in = signs_in
        self.path = path
        self.known = known
        self._store = store
        self._settings = settings

    @property
    def open_to_all_who_ask(self) -> bool:
        """Whether who asks may have what is here without the host's word.

        A person may, and who has a token for it; others once somebody without either has fetched it.
        """
        return self._settings.person or self.known.public or self._signs_in

    async def lend(self, repository: Path) -> bool:
        """Let a scratch repository have what is here; return whether there is anything.

        Args:
            repository: Of git's own form, and empty.
        """
        if not self.known.commits:
            return False
        await anyio.to_thread.run_sync(self._lend, repository)
        return True

    def _lend(self, repository: Path) -> None:
        info = repository / "objects" / "info"
        info.mkdir(exist_ok=True)
        (info / "alternates").write_text(f"{self.path}/objects\n", "utf-8")
        if self.known.shallow:
            (repository / "shallow").write_text("".join(f"{each}\n" for each in self.known.shallow), "ascii")
        references = "".join(f"{each} refs/dynamo/kept/{each}\n" for each in sorted(self.known.commits))
        (repository / "packed-refs").write_text(f"# pack-refs with: sorted \n{references}", "ascii")

    def commit(self, location: Location) -> str | None:
        """Return the commit that a location was when it was fetched last, or is whenever; None where it is not here."""
        wanted = location.revision or _DEFAULT
        if len(wanted) == _FULL_HASH and wanted.lower() in self.known.commits:
            return wanted.lower()
        found = self.known.names.get(wanted)
        return found if found in self.known.commits else None

    def offline(self, location: Location, known: str | None) -> tuple[str, bool]:
        """Return a commit that nobody is asked for, and whether a branch or a tag is known to have pointed to it.

        Raises:
            FetchFailed: It is not here, or only a person may have it.
        """
        wanted = location.revision or _DEFAULT
        if known is None or not self.open_to_all_who_ask:
            names = ", ".join(shown(name) for name in list(self.known.names)[-5:]) if known is None else ""
            raise FetchFailed(
                f"`{location.address}` was not fetched as `{wanted}` before, and nothing is asked for offline",
                hint=f"{ONLINE}, until it is fetched once" + (f"; kept are {names}" if names else ""),
            )
        return known, location.revision is None or not self._settings.trusted or self.known.commits[known]

    async def keep(self, repository: Path, commit: str, location: Location, *, listed: bool) -> None:
        """Take in what a fetch has brought; where that can't be, the mirror stays as it was.

        Args:
            repository: The scratch repository that has borrowed from here.
            commit: What was asked for.
            location: How it was asked for.
            listed: A branch or a tag points to it.

        Raises:
            Busy: Another process works on the mirror for too long.
        """
        async with self._store.lock(f"mirror-{self.path.name}"):
            with contextlib.suppress(OSError, StorageFailed):
                await anyio.to_thread.run_sync(partial(self._keep, repository, commit, location, listed=listed))

    def _keep(self, repository: Path, commit: str, location: Location, *, listed: bool) -> None:
        known = _read(self.path)
        objects = repository / "objects"
        loose = any(len(name) == 2 for name in os.listdir(objects))  # noqa: PLR2004 - the first digits of a hash
        if loose or not self.known.commits.keys() <= known.commits.keys():
            return  # from a plain file server; or what was borrowed is not here any more
        packs = self.path / "objects" / "pack"
        packs.mkdir(parents=True, exist_ok=True)
        # Git sees a pack by its index, so that comes last.
        for suffix in ("pack", "rev", "idx"):
            for path in (objects / "pack").glob(f"pack-*.{suffix}"):
                with contextlib.suppress(FileExistsError):
                    (packs / path.name).hardlink_to(path)
        new = Known(
            _latest(known.names, location.revision or _DEFAULT, commit),
            _latest(known.commits, commit, listed or known.commits.get(commit, False)),
            tuple(sorted({*known.shallow, *_shallow(repository)})),
            known.public or not (self._settings.person or self._signs_in),
        )
        self._store.write(self.path / RECORD, msgspec.json.encode(new), force=False)

    async def discard(self) -> None:
        """Remove the mirror, which is not whole, or more than it may be; who borrows from it has to begin anew."""
        async with self._store.lock(f"mirror-{self.path.name}"):
            await self._store.discard(self.path)


async def mirror_of(location: Location, store: Store, settings: Settings) -> Mirror | None:
    """Return the mirror of a location's repository, which may be empty; None for one on this machine.

    Raises:
        Busy: A lock is held for too long.
    """
    path = mirror_path(location, store.home)
    if path is None:
        return None
    await Uses(store).note(path)
    known = await anyio.to_thread.run_sync(_read, path)
    signs_in = token_for(location.address, settings.tokens) is not None
    mirror = Mirror(path, known, store, settings, signs_in=signs_in)
    if known.commits and not settings.offline and await anyio.to_thread.run_sync(_is_beyond, path, settings):
        await mirror.discard()  # what is asked for comes anew, and nothing of what was before
        mirror = Mirror(path, Known(), store, settings, signs_in=signs_in)
    return mirror


def mirror_path(location: Location, home: Path) -> Path | None:
    """Return where the mirror of a location's repository is or would be; None where it has none."""
    if location.kind != "git" or location.address.startswith(("file://", "/")):
        return None
    address = location.address
    if "://" in address:
        parts = urlsplit(address)
        address = parts._replace(netloc=parts.netloc.lower()).geturl()
    address = address.rstrip("/")
    if _ONE_WITHOUT.match(address):
        address = address.removesuffix(".git")
    return home / FOLDER / hashlib.sha256(address.encode()).hexdigest()[:_DIGITS]


def _read(path: Path) -> Known:
    """Return what a mirror holds: nothing where its record is missing or damaged."""
    try:
        return msgspec.json.decode((path / RECORD).read_bytes(), type=Known)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Known()


def _is_beyond(path: Path, settings: Settings) -> bool:
    """Tell whether a mirror is more than it may be."""
    packs = [pack.stat().st_size for pack in (path / "objects" / "pack").glob("*.pack")]
    return len(packs) > MOST_PACKS or sum(packs) > FACTOR * settings.template_bytes


def _shallow(repository: Path) -> list[str]:
    try:
        return (repository / "shallow").read_text("ascii").split()
    except FileNotFoundError:
        return []


def _latest(known: dict[str, _Value], name: str, value: _Value) -> dict[str, _Value]:
    """Return what is known with one thing more, which is the last one; the first ones are forgotten."""
    items = [item for item in known.items() if item[0] != name]
    return dict([*items, (name, value)][-MOST_KNOWN:])
