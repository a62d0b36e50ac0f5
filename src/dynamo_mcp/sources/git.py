"""How is a template fetched from a git repository? One commit, looked at before any of it is checked out.

A scratch repository fetches it, and borrows what the mirror of that repository has already; what came is then added to
the mirror. A repository on this machine has no mirror: it is one.
"""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread

from dynamo_mcp.disk import ignores_case, remove
from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import listing, revisions
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.git_errors import Unreached
from dynamo_mcp.sources.git_opening import open_git
from dynamo_mcp.sources.mirrors import Mirror, mirror_of
from dynamo_mcp.sources.obtaining import Redirected, follow, obtain
from dynamo_mcp.sources.tree import Lint
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location


class _Broken(FetchFailed):
    """What a mirror has lent is not whole."""


async def fetch(
    location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress
) -> tuple[str, bool]:
    """Fetch one commit's tree, without history.

    Args:
        location: The repository and what is wanted of it.
        tree: The folder to make.
        store: Where the mirror is, and the scratch repository meanwhile.
        settings: Limits, where git is, and what it gets of the operator's environment.
        progress: What the steps are reported to.

    Returns:
        The commit, in hexadecimal; and whether a branch or a tag of the repository points to it, which is asked where
        places are trusted.

    Raises:
        FetchFailed: git is missing, or the repository can't be had.
        InvalidLocation: The revision or the directory is not there.
        InvalidTemplate: The tree is too big, or something in it can't be used.
    """
    mirror = await mirror_of(location, store, settings)
    try:
        return await _fetch(location, tree, mirror, store=store, settings=settings, progress=progress)
    except _Broken as error:
        if mirror is None or settings.offline:
            raise FetchFailed(error.message, hint=error.hint) from error
        await mirror.discard()
    await progress.detail(f"what was kept of `{location.address}` is damaged; fetching all of it")
    await anyio.to_thread.run_sync(remove, tree)
    mirror = await mirror_of(location, store, settings)
    return await _fetch(location, tree, mirror, store=store, settings=settings, progress=progress)


async def _fetch(
    location: Location, tree: Path, mirror: Mirror | None, *, store: Store, settings: Settings, progress: Progress
) -> tuple[str, bool]:
    async with store.staged() as repository:
        asking = not settings.offline or mirror is None
        git = await open_git(repository, location.address, settings, asking=asking)
        lent = mirror is not None and await mirror.lend(repository)
        try:
            commit, listed = await _commit(git, location, mirror, progress)
            ignoring = await anyio.to_thread.run_sync(ignores_case, store.scratch)
            lint = Lint(location.address, settings, ignores_case=ignoring)
            links = await listing.listed(git, commit, lint)
            await progress.detail(f"checking {len(lint.entries)} files and folders")
            await listing.add_links(git, links, lint)
            await anyio.to_thread.run_sync(lint.finish, location.directory)
            await progress.detail("checking out")
            await anyio.to_thread.run_sync(tree.mkdir)
            await git.check_out(commit, tree)
        except Unreached as error:
            kept = lent and mirror is not None and mirror.commit(location) is not None
            more = "; what was fetched before is used with `--offline`" if kept else ""
            raise FetchFailed(error.message, hint=error.hint + more) from error
        except FetchFailed as error:
            if lent and await _is_broken(git):
                raise _Broken(error.message, hint=error.hint) from error
            raise
    return commit, listed


async def _commit(git: Git, location: Location, mirror: Mirror | None, progress: Progress) -> tuple[str, bool]:
    """Return the commit, which is here then; and whether a branch or a tag points to it."""
    settings = git.settings
    if mirror is None:
        await progress.detail(f"fetching `{location.address}`")
        return await _obtained(git, location, progress)
    known = mirror.commit(location)
    if settings.offline:
        await progress.detail(f"using what was fetched of `{location.address}` before")
        return mirror.offline(location, known)
    await progress.detail(f"fetching `{location.address}`")
    if known is not None and known == (location.revision or "").lower():
        # A whole hash means the same for ever.
        return known, not settings.trusted or await revisions.is_listed(git, known, location)
    commit, listed = await _obtained(git, location, progress)
    await mirror.keep(git.repository, commit, location, listed=listed and bool(settings.trusted))
    return commit, listed


async def _obtained(git: Git, location: Location, progress: Progress) -> tuple[str, bool]:
    try:
        commit = await obtain(git, location, progress)
    except Redirected as error:
        git = await follow(git, error)
        commit = await obtain(git, location, progress)
    wanted = location.revision is not None and bool(git.settings.trusted)
    return commit, not wanted or await revisions.is_listed(git, commit, location)


async def _is_broken(git: Git) -> bool:
    """Tell whether something of what was lent, or fetched, is missing or damaged."""
    done = await git.run("fsck", "--full", "--no-dangling", "--no-progress")
    return done.code != 0
