"""Which revision is there now where a template comes from? Asked for without fetching it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.source import OWN, checked_revision, failed, source_of
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location

if TYPE_CHECKING:
    from dynamo_mcp.sources.git_command import Git

_HASH = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)
_FULL_HASH = 40


async def revision_there(location: Location, *, store: Store, settings: Settings) -> str | None:
    """Ask where a template comes from what is there now.

    Args:
        location: As the template's record has it.
        store: Where git's scratch repository is kept meanwhile.
        settings: Limits, and how hosts are reached.

    Returns:
        Of git the commit, or as much of its hash as the location names; of an archive the SHA-256 of its file, of a
        folder the digest of its content, in hexadecimal; of a package its version; of an archive elsewhere what its
        host calls this version, as a checkout's `validator`. None where that can't be known
        without a download, or without the network where nothing is to be asked.

    Raises:
        InvalidLocation: The branch, the tag or the folder is there no more.
        FetchFailed: It can't be asked.
    """
    if location.kind == "pypi":
        from dynamo_mcp.sources import pypi  # noqa: PLC0415 - most checks are of repositories

        return await pypi.newest(location, store=store, settings=settings)
    if location.kind == "git":
        away = settings.offline and not location.address.startswith("file://")
        return None if away else await _commit(location, store, settings)
    if location.kind == "archive" and location.address.startswith("/"):
        return await anyio.to_thread.run_sync(partial(_sha256, location.address, settings.template_bytes))
    if location.kind == "local":
        from dynamo_mcp.sources import local  # noqa: PLC0415 - likewise

        return await local.digest_now(location, settings)
    if location.kind == "archive" and not settings.offline:
        from dynamo_mcp.sources import archive  # noqa: PLC0415 - likewise

        return await archive.validator_now(location, settings) or None
    asking = None if location.kind in OWN else getattr(source_of(location.kind), "revision_there", None)
    if asking is None:
        return None
    try:
        return checked_revision(await asking(location, store=store, settings=settings))
    except DynamoError:
        raise
    except Exception as error:
        raise failed(location.kind, error) from error


async def _commit(location: Location, store: Store, settings: Settings) -> str:
    from dynamo_mcp.sources.git_opening import open_git  # noqa: PLC0415 - most commands ask no host
    from dynamo_mcp.sources.obtaining import Redirected, follow  # noqa: PLC0415 - likewise

    wanted = location.revision
    if wanted is not None and len(wanted) == _FULL_HASH and _HASH.fullmatch(wanted):
        return wanted.lower()  # the same for ever
    async with store.staged() as repository:
        git = await open_git(repository, location.address, settings)
        try:
            return await _asked(git, location)
        except Redirected as error:
            return await _asked(await follow(git, error), location)


async def _asked(git: Git, location: Location) -> str:
    """Ask a repository for the commit of what a location names."""
    from dynamo_mcp.sources import obtaining, revisions  # noqa: PLC0415 - see above

    wanted = location.revision
    # In the order in which git itself looks a name up; a tag that is an object of its own is asked for what it is of.
    names = ["HEAD"] if wanted is None else [wanted, f"refs/tags/{wanted}", f"refs/heads/{wanted}"]
    asked = [each for name in names for each in (name, f"{name}^{{}}")]
    done = await git.ask("ls-remote", "--quiet", "--", git.url, *asked)
    if done.code:
        raise obtaining.explain(git, location, done.error)
    if wanted == revisions.LATEST:
        tag = f"refs/tags/{await revisions.latest(git, location)}"
        names, asked = [tag], [tag, f"{tag}^{{}}"]
        done = await git.ask("ls-remote", "--quiet", "--", git.url, *asked)
        if done.code:
            raise obtaining.explain(git, location, done.error)
    lines = (line.partition("\t") for line in done.stdout.decode("utf-8", "replace").splitlines())
    # A name is also matched by what ends in it.
    found = {name: commit for commit, _, name in lines}
    for name in names:
        if commit := found.get(f"{name}^{{}}") or found.get(name):
            return commit
    if wanted is not None and _HASH.fullmatch(wanted):
        return wanted.lower()
    what = f"no branch and no tag `{wanted}` any more" if wanted else "no commit on its default branch"
    raise InvalidLocation(
        f"`{location.address}` has {what}",
        hint="what was fetched is used as before; add the template again from a branch or a tag that is there",
    )


def _sha256(address: str, most: int) -> str:
    """Hash a file; one that is longer than a template may be is none that was taken, and is not read."""
    try:
        # Neither through a link, nor waiting for whoever writes into a pipe.
        with open(os.open(address, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > most:
                return f"{status.st_size} bytes"
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FetchFailed(
            f"Can't read `{address}`: {error.strerror or error}",
            hint="put it back, or add the template from where it is now",
        ) from error
