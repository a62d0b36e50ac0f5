"""Is this the same place? One repository or folder can be spelled in many ways."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from dynamo_mcp.source_settings import ABBREVIATIONS
from dynamo_mcp.types import Location

_WITH_SCHEME = re.compile(r"(?:https|ssh)://(?:[^@/]*@)?([^/]+)/(.*)")
_ALSO_CALLED = re.compile(r"^(?:www|ssh|altssh)\.")
"""Names by which hosts of repositories answer too: they keep what a person set to `inert` so, and give nobody trust."""
_SCP = re.compile(r"(?:[^@/:]*@)?([^/:]+):(?!/)(.+)")


def is_among(location: Location, trusted: Iterable[str]) -> bool:
    """Tell whether a location is one of the operator's own."""
    address = location.address
    segments = unquote(address).split("://")[-1].lstrip("/").split("/")
    if any(part in {"", ".", ".."} for part in segments) or ("%" in address and not address.startswith("/")):
        return False  # whoever fetches it may read it as another place than it begins with
    return any(_is_of(address, _spelled(own)) for own in trusted)


def is_own(location: Location, trusted: Iterable[str], *, listed: bool) -> bool:
    """Tell whether what was fetched is the operator's own: of one of their locations, and no stranger's there."""
    return listed and is_among(location, trusted)


def same_place(one: Location, other: Location) -> bool:
    """Tell whether two locations are of one repository or folder, whatever their revision, directory and spelling."""
    first, second = _place(one), _place(other)
    if first == second or isinstance(first, str) or isinstance(second, str):
        return first == second
    # A folder that lies in the other is a part of the same.
    first, second = first / (one.directory or ""), second / (other.directory or "")
    return first.is_relative_to(second) or second.is_relative_to(first)


def _spelled(own: str) -> str:
    """Return an operator's location as `Location.address` has it."""
    short, _, rest = own.partition(":")
    if short in ABBREVIATIONS and not rest.startswith("/"):
        return ABBREVIATIONS[short].removesuffix(".git").format(rest.removeprefix("~") if short == "sr" else rest)
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
    if address.startswith(("/", "file://")):
        return Path(os.path.realpath(address.removeprefix("file://")))
    found = _WITH_SCHEME.fullmatch(address) or _SCP.fullmatch(address)
    if found is None:
        return address.lower()
    host = _ALSO_CALLED.sub("", re.sub(r":\d+$", "", found[1]).lower())
    parts = os.path.normpath("/" + found[2]).strip("/").removesuffix(".git").removesuffix("/")
    return f"{host}/{parts}".lower()
