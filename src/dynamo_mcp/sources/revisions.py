"""Which commit of a repository is meant? By a name, by a hash or the beginning of one, or as the newest version."""

from __future__ import annotations

import difflib

from packaging.version import Version

from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidLocation
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.wording import shown
from dynamo_mcp.types import Location

LATEST = "latest"
"""Asked for as a revision, it is the newest version; a branch or a tag of that name is `refs/heads/latest`."""
_SUGGESTED = 5
_NAMES_BYTES = 32 << 20
"""Bytes of the names of all branches and tags that are read."""


async def latest(git: Git, location: Location) -> str:
    """Return the tag of the newest version (PEP 440): a final release if there is one.

    Args:
        git: Asks the repository.
        location: For messages.

    Raises:
        FetchFailed: The repository can't be had, or has more names than are read.
        InvalidLocation: No tag of it is a version.
    """
    tags = await _names(git, location, "--tags")
    versions = [(version, tag) for tag in tags if (version := _version(tag)) is not None]
    if not versions:
        known = ", ".join(shown(tag) for tag in sorted(tags)[:_SUGGESTED])
        raise InvalidLocation(
            f"`{location.address}` has no tag that is a version, of which `{LATEST}` would be the newest",
            hint="name a branch, a tag or a commit as `checkout`, or leave it out for the default branch"
            + (f"; tags there: {known}" if known else ""),
        )
    finals = [found for found in versions if not found[0].is_prerelease]
    return max(finals or versions)[1]


def _version(tag: str) -> Version | None:
    try:
        return Version(tag)
    except ValueError:  # also of what has more digits than Python reads
        return None


async def commit(git: Git, name: str, location: Location) -> str:
    """Return the commit that a name or the beginning of a hash means in what was fetched.

    Raises:
        InvalidLocation: There is none, or more than one.
        FetchFailed: The repository can't be asked for what there is instead.
    """
    done = await git.run("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if not done.code:
        return done.stdout.decode().strip()
    if "ambiguous" in done.error:
        raise InvalidLocation(
            f"More than one commit of `{location.address}` begins with `{location.revision}`",
            hint="give more of the commit's hash",
        )
    raise await unknown(git, location)


async def is_listed(git: Git, commit: str, location: Location) -> bool:
    """Tell whether a branch or a tag points to a commit, whatever the name was that it was asked for by."""
    done = await git.ask("ls-remote", "--quiet", "--heads", "--tags", "--", git.url, limit=_NAMES_BYTES)
    if done.code:
        raise git.explain(location, done.error)
    return commit.encode() in {line.partition(b"\t")[0] for line in done.stdout.splitlines()}


async def unknown(git: Git, location: Location) -> DynamoError:
    """Return the error for a revision that is not there, with the names that are most like it."""
    try:
        names = await _names(git, location, "--heads", "--tags")
    except DynamoError as error:
        return error
    wanted = location.revision or ""
    near = difflib.get_close_matches(wanted, names, _SUGGESTED, 0.4) or names[:_SUGGESTED]
    known = ", ".join(shown(name) for name in near)
    return InvalidLocation(
        f"`{location.address}` has no branch, tag or commit `{wanted}`",
        hint=f"revisions there: {known}" if known else "it has no branch and no tag",
    )


async def _names(git: Git, location: Location, *kinds: str) -> list[str]:
    """Return the branches or tags of a repository, without what git writes before them."""
    done = await git.ask("ls-remote", "--quiet", *kinds, "--refs", "--", git.url, limit=_NAMES_BYTES)
    if done.code:
        raise git.explain(location, done.error)
    if len(done.stdout) >= _NAMES_BYTES:
        raise FetchFailed(
            f"`{location.address}` has more branches and tags than are read", hint="name a commit by its whole hash"
        )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [name.split("/", 2)[2] for line in lines if (name := line.partition("\t")[2]).count("/") > 1]
