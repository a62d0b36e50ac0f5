"""How does a commit get here? Alone where the host allows it, by a name or a hash; else with all that leads to it."""

from __future__ import annotations

import re

import msgspec

from dynamo_mcp.errors import DynamoError, FetchFailed
from dynamo_mcp.progress import Progress
from dynamo_mcp.sources import redirects, revisions
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.types import Location

HASH = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)
_EVERYTHING = ("+refs/heads/*:refs/dynamo/heads/*", "+refs/tags/*:refs/dynamo/tags/*")
_NOT_OFFERED = re.compile(r"couldn't find remote ref|not our ref|unadvertised object|no such remote ref", re.IGNORECASE)
_ELSEWHERE = re.compile(r"returned error: 30\d")
_ASKED_FIRST = "/info/refs?service=git-upload-pack"
_NOT_SHALLOW = "does not support shallow"


class Redirected(FetchFailed):
    """The host says to ask elsewhere."""


async def follow(git: Git, error: Redirected) -> Git:
    """Return a git that asks where an address was redirected to; only what git asks first may be redirected.

    Raises:
        FetchFailed: Nothing leads on.
        InvalidLocation: It leads where no address may.
    """
    url, route = await redirects.follow(git.address, asking=_ASKED_FIRST, settings=git.settings)
    if url == git.address:
        raise error
    return git.moved(url, route)


async def obtain(git: Git, location: Location, progress: Progress) -> str:
    """Fetch what was asked for by name, else by hash, and return its commit.

    Args:
        git: Asks the repository, and keeps what comes.
        location: What is wanted.
        progress: Is told how much has come.

    Raises:
        Redirected: The host says to ask elsewhere.
        FetchFailed: It can't be had.
        InvalidLocation: The revision is not there.
        InvalidTemplate: What comes is more than a template and its history may have.
    """
    if location.revision == revisions.LATEST:
        tag = await revisions.latest(git, location)
        await progress.detail(f"the newest version of `{location.address}` is `{tag}`")
        location = msgspec.structs.replace(location, revision=f"refs/tags/{tag}")
    revision = location.revision or "HEAD"
    # The `+` keeps git from reading a branch called `tag` as its own keyword.
    said = await _fetch_shallow(git, location, f"+{revision}", progress)
    if said is None:
        return await revisions.commit(git, "FETCH_HEAD", location)
    if location.revision is None:
        raise FetchFailed(
            f"`{location.address}` has no commit on its default branch",
            hint="name a branch, a tag or a commit as `checkout`, and check that it is a repository",
        )
    if not HASH.fullmatch(revision):
        raise await revisions.unknown(git, location)
    await progress.detail(f"looking for commit `{revision}` in the history of `{location.address}`")
    # What a mirror has lent goes no further back than its commits.
    shallow = (git.repository / "shallow").exists()
    said = await git.fetch(*(["--unshallow"] if shallow else []), "--", git.url, *_EVERYTHING, progress=progress)
    if said is not None:
        raise git.explain(location, said)
    return await revisions.commit(git, revision, location)


async def _fetch_shallow(git: Git, location: Location, wanted: str, progress: Progress) -> str | None:
    """Fetch a name or a full hash; return what git said if the repository does not offer it."""
    said = await git.fetch("--depth=1", "--", git.url, wanted, progress=progress)
    if said is not None and _NOT_SHALLOW in said:  # a plain file server
        said = await git.fetch("--", git.url, wanted, progress=progress)
    if said is not None and not _NOT_OFFERED.search(said):
        raise explain(git, location, said)
    return said


def explain(git: Git, location: Location, said: str) -> DynamoError:
    """Return the error for what git said of a host: `Redirected` where that says to ask elsewhere."""
    error = git.explain(location, said)
    return Redirected(error.message, hint=error.hint) if _ELSEWHERE.search(said) else error
