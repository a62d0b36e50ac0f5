"""Where are the submodules of a commit, and may they be fetched? Each address is a stranger's word.

What a repository names is looked at as if a program had typed it: it reaches no host that is not public or allowed, and
no folder but those below the source roots. The operator's keys and tokens are for what the operator's own words name: a
submodule gets them only where it lies beside its repository, in the same folder of the same host.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from dynamo_mcp.errors import InvalidLocation, InvalidTemplate
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.addresses import parse
from dynamo_mcp.sources.git_command import Git
from dynamo_mcp.sources.tokens import token_for
from dynamo_mcp.sources.wording import safe_address, shown
from dynamo_mcp.types import Location

_FILE = ".gitmodules"
_FIELD = re.compile(r"submodule\.(.*)\.(path|url)", re.DOTALL)
_UP = re.compile(r"\.{1,2}/")
_REMEDY = "ask its author to repair it, or copy the template and put the submodule's files there"


class Submodule(msgspec.Struct, frozen=True):
    """A repository that another one has in a folder.

    Attributes:
        path: That folder, in the commit that names it.
        location: Where it is, at the commit that is wanted.
        settings: With what it may be fetched.
    """

    path: str
    location: Location
    settings: Settings


async def found(git: Git, commit: str, wanted: dict[str, str], parent: Location, settings: Settings) -> list[Submodule]:
    """Return where the submodules of a commit are.

    Args:
        git: Has the commit.
        commit: Its hash.
        wanted: Where they belong and which commits they are.
        parent: The repository that names them.
        settings: The operator's.

    Raises:
        InvalidTemplate: The commit does not say where one is, or it may not be fetched from there.
        TimedOut: git took too long.
    """
    if not wanted:
        return []
    # Not through what `include` in it could name.
    done = await git.run("config", "--blob", f"{commit}:{_FILE}", "--no-includes", "--null", "--list")
    fields: dict[str, dict[str, str]] = {}
    for line in done.stdout.decode("utf-8", "replace").split("\0"):
        key, _, value = line.partition("\n")
        if named := _FIELD.fullmatch(key):
            fields.setdefault(named[1], {})[named[2]] = value
    urls = {field["path"]: field["url"] for field in fields.values() if field.keys() == {"path", "url"}}
    return [_submodule(path, urls.get(path), revision, parent, settings) for path, revision in wanted.items()]


def _submodule(path: str, url: str | None, revision: str, parent: Location, settings: Settings) -> Submodule:
    if url is None:
        raise InvalidTemplate(f"`{parent.address}` does not say where its submodule {shown(path)} is", hint=_REMEDY)
    said = f"The submodule {shown(path)} of `{parent.address}` can't be fetched"
    stranger = msgspec.structs.replace(settings, person=False, tokens=(), trusted=())
    try:
        address = _resolved(parent.address, url)
        location = parse(address, settings=stranger, revision=revision)
    except InvalidLocation as error:
        raise InvalidTemplate(f"{said}: {error.message}", hint=f"{error.hint}; or {_REMEDY}") from error
    if location.kind != "git":
        raise InvalidTemplate(f"{said}: `{safe_address(url)}` is no repository", hint=_REMEDY)
    if _lies_beside(location.address, parent.address):
        # Wherever it leads on to, no other token than that of its repository goes along.
        token = token_for(parent.address, settings.tokens)
        own = msgspec.structs.replace(settings, trusted=(), tokens=() if token is None else (token,))
        return Submodule(path, location, own)
    if not location.address.startswith(("https://", "file://")):
        raise InvalidTemplate(f"{said}: `{location.address}` would be asked with your own ssh key", hint=_REMEDY)
    return Submodule(path, location, stranger)


def _lies_beside(address: str, parent: str) -> bool:
    """Tell whether a repository is in the same folder of the same host as another, however a host reads its path."""
    segments = urlsplit(address).path.split("/")
    plain = "%" not in address and not {".", ".."} & set(segments) and not address.startswith("file://")
    return plain and _folder(address) == _folder(parent)


def _folder(address: str) -> str:
    """Return what holds a repository: host and path, in small letters as hosts are."""
    if "://" in address:
        parts = urlsplit(address)
        address = parts._replace(netloc=parts.netloc.lower()).geturl()
    return re.sub(r"[^/:]*/*$", "", address)


def _resolved(base: str, url: str) -> str:
    """Return the address that a relative one means, as git does: beside the repository, not in it."""
    if not _UP.match(url):
        return url
    at, joint = base.rstrip("/"), "/"
    while found := _UP.match(url):
        url = url[found.end() :]
        if found[0] == "../":
            joint = "/" if "/" in at else ":"
            at = at.rpartition(joint)[0]
    return f"{at}{joint}{url}"
