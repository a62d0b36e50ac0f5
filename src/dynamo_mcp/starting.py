"""How does a worker start, and which one fits a job? It is started with what all the jobs that it fits may see."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.confining import Confining
from dynamo_mcp.disk import remove, words
from dynamo_mcp.errors import RendererFailed
from dynamo_mcp.sandbox.grants import granted
from dynamo_mcp.sandbox.launch import START_SECONDS, Launch, bubblewrap, launched, needed, packages
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.sandbox.user import FOLDER, available, claimed, readable
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.types import Backend, Template
from dynamo_mcp.workers import Key, Worker


class Starting:
    """Starts the workers of one server."""

    def __init__(self, settings: Settings, store: Store, confining: Confining, compiled: Path) -> None:
        """Start nothing yet.

        Args:
            settings: Of the server.
            store: The home.
            confining: What this machine offers.
            compiled: Where what jobs need not work out again is kept.
        """
        self._settings = settings
        self._store = store
        self._confining = confining
        self._compiled = compiled

    async def key(self, template: Template, plain: Path, permission: Permission) -> Key:
        """Return which workers fit a template's jobs.

        Args:
            template: Whose.
            plain: The base environment of cookiecutter alone.
            permission: What may run of it.
        """
        confinement = await self._confining.confinement()
        landlock = any(name.startswith("landlock") for name in confinement.mechanisms)
        return Key(
            plain,
            permission.confined,
            template.checkout if template.location.live else None,
            None if landlock or not permission.confined else template.name,
            permission.trust == "full",
            granted(template.name, permission.grants, self._settings),
            confinement.backend if permission.confined else None,
        )

    def likely(self, template: Template, plain: Path) -> Key | None:
        """Return which workers will fit a contained template's jobs, if this machine is what most of them are.

        Args:
            template: Whose.
            plain: The base environment of cookiecutter alone.

        Returns:
            None where nobody has to guess, since it is known what this machine offers, or where nothing is likely.

        Raises:
            UsageError: Something that the template was granted is not there.
        """
        if self._confining.probed or template.trust != "contained" or bubblewrap(self._settings) is None:
            return None
        live = template.checkout if template.location.live else None
        grants = granted(template.name, template.grants, self._settings)
        return Key(plain, confined=True, live=live, template=None, full=False, grants=grants, backend="bubblewrap")

    async def start(self, key: Key) -> Worker:
        """Start a worker, and return it when it is warm.

        Raises:
            RendererFailed: It can't be started.
            StorageFailed: The disk is full, or the like.
        """
        room = self._store.scratch / f"renderer-{uuid.uuid4().hex}"
        stack = AsyncExitStack()
        stack.push_async_callback(anyio.to_thread.run_sync, remove, room)
        try:
            with words("start a renderer", room):
                worker = await self._start(key, room, stack)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await stack.aclose()
            raise
        return worker

    async def _start(self, key: Key, room: Path, stack: AsyncExitStack) -> Worker:
        room.mkdir()
        room.chmod(0o700)  # nobody else gets at what a template makes, and it inherits no set-gid bit
        home = self._settings.home
        launch = Launch(
            python=key.plain / "bin" / "python",
            packages=packages(key.plain),
            visible=(
                home / "bases",
                home / "venvs",
                home / "checkouts",
                self._compiled,
                *([key.live] if key.live else []),
            ),
            room=room,
            bubblewrap=bubblewrap(self._settings) if key.backend == "bubblewrap" else None,
            git_identity=await self._confining.git_identity(),
            own=self._settings.environment if key.full else None,
            grants=key.grants,
        )
        launch = await self._with_user(launch, key.backend, stack)
        at = await stack.enter_async_context(launched(launch, self._settings))
        worker = Worker(key, at, stack, self._settings)
        try:
            with anyio.fail_after(START_SECONDS):
                await worker.greet()
        except TimeoutError as error:
            raise RendererFailed(
                f"A renderer was not ready after {START_SECONDS:g} seconds", hint="try again on a less busy machine"
            ) from error
        return worker

    async def _with_user(self, launch: Launch, backend: Backend | None, stack: AsyncExitStack) -> Launch:
        """Have root's jobs become a user of their own; under bubblewrap they do without where that can't be."""
        user = None
        if backend is not None and available() and all(readable(path) for path in needed(launch)):
            user = await stack.enter_async_context(claimed(self._settings.python))
        if backend == "user" and user is None:
            raise RendererFailed(
                "There is no user that a renderer's jobs could become",
                hint=f"make `{FOLDER}` a folder that only root may write to, or install bubblewrap",
            )
        return msgspec.structs.replace(launch, user=user)
