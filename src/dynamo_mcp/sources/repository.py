"""How is a commit brought here? Into a scratch repository, which borrows from a mirror and adds to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import revisions
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.git_errors import Unreached
from dynamo_mcp.sources.git_opening import open_git
from dynamo_mcp.sources.mirrors import Mirror, mirror_of
from dynamo_mcp.sources.obtaining import Redirected, follow, obtain
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location


class Broken(FetchFailed):
    """What a mirror has lent is not whole.

    Attributes:
        mirror: Which to make anew.
    """

    def __init__(self, error: FetchFailed, mirror: Mirror) -> None:
        """Say what was found out so."""
        super().__init__(error.message, hint=error.hint)
        self.mirror = mirror


@asynccontextmanager
async def brought(
    location: Location, *, store: Store, settings: Settings, progress: Progress
) -> AsyncIterator[tuple[Git, str, bool]]:
    """Yield a git that has a commit's files, the commit, and whether a branch or a tag is known to point to it.

    What fails while the caller stays in the context because a mirror is damaged is `Broken`.

    Args:
        location: The repository and what is wanted of it.
        store: Where the mirror is, and the scratch repository meanwhile.
        settings: Limits, where git is, and what it gets of the operator's environment.
        progress: Is told how much has come.

    Raises:
        Broken: A mirror is damaged.
        FetchFailed: git is missing, or the repository can't be had.
        InvalidLocation: The revision is not there.
        InvalidTemplate: What comes is more than a template and its history may have.
    """
    mirror = await mirror_of(location, store, settings)
    async with store.staged() as repository:
        git = await open_git(repository, location.address, settings, asking=not settings.offline or mirror is None)
        lent = mirror is not None and await mirror.lend(repository)
        try:
            commit, listed, new = await _commit(git, location, mirror, progress)
            yield git, commit, listed
        except Unreached as error:
            kept = mirror is not None and mirror.commit(location) is not None
            more = "; what was fetched before is used with `--offline`" if kept else ""
            raise FetchFailed(error.message, hint=error.hint + more) from error
        except FetchFailed as error:
            if mirror is not None and lent and not isinstance(error, Broken) and await _is_broken(git):
                raise Broken(error, mirror) from error
            raise
        # What was refused in the meantime is not worth keeping.
        if mirror is not None and new:
            await mirror.keep(git.repository, commit, location, listed=listed and bool(settings.trusted))


async def _commit(git: Git, location: Location, mirror: Mirror | None, progress: Progress) -> tuple[str, bool, bool]:
    """Return the commit, which is here then; whether a branch or a tag points to it; and whether its host was asked."""
    settings = git.settings
    if mirror is None:
        await progress.detail(f"fetching `{location.address}`")
        return *await _obtained(git, location, progress), True
    known = mirror.commit(location)
    if settings.offline:
        await progress.detail(f"using what was fetched of `{location.address}` before")
        return *mirror.offline(location, known), False
    await progress.detail(f"fetching `{location.address}`")
    # A whole hash means the same for ever; who may have it here is who has fetched it before.
    whole = known is not None and known == (location.revision or "").lower() and mirror.open_to_all_who_ask
    if known is not None and whole and not settings.trusted:
        return known, True, False
    return *await _obtained(git, location, progress), True


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
