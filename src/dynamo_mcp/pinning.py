"""Is what was fetched what somebody has pinned?

A commit, or a version of a package, is asked for as it is; anything else is compared.
"""

from __future__ import annotations

import re

import msgspec

from dynamo_mcp import sources
from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.types import Checkout, Location, Template

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Target(msgspec.Struct, frozen=True):
    """What a template is to become.

    Attributes:
        location: Where it comes from; updates follow its revision.
        pin: What it has to be: a commit, a package's version, the SHA-256 of an archive's file, or the digest of a
            folder; None for what is there.
        description: None leaves it as it is.
        requirements: Those that are named.
        vouched: A person says so; otherwise a file does, whose word lets nothing more run.
    """

    location: Location
    pin: str | None = None
    description: str | None = None
    requirements: tuple[str, ...] = ()
    vouched: bool = True


async def fetch_pinned(
    location: Location, pin: str | None, *, store: Store, settings: Settings, progress: Progress
) -> Checkout:
    """Fetch what is pinned, or what is there where nothing is.

    Raises:
        InvalidLocation: The pin of a repository is no whole commit; the others are those of `sources.fetch`.
    """
    if pin is not None and location.kind == "git" and not _COMMIT.fullmatch(pin):
        raise InvalidLocation(f"`{pin}` is no commit", hint="pin a repository to a whole hash of 40 digits")
    if pin is not None and location.kind in {"git", "pypi"}:
        location = msgspec.structs.replace(location, revision=pin)
    return await sources.fetch(location, store=store, settings=settings, progress=progress)


def check_pin(template: Template, pin: str | None) -> None:
    """Compare what was fetched.

    Raises:
        FetchFailed: It is something else than what was pinned.
    """
    if pin is None or pin in {template.revision, template.digest}:
        return
    raise FetchFailed(
        f"`{sources.display(template.location)}` is not what `{template.name}` is pinned to: it is "
        f"`{template.revision or template.digest}`, and `{pin}` was wanted",
        hint="bring back what was there, or pin what is there now: update the template where it is registered, and "
        "export it again",
    )
