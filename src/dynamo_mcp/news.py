"""Who has to be told what changed? Names of templates that appeared, changed or vanished, for each listener.

Of hundreds of records those are looked at which the watcher names; all are, at each heartbeat, since it may miss some.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from dynamo_mcp.errors import DynamoError
from dynamo_mcp.registry import SUFFIX, Registry
from dynamo_mcp.types import Template
from dynamo_mcp.watch import HEARTBEAT_MILLISECONDS, changes


class _Seen(msgspec.Struct, frozen=True):
    """What is compared: the record, and the `cookiecutter.json` that its schema comes from."""

    template: Template
    configuration: tuple[int, int, int] | None


class News:
    """Compares what is registered with what was, each time something moves on the disk."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        """Begin with what is registered now.

        Args:
            registry: The records.
            folder: Where they are.
        """
        self._registry = registry
        self._folder = folder
        self._seen = self._look()
        self._looked = -math.inf
        """When all were compared last."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[frozenset[str]]]:
        """Watch while the caller stays in the context; yields an iterator of changes."""
        stop = anyio.Event()
        async with aclosing(self._iterate(stop)) as found:
            yield found
        stop.set()

    async def _iterate(self, stop: anyio.Event) -> AsyncGenerator[frozenset[str]]:
        while not stop.is_set():
            live = self._live()
            self._looked = -math.inf  # nobody has watched meanwhile
            try:
                async for paths in changes(self._folder, live, stop):
                    names = self._compare(paths)
                    if names:
                        yield names
                    if self._live() != live:
                        break
            except OSError:
                # There may be no watcher left for this user, or no descriptor: look again after a while.
                await anyio.sleep(HEARTBEAT_MILLISECONDS / 1000)
                names = self._compare_all()
                if names:
                    yield names

    def _compare(self, paths: frozenset[Path]) -> frozenset[str]:
        """Compare what may have changed; all when it was not compared for a heartbeat, however much changes."""
        of_records = bool(paths) and all(path.parent == self._folder for path in paths)
        if not of_records or time.monotonic() - self._looked > HEARTBEAT_MILLISECONDS / 1000:
            return self._compare_all()
        names = {path.name.removesuffix(SUFFIX) for path in paths if path.name.endswith(SUFFIX)}
        return frozenset(name for name in names if self._has_changed(name))

    def _has_changed(self, name: str) -> bool:
        """Compare one template, and keep it as it is now."""
        template, before = self._registry.find(name), self._seen.pop(name, None)
        now = None if template is None else _Seen(template, _signature(template))
        if now is not None:
            self._seen[name] = now
        return now != before

    def _compare_all(self) -> frozenset[str]:
        self._looked = time.monotonic()
        try:
            now = self._look()
        except DynamoError:  # the records can't be read for now
            return frozenset()
        before, self._seen = self._seen, now
        return frozenset(name for name in before.keys() | self._seen.keys() if before.get(name) != self._seen.get(name))

    def _look(self) -> dict[str, _Seen]:
        return {template.name: _Seen(template, _signature(template)) for template in self._registry.all()}

    def _live(self) -> frozenset[Path]:
        return frozenset(seen.template.path for seen in self._seen.values() if seen.template.location.live)


def _signature(template: Template) -> tuple[int, int, int] | None:
    try:
        status = os.stat(template.path / "cookiecutter.json")
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
