"""Which templates do we know? One record per template, written whole or not at all.

Records are read again whenever their files have changed, so that what another process of the same home did is seen.
Every process of a home renames a whole record into its place, or removes one, and both change the folder's own time: as
long as that is the same, no record of hundreds is looked at. One that a person edits in place changes it not, and is
seen at once where it is asked for by name, and after `TRUSTED_SECONDS` among all.
"""

from __future__ import annotations

import difflib
import operator
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from dynamo_mcp.disk import words
from dynamo_mcp.errors import InvalidName, LimitReached, NameTaken, TemplateNotFound
from dynamo_mcp.once import as_before
from dynamo_mcp.store import Store
from dynamo_mcp.types import Template

NAMED = 20
"""Templates that a hint names at most."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
RESERVED = frozenset({"project"})
SUFFIX = ".json"
TRUSTED_SECONDS = 1.0
"""Seconds for which a folder's time is believed to tell that no record has changed."""
_TICK = 20_000_000
"""Nanoseconds within which two changes may have one time: Linux notes it by a clock of 1 to 10 ms."""
_COARSE_TICK = 2_000_000_000
"""The same where the disk keeps whole seconds, or two."""
_FINE = 1_000_000
"""Nanoseconds of which a time that was noted by a finer clock is hardly ever a multiple."""


def check_name(name: str) -> str:
    """Return the name if a template may have it.

    Raises:
        InvalidName: It may not.
    """
    if not NAME.fullmatch(name):
        raise InvalidName(
            f"`{name}` can't be a template's name",
            hint="use 1 to 40 of the characters `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or a digit",
        )
    if name in RESERVED:
        raise InvalidName(f"The name `{name}` is reserved", hint="choose another name, such as `my-project`")
    return name


