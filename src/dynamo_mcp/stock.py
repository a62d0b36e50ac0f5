"""What of the home can be made or fetched again, how much is it, and which of it is beyond the limits?"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.environments import KEY_LENGTH
from dynamo_mcp.inventory import (
    BASE,
    CHECKOUT,
    COMPILED,
    ENVIRONMENT,
    PACKAGE,
    Entry,
    Size,
    archives,
    held,
    identity,
    listed,
    measure,
)
from dynamo_mcp.recorded import packages_of
from dynamo_mcp.settings import Settings
from dynamo_mcp.spares import MARKER
from dynamo_mcp.uses import RECENT_SECONDS

DAY = 24 * 3600.0
_NOT_WHEELS = re.compile(r"(?!archive-v)[a-z].*")
"""What uv's cache holds besides: answers of the index, of interpreters, and where the wheels are."""

Result = TypeVar("Result")


class Cached(msgspec.Struct, frozen=True):
    """Something that can be made or fetched again.

    Attributes:
        kind: `environment`, `base`, `compiled`, `mirror`, `package` or `wheel`.
        path: Where it is; None for a wheel, which is uv's.
        used: When it was used last, in seconds since the epoch.
        bytes: Bytes on the disk that go with it.
    """

    kind: str
    name: str
    path: Path | None
    used: float
    bytes: int


class Stock:
    """What is kept, as it was looked at, less what was removed since.

    Attributes:
        bytes: Bytes on the disk of all of it, and of what it rests on.
        environments: How many templates have theirs.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.bytes = 0
        self.environments = 0
        self._cached: list[Cached] = []
        self._clones: Counter[str] = Counter()
        self._cloned: dict[str, float] = {}

    def add(self, each: Cached) -> None:
        """Take in something that can be had again."""
        self._cached.append(each)
        if each.kind == "environment":
            key = each.name[-KEY_LENGTH:]
            self.environments += 1
            self._clones[key] += 1
            self._cloned[key] = max(each.used, self._cloned.get(key, 0.0))

    def remove(self, each: Cached) -> None:
        """Note that something is gone."""
        self.bytes -= each.bytes
        if each.kind == "environment":
            self.environments -= 1
            self._clones[each.name[-KEY_LENGTH:]] -= 1

    def in_order(self) -> list[Cached]:
        """Return all of it, least recently used first; using an environment uses its base."""

        def order(each: Cached) -> tuple[float, bool, str]:
            base = each.kind == "base"
            return (max(each.used, self._cloned.get(each.name, 0.0)) if base else each.used, base, each.name)

        return sorted(self._cached, key=order)

    def beyond(self, each: Cached, settings: Settings, now: float) -> str | None:
        """Say which limit is passed with something, or None; whatever was used within the last hour is within all.

        Args:
            each: Which is there still.
            settings: The limits.
            now: Seconds since the epoch.
        """
        if each.used >= now - RECENT_SECONDS or (each.kind == "base" and self._clones[each.name]):
            return None
        if each.used < now - settings.kept_days * DAY:
            return f"not used for {(now - each.used) / DAY:.0f} days"
        if each.kind == "environment" and self.environments > settings.kept_environments:
            return f"more than {settings.kept_environments} environments"
        if self.bytes > settings.kept_bytes:
            return f"more than {settings.kept_bytes} bytes"
        return None


async def take_stock(home: Path, needed: Collection[Path] | None) -> Stock:
    """Look at a home.

    Args:
        home: Its folder.
        needed: The bases that templates can't do without, among others; None where that is not known of all.
    """
    stock = Stock()
    counted: set[tuple[int, int]] = set()
    spares: Counter[str] = Counter()
    for entry in await paced(listed, home / "spares", BASE):
        size = await paced(measure, entry.path, counted)
        stock.bytes += size.new
        spares[entry.path.name] = size.own
    holding: set[str] = set()
    sizes: dict[str, Size] = {}
    for entry in await paced(listed, home / "bases", BASE):
        size = sizes[entry.path.name] = await paced(measure, entry.path, counted)
        stock.bytes += size.new
        with contextlib.suppress(OSError):
            holding |= held(packages_of(entry.path))
        if needed is not None and entry.path not in needed:
            stock.add(_cached("base", entry, size.own + spares[entry.path.name]))
    for entry in await paced(listed, home / "venvs", ENVIRONMENT):
        base = home / "bases" / entry.path.name[-KEY_LENGTH:]
        size = await paced(_of_clone, entry.path, base, sizes.get(base.name), counted)
        stock.bytes += size.new
        stock.add(_cached("environment", entry, size.own))
    others = (
        ("compiled", "compiled", COMPILED, False),
        ("package", "packages", PACKAGE, False),
        ("mirror", "mirrors", CHECKOUT, True),
    )
    for kind, folder, names, folders in others:
        for entry in await paced(listed, home / folder, names, folders=folders):
            size = await paced(measure, entry.path, counted)
            stock.bytes += size.new
            stock.add(_cached(kind, entry, size.own))
    await _take_wheels(stock, home / "wheels", counted, holding)
    return stock


def _of_clone(environment: Path, base: Path, size: Size | None, counted: set[tuple[int, int]]) -> Size:
    """Measure an environment: where one file is its base's, all are, and only the folders are its own.

    Thousands of files in each of hundreds of environments are not worth looking at for what somebody put there besides.
    """
    if size is not None and identity(environment / MARKER) == identity(base / MARKER) is not None:
        return Size(size.folders, size.folders, size.folders, 0.0)
    return measure(environment, counted)


async def _take_wheels(stock: Stock, wheels: Path, counted: set[tuple[int, int]], holding: set[str]) -> None:
    """Take in the distributions of uv's cache that no base holds; uv removes one with all its versions.

    Those that a base holds stay: they are the same files, so that nothing would be gained.
    """
    for entry in await paced(listed, wheels, _NOT_WHEELS):
        stock.bytes += (await paced(measure, entry.path, counted)).new
    found: dict[str, Cached] = {}
    for name, path in await paced(archives, wheels):
        size = await paced(measure, path, counted)
        stock.bytes += size.new
        if name not in holding:
            known = found.get(name, Cached("wheel", name, None, 0.0, 0))
            found[name] = Cached("wheel", name, None, max(known.used, size.linked), known.bytes + size.own)
    for wheel in found.values():
        stock.add(wheel)


async def paced(work: Callable[..., Result], *arguments: object, **options: object) -> Result:
    """Do something in a thread, and then nothing for as long as it took, so that others go on."""
    began = anyio.current_time()
    done = await anyio.to_thread.run_sync(lambda: work(*arguments, **options))
    await anyio.sleep(anyio.current_time() - began)
    return done


def _cached(kind: str, entry: Entry, own: int) -> Cached:
    return Cached(kind, entry.path.name, entry.path, entry.used, own)
