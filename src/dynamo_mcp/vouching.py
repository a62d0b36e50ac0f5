"""What was a person's word on a template given for, and what of that has changed since?

Trust and grants are said of one location, and compared is a digest of all that is there. Where a template is trusted
with everything each of its files is a program, so any change ends it; told is which of the parts that run first it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp.configuration import content_of
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.parsing import parse
from dynamo_mcp.sandbox.grants import command
from dynamo_mcp.sandbox.trust import lowered, raised
from dynamo_mcp.sources import local
from dynamo_mcp.sources.places import is_own
from dynamo_mcp.sources.tree import digest, is_beside
from dynamo_mcp.types import Location, Template, Vouched
from dynamo_mcp.views import TrustDropped


def unseen(digest: str, revision: str | None, *, by_setting: bool = False) -> Vouched:
    """Return what a person's word is bound to before the template is read; `bound` adds the rest."""
    return Vouched(digest, revision, "", "", by_setting=by_setting)


async def bound(template: Template) -> Template:
    """Return a template whose trust and grants are bound to what is there now."""
    seen = await anyio.to_thread.run_sync(_look, template)
    by_setting = template.trusted_for is not None and template.trusted_for.by_setting
    whole = await local.whole(template.location) if template.location.live and raised(template) else ""
    vouched = msgspec.structs.replace(seen, whole=whole, by_setting=by_setting)
    return msgspec.structs.replace(template, trusted_for=vouched)


def is_bound(vouched: Vouched) -> bool:
    """Tell whether a person's word was bound to what was there; it is never bound anew to what came afterwards."""
    return bool(vouched.extensions)


async def is_same(template: Template, now: Template) -> bool:
    """Tell whether a template is what a person's word on it was given for, all that may run of a live folder included.

    Raises:
        InvalidTemplate: The live folder holds too much by now, and so is FetchFailed.
    """
    before = template.trusted_for
    if before is None or before.digest != now.digest:
        return False
    return not now.location.live or before.whole == await local.whole(now.location)


async def renewed(old: Template, new: Template, trusted: Iterable[str]) -> Template:
    """Return an updated template with the trust that it keeps.

    Args:
        old: As it was.
        new: What was fetched, with the same trust and grants.
        trusted: The operator's own locations.
    """
    theirs = old.trust == "full" or (old.trust == "contained" and old.trusted_for is None)
    if theirs and is_own(new.location, trusted, listed=new.listed):
        vouched = unseen(new.digest, new.revision, by_setting=True)
        return msgspec.structs.replace(new, trust="full", grants=(), trusted_for=vouched)
    if raised(old) and (_is_elsewhere(old.location, new.location) or not await is_same(old, new)):
        return lowered(new)
    return new


def _is_elsewhere(old: Location, new: Location) -> bool:
    """Tell whether a location is another one than before; what is part of this program moves with it."""
    moves = old.bundled and new.bundled
    return not moves and (old.address, old.directory) != (new.address, new.directory)


async def dropped(pairs: Iterable[tuple[Template, Template]]) -> tuple[TrustDropped, ...]:
    """Tell which templates an update took a raised trust or grants from, and what has changed in them.

    Args:
        pairs: Each template as it was, and as it is now.
    """
    return tuple(
        [
            TrustDropped(
                old.name, old.trust, old.grants, await changed(old, new), command(old.name, old.trust, old.grants)
            )
            for old, new in pairs
            if raised(old) and not raised(new)
        ]
    )


async def changed(old: Template, new: Template) -> tuple[str, ...]:
    """Say what is different from what a person's word was given for."""
    before = old.trusted_for
    if before is None:
        return ("it is not known what it was given for",)
    if _is_elsewhere(old.location, new.location):
        return ("where it comes from",)
    if before.digest == new.digest:
        named = old.named_requirements != new.named_requirements
        return ("requirements",) if named else ("environments or bytecode in it",)
    now = await anyio.to_thread.run_sync(_look, new)
    parts = (
        ("hooks", before.hooks != now.hooks),
        ("extensions", before.extensions != now.extensions),
        ("requirements", old.requirements != new.requirements),
    )
    return tuple(part for part, differs in parts if differs) or ("only other files",)


def extensions_of(template: Template) -> tuple[str, ...]:
    """Return the extensions that a template's `cookiecutter.json` names as it is; none where it can't be read."""
    try:
        named = parse(content_of(template.path)).get("_extensions")
    except (DynamoError, OSError):
        return ()
    return tuple(str(each) for each in named) if isinstance(named, list) else ()


def _look(template: Template) -> Vouched:
    """Look at what is there now; a part that can't be read is one that has changed."""
    extensions = extensions_of(template)
    own = hashlib.sha256("\n".join(extensions).encode())
    for module in sorted({each.partition(".")[0] for each in extensions}):
        for path in (template.path / f"{module}.py", template.path / module):
            own.update(f"{path.name} {_digest(path)}".encode())
    return Vouched(template.digest, template.revision, _digest(template.path / "hooks"), own.hexdigest())


def _digest(path: Path) -> str:
    """Hash a file or a folder; what is not there is nothing."""
    try:
        if path.is_dir():
            return digest(path, leave_out=is_beside)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