class Registry:
    """The records in a home's `templates/`."""

    def __init__(self, store: Store, most: int = sys.maxsize) -> None:
        """Read nothing yet.

        Args:
            store: The home.
            most: Templates that there may be.
        """
        self._store = store
        self._most = most
        self._folder = store.home / "templates"
        self._records: dict[str, tuple[tuple[int, int, int], Template | None]] = {}
        self._all: tuple[Template, ...] = ()
        self._believed: tuple[tuple[int, int], float, tuple[Template, ...]] | None = None
        """The folder as it was before all records were looked at, when that was, and what was found."""

    def all(self) -> tuple[Template, ...]:
        """Return every template, sorted by name; a record that can't be read is left out.

        As long as no record has changed it is the same tuple of the same objects.

        Raises:
            StorageFailed: The folder can't be read.
        """
        before, settled = self._folder_now()
        if (found_before := self._found_before(before)) is not None:
            return found_before
        with words("read the records", self._folder), os.scandir(self._folder) as entries:
            found = {
                entry.name: self._read(entry.name.removesuffix(SUFFIX), entry)
                for entry in entries
                if entry.name.endswith(SUFFIX)
            }
        for gone in self._records.keys() - {file.removesuffix(SUFFIX) for file in found}:
            self._records.pop(gone, None)
        templates = sorted(filter(None, found.values()), key=operator.attrgetter("name"))
        self._all = as_before(templates, self._all)
        # All at once, since a thread may look, too.
        self._believed = (before, time.monotonic(), self._all) if settled else None
        return self._all

    def damaged(self) -> tuple[str, ...]:
        """Return the names of the records that can't be read, sorted; raises StorageFailed as `all`."""
        self.all()
        return tuple(sorted(name for name, (_, template) in self._records.items() if template is None))

    def is_damaged(self, name: str) -> bool:
        """Tell whether there is a record of a name that can't be read; raises StorageFailed as `all`."""
        may_be = bool(NAME.fullmatch(name)) or name in self.damaged()
        return may_be and self._read(name) is None and name in self._records

    @asynccontextmanager
    async def hold_damaged(self, name: str) -> AsyncIterator[None]:
        """Hold a record that can't be read while it is removed.

        Raises:
            TemplateNotFound: It is not there any more, or can be read.
        """
        async with self._store.lock(f"template-{name}"):
            if not self.is_damaged(name):
                raise TemplateNotFound(
                    f"The record of `{name}` was removed or mended meanwhile",
                    hint="`list_templates` says which templates there are",
                )
            yield

    def get(self, name: str) -> Template:
        """Return one template.

        Raises:
            TemplateNotFound: With the nearest names; or its record can't be read.
        """
        template = self.find(name)
        if template is None and self._records.get(name) is not None:
            raise TemplateNotFound(
                f"The record of the template `{name}` can't be read: `{self._path(name)}`",
                hint=f"add the template again under that name, or remove it in a shell: `dynamo-mcp remove {name}`",
            )
        if template is None:
            known = [other.name for other in self.all()]
            if children := [child.name for child in self.group(name)]:
                raise TemplateNotFound(
                    f"`{name}` is a repository of several templates, and none itself",
                    hint=f"name one of them: {_listed(children)}",
                )
            if near := difflib.get_close_matches(name, known, n=3):
                hint = "did you mean " + " or ".join(f"`{other}`" for other in near) + "?"
            elif known:
                hint = f"known are {_listed(known)}"
            else:
                hint = "no template is registered yet: add one with `add_template`"
            raise TemplateNotFound(f"There is no template `{name}`", hint=hint)
        return template

    def find(self, name: str) -> Template | None:
        """Return one template; None where there is none, or its record can't be read."""
        return self._read(name) if NAME.fullmatch(name) else None

    def group(self, name: str) -> tuple[Template, ...]:
        """Return the templates that came with one repository, sorted by name; none if there is no such group."""
        return tuple(template for template in self.all() if template.group is not None and template.group.name == name)

    @asynccontextmanager
    async def claim(self, name: str) -> AsyncIterator[None]:
        """Hold a name while a template is made for it, so that two adds of one name do not both work.

        Raises:
            NameTaken: It is registered already.
            InvalidName: It can't be a name.
            LimitReached: There are as many templates as there may be.
        """
        check_name(name)
        self._refuse_taken(name)
        self.make_room([name])
        async with self._store.lock(f"template-{name}"):
            self._refuse_taken(name)
            yield

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Template]:
        """Hold a registered template while it is changed.

        Raises:
            TemplateNotFound: It is not registered.
        """
        self.get(name)
        async with self._store.lock(f"template-{name}"):
            yield self.get(name)

    @asynccontextmanager
    async def hold_group(self, name: str) -> AsyncIterator[tuple[Template, ...]]:
        """Hold all templates of a group, and its name, while they are changed.

        Raises:
            TemplateNotFound: There is no such group.
        """
        async with self._store.lock(f"template-{name}"), AsyncExitStack() as held:
            for template in self.group(name):
                await held.enter_async_context(self._store.lock(f"template-{template.name}"))
            # Whoever waited for a lock may find less than there was.
            templates = self.group(name)
            if not templates:
                raise TemplateNotFound(f"There is no template `{name}` any more", hint="another caller has removed it")
            yield templates

    def make_room(self, names: Iterable[str]) -> None:
        """Refuse templates beyond what there may be.

        Raises:
            LimitReached: With how many there are.
        """
        known = {template.name for template in self.all()}
        new = {*names} - known
        if new and len(known) + len(new) > self._most:
            raise LimitReached(
                f"{len(new)} more templates can't be registered: {len(known)} are, and {self._most} may be"
                if len(new) > 1
                else f"No more templates can be registered: {len(known)} are, and {self._most} may be",
                hint="remove one with `remove_template`, or let the operator allow more with `DYNAMO_MCP_TEMPLATES`",
            )

    def save(self, template: Template) -> None:
        """Write a template's record; the caller claims or holds its name.

        Raises:
            StorageFailed: It can't be written.
        """
        record = msgspec.json.format(msgspec.json.encode(template, enc_hook=os.fspath), indent=2)
        self._store.write(self._path(template.name), record + b"\n")

    def delete(self, name: str) -> None:
        """Remove a template's record; the caller holds its name.

        Raises:
            StorageFailed: It can't be removed.
        """
        path = self._path(name)
        with words("remove the record", path):
            path.unlink(missing_ok=True)

    def _folder_now(self) -> tuple[tuple[int, int], bool]:
        """Return what is another one once a record is put there or removed, and whether that holds from now on."""
        now = time.time_ns()
        with words("read the records", self._folder):
            status = os.stat(self._folder)
        changed = status.st_mtime_ns
        return (changed, status.st_ino), now - changed > (_TICK if changed % _FINE else _COARSE_TICK)

    def _found_before(self, now: tuple[int, int]) -> tuple[Template, ...] | None:
        """Return all templates as they were found, if nothing can have changed since."""
        if self._believed is None:
            return None
        folder, looked, found = self._believed
        return found if folder == now and time.monotonic() - looked < TRUSTED_SECONDS else None

    def _refuse_taken(self, name: str) -> None:
        template = self._read(name)
        if template is not None:
            raise NameTaken(
                f"There is a template `{name}` already, from `{template.location.address}`",
                hint="choose another with `name`, bring that one up to date with `update_template`, "
                "or remove it first with `remove_template`",
            )
        if children := self.group(name):
            raise NameTaken(
                f"`{name}` is a repository of several templates already, such as `{children[0].name}`",
                hint="choose another name with `name`, bring all of them up to date with `update_template`, "
                "or remove them first with `remove_template`",
            )

    def _read(self, name: str, entry: os.DirEntry[str] | None = None) -> Template | None:
        """Return a template, read again if its record has changed; the record's entry in its folder spares its path."""
        path = entry.path if entry is not None else f"{self._folder}/{name}{SUFFIX}"
        try:
            status = entry.stat() if entry is not None else os.stat(path)
            signature = (status.st_mtime_ns, status.st_size, status.st_ino)
            kept = self._records.get(name)
            if kept is not None and kept[0] == signature:
                return kept[1]
            template: Template | None = msgspec.json.decode(Path(path).read_bytes(), type=Template, dec_hook=_path)
        except OSError:
            self._records.pop(name, None)
            return None
        except (msgspec.DecodeError, UnicodeDecodeError):
            template = None
        if template is not None and (template.name != name or not NAME.fullmatch(name)):
            template = None
        self._records[name] = (signature, template)
        return template

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"`{name}`" for name in names[:NAMED]) + more


def _path(wanted: type, text: str) -> object:
    """Read what msgspec has no form for: the paths."""
    return wanted(text)
