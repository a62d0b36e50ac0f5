"""How is a template fetched from a git repository? One commit, looked at before any of it is checked out.

Where submodules are allowed, theirs are looked at and checked out with it: the whole is one tree, with one set of
limits.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp.disk import ignores_case, remove
from dynamo_mcp.errors import FetchFailed, InvalidTemplate
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import listing, submodules
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.repository import Broken, brought
from dynamo_mcp.sources.source import Brought
from dynamo_mcp.sources.tree import Lint
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location

MOST_PARTS = 20
"""Submodules of a template, those of submodules among them."""


class _Part(msgspec.Struct, frozen=True):
    """What one repository gives to a tree.

    Attributes:
        git: Asks it.
        commit: Which is here.
        path: Where it belongs in the tree; empty for the root.
        links: Those of it, path to object.
    """

    git: Git
    commit: str
    path: str
    links: dict[str, str]


async def fetch(location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress) -> Brought:
    """Fetch one commit's tree, without history.

    Args:
        location: The repository and what is wanted of it.
        tree: The folder to make.
        store: Where mirrors are, and scratch repositories meanwhile.
        settings: Limits, where git is, and what it gets of the operator's environment.
        progress: What the steps are reported to.

    Returns:
        Pinned by the commit, in hexadecimal; whether a branch or a tag of the repository points to it is asked where
        places are trusted.

    Raises:
        FetchFailed: git is missing, or the repository can't be had.
        InvalidLocation: The revision or the directory is not there.
        InvalidTemplate: The tree is too big, or something in it can't be used.
    """
    anew: set[Path] = set()
    while True:
        try:
            return await _fetch(location, tree, store=store, settings=settings, progress=progress)
        except Broken as error:
            path = error.mirror.path
            if settings.offline or path in anew:
                raise FetchFailed(error.message, hint=error.hint) from error
            await error.mirror.discard()
        anew.add(path)
        await progress.detail(f"what was kept of `{location.address}` is damaged; fetching all of it")
        await anyio.to_thread.run_sync(remove, tree)


async def _fetch(location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress) -> Brought:
    async with AsyncExitStack() as stack:
        ignoring = await anyio.to_thread.run_sync(ignores_case, store.scratch)
        lint = Lint(location.address, settings, ignores_case=ignoring)
        opened = await stack.enter_async_context(brought(location, store=store, settings=settings, progress=progress))
        git, commit, listed = opened
        parts: list[_Part] = []
        pending = [(git, commit, location, "", settings)]
        while pending:
            git, revision, place, path, given = pending.pop()
            links, modules = await listing.listed(git, revision, lint, path)
            parts.append(_Part(git, revision, path, links))
            for module in await submodules.found(git, revision, modules, place, given):
                if len(parts) + len(pending) > MOST_PARTS:
                    raise InvalidTemplate(
                        f"`{location.address}` has more than {MOST_PARTS} submodules",
                        hint="ask its author to have fewer, or copy the template and put their files there",
                    )
                git, revision, _ = await stack.enter_async_context(
                    brought(module.location, store=store, settings=module.settings, progress=progress)
                )
                inside = f"{path}/{module.path}" if path else module.path
                pending.append((git, revision, module.location, inside, module.settings))
        await progress.detail(f"checking {len(lint.entries)} files and folders")
        for part in parts:
            await listing.add_links(part.git, part.links, lint)
        await anyio.to_thread.run_sync(lint.finish, location.directory)
        await progress.detail("checking out")
        await anyio.to_thread.run_sync(tree.mkdir)
        for part in parts:  # whatever holds others comes before them
            await part.git.check_out(part.commit, tree / part.path, whole=tree)
    return Brought(commit, listed=listed)
