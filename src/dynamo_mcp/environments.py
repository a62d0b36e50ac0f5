"""Which Python runs it, and is it healthy? Base environments by content, and a clone of one for each template.

A base is made once per key, a digest of interpreter, platform, cookiecutter version and requirements, compiled, and
never written again; one that is made anew has another key, and what runs goes on in the old one (`generations`). A
template's own environment is a clone of its base by hard links: isolated like any other, and made in milliseconds, or
made before (`spares`). All are built in scratch and renamed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from dynamo_mcp.bytecode import share
from dynamo_mcp.disk import words
from dynamo_mcp.errors import Busy, EnvironmentFailed
from dynamo_mcp.generations import Generations
from dynamo_mcp.once import OnceMap, Say, Tell, untold
from dynamo_mcp.pins import Pins
from dynamo_mcp.recorded import all_intact, intact, packages_of, refuse_intruders
from dynamo_mcp.requirements import COOKIECUTTER
from dynamo_mcp.sandbox import CODE
from dynamo_mcp.settings import ANOTHER_PYTHON, Settings
from dynamo_mcp.soundness import Marker, Soundness, health, read_marker, survey
from dynamo_mcp.spares import MARKER, Spares, clone
from dynamo_mcp.store import Store
from dynamo_mcp.types import Environment
from dynamo_mcp.uses import Uses
from dynamo_mcp.uv import Uv

KEY_LENGTH = 16
AT_ONCE = 2 * (os.cpu_count() or 1)
"""Bases that are made at a time: fewer leave processors idle while a disk writes, more only make each of them slower
(`python -m benchmarks packages`)."""
_KEPT = 1000
"""Digests and paths that are kept: to make one takes longer than to look whether it is there."""


class Environments:
    """The environments of one home."""

    def __init__(self, settings: Settings, store: Store, tasks: TaskGroup, at_once: int = AT_ONCE) -> None:
        """Make nothing yet.

        Args:
            settings: The interpreter, and how long uv may take.
            store: The home.
            tasks: Runs the work that several callers share.
            at_once: Bases that are made at a time.
        """
        self._settings = settings
        self._store = store
        self._uv = Uv(settings)
        self._uses = Uses(store)
        self._plain: set[Path] = set()
        self._pins = Pins(store, self._uv)
        self._generations = Generations(store)
        self._bases: OnceMap[str, Marker] = OnceMap(tasks)
        self._renewals: OnceMap[str, None] = OnceMap(tasks)
        self._clones: OnceMap[Path, Environment] = OnceMap(tasks)
        self._soundness = Soundness()
        self._turns = anyio.CapacityLimiter(at_once)
        self.hits = 0
        """How often an environment was there, or ready to be claimed, that was asked for."""
        self.misses = 0
        """How often one had to be made."""
        self._seen: tuple[int, ...] = ()
        self._interpreter: tuple[str, ...] = ()
        self._spares = Spares(settings, store, lambda environment: health(environment) is None)

    def key(self, requirements: tuple[str, ...]) -> str:
        """Return the key of the environments that hold these requirements, of the newest where some were made anew.

        Raises:
            StorageFailed: There is no such interpreter, or the home can't be read.
        """
        return self._generations.newest(self._digest(requirements))

    def _digest(self, requirements: tuple[str, ...]) -> str:
        with words("use the Python interpreter", self._settings.python, hint=ANOTHER_PYTHON):
            status = os.stat(self._settings.python)
        # The file stands for its version, which would cost a process to ask for.
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if seen != self._seen:
            self._seen = seen
            self._interpreter = (
                os.path.realpath(self._settings.python),
                str(status.st_size),
                str(status.st_mtime_ns),
                platform.machine(),
                *platform.libc_ver(),
            )
        return _digest((*self._interpreter, COOKIECUTTER, *requirements))

    def plain(self) -> Path | None:
        """Return the base of cookiecutter alone, which renderers are started with; None as long as it is not whole.

        Raises:
            StorageFailed: There is no such interpreter.
        """
        base = self._base(self.key(()))
        return base if self._soundness.whole(base) else None

    def path(self, template: str, requirements: tuple[str, ...]) -> Path:
        """Return where a template's environment is, or will be."""
        return self.place(template, self.key(requirements))

    def base(self, requirements: tuple[str, ...]) -> Path:
        """Return where the base of the environments that hold these requirements is, or will be."""
        return self._base(self.key(requirements))

    async def ensure(self, template: str, requirements: tuple[str, ...], tell: Tell = untold) -> Environment:
        """Return a template's environment, making or mending it and its base first if need be.

        Args:
            template: Whose.
            requirements: What it holds besides cookiecutter.
            tell: Is told how far it is, in words, while it is made.

        Raises:
            EnvironmentFailed: uv failed, with its message.
            StorageFailed: The disk did.
            Busy: Another process works on it for too long.
        """
        key, plain_key = self.key(requirements), self.key(())  # another process may have others used any time
        path, base, plain = self.place(template, key), self._base(key), self._base(plain_key)
        await self._uses.note(path, base, plain)
        self._plain.add(plain)
        whole = self._soundness.whole
        of_base = whole(base)
        if of_base and (plain == base or whole(plain)):
            marker = whole(path)
            if marker is None and plain == base and self._spares.claim(base, path):
                marker = of_base  # a spare is a clone of it
            if marker is not None:
                self.hits += 1
                return _environment(path, base, plain, marker)
        self.misses += 1
        with self._spares.awaited():
            return await self._clones.get(path, lambda say: self._clone(path, base, plain, requirements, say), tell)

    async def keep_spares(self) -> None:
        """Have clones of the plain base ready, made while nobody waits, for as long as this runs."""
        await self._spares.keep(lambda: self._base(self.key(())))

    async def note(self) -> None:
        """Note that the bases which renderers run from are used, also while those are idle; raises Busy."""
        superseded = await anyio.to_thread.run_sync(self._generations.superseded)
        self._plain = {base for base in self._plain if base.name not in superseded}
        await self._uses.note(*self._plain)

    def superseded(self) -> set[str]:
        """Return the keys of what was made before, and is used by nobody who comes now; raises StorageFailed."""
        return self._generations.superseded()

    async def works(self, environment: Environment) -> bool:
        """Tell whether every installed file is what its package says; nothing of it is run."""
        return await anyio.to_thread.run_sync(all_intact, {environment.base, environment.plain})

    async def rebuild(
        self, template: str, requirements: tuple[str, ...], tell: Tell = untold, *, broken: Environment | None = None
    ) -> Environment:
        """Make a template's environment and its base anew, beside the old ones: what runs in those goes on in them.

        Args:
            template: Whose.
            requirements: What it holds besides cookiecutter.
            tell: As for `ensure`.
            broken: What looks whole and turned out not to work; what somebody else has made anew since will do.

        Raises:
            EnvironmentFailed: As `ensure`, and so are the others; what was there is used as before.
        """
        key = broken.key if broken else self.key(requirements)
        with self._spares.awaited():
            plain = self.key(())
            if requirements and not await anyio.to_thread.run_sync(intact, self._base(plain)):
                await self._renewals.get(plain, lambda say: self._renew(plain, (), say), tell)
            await self._renewals.get(key, lambda say: self._renew(key, requirements, say), tell)
            return await self.ensure(template, requirements, tell)

    async def lacks(self, requirements: tuple[str, ...]) -> str | None:
        """Say why an environment that holds these can't be made, or None; nothing is made.

        Raises:
            EnvironmentFailed: The package index could not be asked; with uv's message.
        """
        return await self._pins.lacks(self._digest(requirements), (COOKIECUTTER, *requirements))

    def place(self, template: str, key: str) -> Path:
        """Return where the environment of a template with this `key` is, or will be."""
        return _place(self._store.home, template, key)

    def _base(self, key: str) -> Path:
        return self._store.home / "bases" / key

    async def _clone(self, path: Path, base: Path, plain: Path, requirements: tuple[str, ...], say: Say) -> Environment:
        if plain != base:
            await self._made(plain.name, (), say)
        marker = await self._made(base.name, requirements, say)
        async with self._store.lock(f"venv-{path.name}"):
            if health(path) is not None:
                async with self._store.staged() as staged:
                    with words("make an environment", path):
                        await anyio.to_thread.run_sync(clone, base, staged)
                    old = await anyio.to_thread.run_sync(self._replace, staged, path)
                await self._store.discard(old)
        return _environment(path, base, plain, marker)

    def _replace(self, staged: Path, path: Path) -> Path:
        """Put a new environment in its place, in one go; return where the old one is, to be removed."""
        old = self._store.set_aside(path)
        with suppress(FileExistsError):  # a spare, which is claimed without the lock
            self._store.publish(staged, path)
        return old

    async def _made(self, key: str, requirements: tuple[str, ...], say: Say) -> Marker:
        base = self._base(key)
        if health(base) is None:
            return read_marker(base)

        async def tell(words: str) -> None:
            say(words)

        return await self._bases.get(key, lambda say: self._make(key, requirements, say), tell)

    async def _make(self, key: str, requirements: tuple[str, ...], say: Say) -> Marker:
        base = self._base(key)
        async with self._turn(say), self._store.lock(f"base-{key}"):
            if health(base) is None:  # another process was faster
                return read_marker(base)
            return await self._build(base, requirements, say)

    async def _renew(self, key: str, requirements: tuple[str, ...], say: Say) -> None:
        """Have another base used than that of a key, unless somebody has done so since."""
        async with self._turn(say), self._store.lock(f"base-{key}"):
            if self.key(requirements) != key:
                return
            anew = uuid.uuid4().hex[:KEY_LENGTH]
            await self._build(self._base(anew), requirements, say)
            self._generations.add(self._digest(requirements), anew)
            await self._store.discard(self._store.home / "spares" / key)

    async def _build(self, base: Path, requirements: tuple[str, ...], say: Say) -> Marker:
        async with self._store.staged() as staged:
            await self._install(staged, self._digest(requirements), (COOKIECUTTER, *requirements), say)
            say("compiling its packages")
            if requirements:
                with words("make an environment", base):
                    await anyio.to_thread.run_sync(share, self._base(self.key(())), staged)
            await self._uv.compile(staged / "lib")
            # What each renderer imports of ours, and may not write: where nobody may, it is compiled each time.
            await self._uv.compile(CODE)
            with words("make an environment", base):
                marker = survey(staged, base.name)
                self._refuse_intruders(staged, requirements)
                (staged / MARKER).write_bytes(msgspec.json.encode(marker))
            # What was there, if anything, serves until the new one is whole.
            old = await anyio.to_thread.run_sync(self._replace, staged, base)
        await self._store.discard(old)
        return marker

    @asynccontextmanager
    async def _turn(self, say: Say) -> AsyncIterator[None]:
        """Wait until few enough make bases: more at a time only make each of them slower.

        Raises:
            Busy: For too long.
        """
        if not self._turns.available_tokens:
            before = self._turns.statistics().tasks_waiting
            say(f"waiting for other environments to be made, {before} more before this one")
        seconds = self._settings.environment_seconds
        try:
            with anyio.fail_after(seconds):
                await self._turns.acquire()
        except TimeoutError as error:
            raise Busy(
                f"{self._turns.total_tokens:g} other environments have been in the making for {seconds:g} seconds",
                hint="try again later",
            ) from error
        try:
            yield
        finally:
            self._turns.release()

    def _refuse_intruders(self, staged: Path, requirements: tuple[str, ...]) -> None:
        plain = self._base(self.key(()))
        if requirements:
            refuse_intruders(packages_of(staged), plain, read_marker(plain).packages, requirements)

    async def _install(self, staged: Path, digest: str, requirements: tuple[str, ...], say: Say) -> None:
        """Make an environment of what is pinned; what the index no longer has is resolved anew, once."""
        known = self._pins.path(digest).exists()
        await self._uv.create(staged)
        if not known:
            say("looking up its packages")
        pinned = await self._pins.ensure(digest, requirements)
        try:
            await self._uv.install(staged, pinned, say)
        except EnvironmentFailed as error:
            # A file that is another one now is somebody's mistake or attack, and never taken without a word.
            if not known or "ash mismatch" in error.message:
                raise
            await self._pins.renew(digest, requirements)
            await self._uv.create(staged)
            await self._uv.install(staged, pinned, say)


def python_of(environment: Path) -> Path:
    """Return an environment's interpreter."""
    return environment / "bin" / "python"


def modules(environment: Path) -> frozenset[str]:
    """Return the names of what can be imported from a whole environment besides the standard library.

    Raises:
        StorageFailed: It can't be read.
    """
    with words("read an environment", environment):
        return frozenset(entry.partition(".")[0] for entry in os.listdir(packages_of(environment)))


def _environment(path: Path, base: Path, plain: Path, marker: Marker) -> Environment:
    return Environment(path, base, plain, marker.key, marker.packages)


@lru_cache(_KEPT)
def _place(home: Path, template: str, key: str) -> Path:
    return home / "venvs" / f"{template}-{key}"


@lru_cache(_KEPT)
def _digest(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_LENGTH]
