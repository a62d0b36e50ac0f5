"""What was a person's word on a template given for, what of that has changed since, and whose are its places?

Trust and grants are bound to a location, a commit and a digest of all that is there. Where a template is trusted with
everything each of its files is a program, so any change ends it; told is which of the parts that run first it was.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import anyio.to_thread
import msgspec

from dynamo_mcp.configuration import content_of
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.parsing import parse
from dynamo_mcp.sandbox.grants import command
from dynamo_mcp.sandbox.trust import lowered, raised
from dynamo_mcp.sources.addresses import ABBREVIATIONS
from dynamo_mcp.sources.tree import digest, is_beside
from dynamo_mcp.types import Location, Template, Vouched
from dynamo_mcp.views import TrustDropped

_WITH_SCHEME = re.compile(r"(?:https|ssh)://(?:[^@/]*@)?([^/]+)/(.*)")
_ALSO_CALLED = re.compile(r"^(?:www|ssh|altssh)\.")
"""Names by which hosts of repositories answer too: they keep what a person set to `inert` so, and give nobody trust."""
_SCP = re.compile(r"(?:[^@/:]*@)?([^/:]+):(?!/)(.+)")


def unseen(digest: str, revision: str | None, *, by_setting: bool = False) -> Vouched:
    """Return what a person's word is bound to before the template is read; `bound` adds the rest."""
    return Vouched(digest, revision, "", "", by_setting)


async def bound(template: Template) -> Template:
    """Return a template whose trust and grants are bound to what is there now."""
    seen = await anyio.to_thread.run_sync(_look, template)
    by_setting = template.trusted_for is not None and template.trusted_for.by_setting
    return msgspec.structs.replace(template, trusted_for=msgspec.structs.replace(seen, by_setting=by_setting))


def renewed(old: Template, new: Template, trusted: Iterable[str]) -> Template:
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
    if raised(old) and (old.trusted_for is None or old.trusted_for.digest != new.digest):
        return lowered(new)
    return new


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
    now = await anyio.to_thread.run_sync(_look, new)
    parts = (
        ("hooks", before.hooks != now.hooks),
        ("extensions", before.extensions != now.extensions),
        ("requirements", old.requirements != new.requirements),
    )
    return tuple(part for part, differs in parts if differs) or ("only other files",)


def is_own(location: Location, trusted: Iterable[str], *, listed: bool) -> bool:
    """Tell whether what was fetched is the operator's own: of one of their locations, and no stranger's there."""
    return listed and is_among(location, trusted)


def is_among(location: Location, trusted: Iterable[str]) -> bool:
    """Tell whether a location is one of the operator's own."""
    address = location.address
    segments = unquote(address).split("://")[-1].lstrip("/").split("/")
    if any(part in {"", ".", ".."} for part in segments) or (location.kind == "git" and "%" in address):
        return False  # whoever fetches it may read it as another place than it begins with
    return any(_is_of(address, _spelled(own)) for own in trusted)


def same_place(one: Location, other: Location) -> bool:
    """Tell whether two locations are of one repository or folder, whatever their revision, directory and spelling."""
    first, second = _place(one), _place(other)
    if first == second or isinstance(first, str) or isinstance(second, str):
        return first == second
    # A folder that lies in the other is a part of the same.
    first, second = first / (one.directory or ""), second / (other.directory or "")
    return first.is_relative_to(second) or second.is_relative_to(first)


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


def _spelled(own: str) -> str:
    """Return an operator's location as `Location.address` has it."""
    short, _, rest = own.partition(":")
    if short in ABBREVIATIONS and not rest.startswith("/"):
        return f"https://{ABBREVIATIONS[short]}/{rest}"
    if own.startswith(("/", "~")):
        return os.path.realpath(os.path.expanduser(own)) + ("/" if own.endswith("/") else "")  # noqa: PTH111
    return own


def _is_of(address: str, own: str) -> bool:
    if own.endswith("/"):
        return address.startswith(own)
    return address.removesuffix(".git") == own.removesuffix(".git")


def _place(location: Location) -> Path | str:
    """Return a folder, or a host and a path on it as no two repositories have them."""
    address = unquote(location.address)
    if location.kind == "local" or address.startswith("file://"):
        return Path(os.path.realpath(address.removeprefix("file://")))
    found = _WITH_SCHEME.fullmatch(address) or _SCP.fullmatch(address)
    if found is None:
        return address.lower()
    host = _ALSO_CALLED.sub("", re.sub(r":\d+$", "", found[1]).lower())
    parts = os.path.normpath("/" + found[2]).strip("/").removesuffix(".git").removesuffix("/")
    return f"{host}/{parts}".lower()
