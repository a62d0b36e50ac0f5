"""Where do templates come from? What was typed becomes a `Location`, and a location becomes a `Checkout`.

A checkout lies in `checkouts/` under the digest of its content and appears there whole or not at all; the same content
fetched twice, by whatever way, is there once. A live folder is used where it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.errors import DynamoError, InvalidName, TimedOut
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import local
from dynamo_mcp.sources.addresses import parse
from dynamo_mcp.sources.source import OWN, Brought, checked, failed, source_of
from dynamo_mcp.sources.tree import digest
from dynamo_mcp.sources.wording import safe_address
from dynamo_mcp.store import Store
from dynamo_mcp.types import Checkout, Location
from dynamo_mcp.uses import Uses

__all__ = ["default_name", "display", "fetch", "fetched", "parse"]

_DIGITS = 32
_LONGEST_NAME = 40
_OF_REPOSITORY = re.compile(r"^(https://[^/]+(?:/[^/]+)+?)/(?:-/)?archive/.*$")
"""What hosts make of a repository: its name says more than that of the branch or tag."""
_ENDING = re.compile(r"\.(?:zip|tar|t[a-z0-9]+)?(?:\.[a-z0-9]+)?$", re.IGNORECASE)


async def fetch(location: Location, *, store: Store, settings: Settings, progress: Progress) -> Checkout:
    """Fetch a template's tree, look it over, and publish it.

    Args:
        location: Where it is.
        store: Where it is kept.
        settings: Limits, and what git needs to know.
        progress: What the steps are reported to.

    Raises:
        InvalidLocation: The folder, revision or directory is not there.
        InvalidTemplate: The tree is too big, or something in it can't be used.
        NotATemplate: A package holds no template, or several.
        FetchFailed: It can't be had.
        TimedOut: It took longer than it may.
    """
    try:
        with anyio.fail_after(settings.fetch_seconds):
            if location.live:
                return await local.inspect(location, settings=settings, progress=progress)
            return await _fetch(location, store=store, settings=settings, progress=progress)
    except TimeoutError as error:
        raise TimedOut(
            f"Fetching `{display(location)}` took more than {settings.fetch_seconds:g} seconds",
            hint="try again, or allow more with `DYNAMO_MCP_FETCH_SECONDS`",
        ) from error


async def _fetch(location: Location, *, store: Store, settings: Settings, progress: Progress) -> Checkout:
    async with store.staged() as tree:
        brought = await _bring(location, tree, store=store, settings=settings, progress=progress)
        content = await anyio.to_thread.run_sync(digest, tree)
        path = store.home / "checkouts" / content[:_DIGITS]
        # One that is there may be what nothing names: from now on it is wanted.
        await Uses(store).note(path)
        async with store.lock(f"checkout-{path.name}"):
            await anyio.to_thread.run_sync(partial(_publish, store, tree, path))
    return Checkout(path, digest=content, **msgspec.structs.asdict(brought))


async def _bring(location: Location, tree: Path, *, store: Store, settings: Settings, progress: Progress) -> Brought:
    fetch = source_of(location.kind).fetch
    if location.kind in OWN:
        return await fetch(location, tree, store=store, settings=settings, progress=progress)
    async with store.staged() as folder:
        try:
            brought = checked(await fetch(location, folder, store=store, settings=settings, progress=progress))
        except DynamoError:
            raise
        except Exception as error:
            raise failed(location.kind, error) from error
        # Whatever a package's source has made is a folder like any other.
        there = msgspec.structs.replace(location, kind="local", address=str(folder))
        left_out = await local.copy(there, tree, called=location.address, settings=settings)
    return msgspec.structs.replace(brought, left_out=left_out)


def _publish(store: Store, tree: Path, path: Path) -> None:
    if not path.is_dir():
        store.publish(tree, path)


def default_name(location: Location) -> str:
    """Return the name that a template gets when nobody gives it one.

    Raises:
        InvalidName: Nothing of the location can be a name.
    """
    place = location.directory or unquote(location.address)
    if location.kind == "archive" and location.directory is None:
        place = _ENDING.sub("", _OF_REPOSITORY.sub(r"\1", place))
    last = re.split(r"[/:]", place.rstrip("/"))[-1].removesuffix(".git").lower()
    bare = re.sub(r"-(?:cookiecutter|template)$", "", last.removeprefix("cookiecutter-"))
    name = re.sub(r"[^a-z0-9._-]+", "-", bare).lstrip("._-")[:_LONGEST_NAME].rstrip("._-")
    if not name:
        raise InvalidName(
            f"No name can be made from `{display(location)}`",
            hint="give one: small letters, digits, dots, hyphens and underscores, 40 characters at most",
        )
    return name


def fetched(location: Location, tree: Checkout) -> dict[str, Any]:
    """Return what a template's record tells of what was fetched just now: those fields of `Template`."""
    return {
        "location": location,
        "path": tree.path / (location.directory or ""),
        "checkout": tree.path,
        "digest": tree.digest,
        "revision": tree.revision,
        "left_out": tree.left_out,
        "listed": tree.listed,
        "validator": tree.validator,
        "origin": tree.origin,
        "last_updated": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def display(location: Location) -> str:
    """Return a location's address as clients read it, without anything secret."""
    return safe_address(location.address) if "://" in location.address or location.kind == "git" else location.address
