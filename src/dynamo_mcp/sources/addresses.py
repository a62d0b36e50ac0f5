"""What did they type? Text from a person or an agent becomes a `Location`, or is refused before anything runs.

The rules exist because git turns some addresses into commands (`ext::`, a leading `-`), some into requests that nobody
meant (`http://`, `git://`), and because parsers disagree about control characters, backslashes and user names:
whatever two of them could read differently is refused.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from dynamo_mcp.errors import InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.source_settings import ABBREVIATIONS
from dynamo_mcp.sources.folders import is_allowed, is_archive, parse_file_url, parse_path
from dynamo_mcp.sources.packages import is_package, parse_package
from dynamo_mcp.sources.source import is_other
from dynamo_mcp.sources.wording import ALLOWED, SIGN_IN, safe_address, shown
from dynamo_mcp.types import Location, LocationKind

_INDEXES = frozenset({"pip", "npm", "conda"})
"""What other tools write before the name of a package of an index that templates are not added from."""

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_ABBREVIATED = re.compile(r"([\w.-]+(?:/[\w.-]+)+)/?", re.ASCII)
_OWN_ABBREVIATED = re.compile(r"(~?[\w.-]+(?:/[\w.-]+)*)/?", re.ASCII)
_SCP = re.compile(r"(?:([^@/:]*(?::[^@/]*)?)@)?([^/:@]+|\[[^\]]*\]):(?!:)(.+)")
_IN_BROWSER = re.compile(
    r"(https://(?:github\.com/[^/]+/[^/]+(?=/(?:tree|blob)/)|bitbucket\.org/[^/]+/[^/]+(?=/src/)|[^/]+/.+(?=/-/(?:tree|blob)/)))"
    r"(?:/-)?/(?:tree|blob|src)/([^/]+)(?:/(.*))?"
)
_OTHERS = re.compile(r"refs/(?!heads/|tags/)")
_KEPT_AND_SHOWN = "holds a user name or a secret, which would be kept and shown"
_IN_REVISION = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{")


def parse(
    address: str, *, settings: Settings, revision: str | None = None, directory: str | None = None, live: bool = False
) -> Location:
    """Turn what was typed into a location.

    Args:
        address: A URL, an abbreviation such as `gh:owner/repository`, a package such as `pypi:name`, or a path.
        settings: Say who speaks, and which folders others may name.
        revision: A branch, a tag or a commit; of a package, its version.
        directory: The template's folder in the repository or folder.
        live: Use the folder in place.

    Raises:
        InvalidLocation: It can't be understood, or it may not be used.
    """
    if not address.strip():
        raise InvalidLocation("The location is empty", hint=ALLOWED)
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in address):
        raise InvalidLocation(f"The location {shown(safe_address(address))} has a control character", hint=ALLOWED)
    if address.startswith("-"):
        raise InvalidLocation(f"The location `{address}` begins with `-`", hint=ALLOWED)
    if is_package(address):
        address, revision = parse_package(address, revision)
        if live:
            raise InvalidLocation(
                f"`{address}` is a package, which can't be live", hint="only a folder can; leave `live` out"
            )
        return Location("pypi", address, revision, _parse_directory(directory))
    kind, address = _kind_and_address(address, settings)
    revision = _parse_revision(revision, settings)
    if kind == "archive" and revision is not None:
        raise InvalidLocation(
            f"`{address}` is an archive, which has no revision `{revision}`",
            hint="leave `checkout` out, or give the repository that it was made of",
        )
    if kind == "local" and revision is not None:
        raise InvalidLocation(
            f"`{address}` is a folder, which has no revision `{revision}`",
            hint=f"leave `checkout` out, or give the repository as `file://{address}`",
        )
    if kind != "local" and live:
        what = "a repository" if kind == "git" else "an archive"
        raise InvalidLocation(f"`{address}` is {what}, which can't be live", hint="only a folder can; leave `live` out")
    return Location(kind, address, revision, _parse_directory(directory), live)


def _kind_and_address(address: str, settings: Settings) -> tuple[LocationKind, str]:
    safe = safe_address(address)
    if "://" in address:
        return _parse_url(address, settings)
    if found := re.match(r"([A-Za-z0-9+.-]*)::", address):
        raise InvalidLocation(f"`{safe}` asks git to run `git-remote-{found[1]}`, which is not allowed", hint=ALLOWED)
    if address.split(":", 1)[0].lower() in _INDEXES and "://" not in address:
        raise InvalidLocation(f"`{safe}` names a package of an index that templates are not added from", hint=ALLOWED)
    short, colon, rest = address.partition(":")
    if colon and (short in ABBREVIATIONS or short in settings.abbreviations):
        return _expand(short, rest, settings)
    if address.startswith(("/", "~", ".")):
        return parse_path(address, settings)
    if colon and rest and is_other(short):
        if safe_address(rest) != rest:
            raise InvalidLocation(f"`{safe}` {_KEPT_AND_SHOWN}", hint=SIGN_IN)
        return short, address
    if found := _SCP.fullmatch(address):
        return "git", _parse_scp(found, address, settings)
    if is_allowed(address, settings) and (is_archive(address) or Path(address).is_dir()):
        return parse_path(address, settings)
    raise InvalidLocation(f"`{safe}` is neither an address nor the path of a folder, and in no catalogue", hint=ALLOWED)


def _expand(short: str, rest: str, settings: Settings) -> tuple[LocationKind, str]:
    """Return what an abbreviation stands for; what the operator's own stands for is looked at as if it were typed."""
    safe = safe_address(f"{short}:{rest}")
    own = settings.abbreviations.get(short)
    form = _ABBREVIATED if own is None else _OWN_ABBREVIATED
    found = form.fullmatch(rest.removeprefix("~") if short == "sr" else rest)
    if found is None:
        wanted = f"{short}:owner/repository" if own is None else f"{short}:repository` or `{short}:owner/repository"
        raise InvalidLocation(f"`{safe}` is not of the form `{wanted}`", hint=ALLOWED)
    if {".", ".."} & set(found[1].split("/")):
        raise InvalidLocation(f"`{safe}` has `.` or `..` where an owner and a repository belong", hint=ALLOWED)
    named = found[1].removesuffix(".git")
    return (
        ("git", ABBREVIATIONS[short].format(named)) if own is None else _kind_and_address(own.format(named), settings)
    )


def _parse_url(address: str, settings: Settings) -> tuple[LocationKind, str]:
    safe = safe_address(address)
    scheme = address.split("://", 1)[0].lower()
    if scheme == "file":
        return "git", parse_file_url(address, settings)
    if scheme in {"http", "git"}:
        raise InvalidLocation(
            f"`{safe}` would be fetched without encryption", hint=f"use `https{safe[len(scheme) :]}`, or ssh"
        )
    if scheme not in {"https", "ssh"}:
        raise InvalidLocation(f"`{safe}` has the scheme `{scheme}`, which is not allowed", hint=ALLOWED)
    parts = _split(address, scheme)
    if parts.query or parts.fragment or address.endswith(("?", "#")):
        raise InvalidLocation(
            f"`{safe}` has a query or a fragment", hint="give the repository's address alone; " + SIGN_IN
        )
    if found := _IN_BROWSER.fullmatch(address):
        folder = f", and `directory` `{found[3]}`" if found[3] else ""
        raise InvalidLocation(
            f"`{safe}` is a page for browsers, not a repository",
            hint=f"give `{found[1]}`, with `checkout` `{found[2]}`{folder}",
        )
    path = unquote(parts.path)
    if not path.strip("/") or not path.isprintable() or "\\" in path:
        raise InvalidLocation(f"`{safe}` names no repository on that host", hint=ALLOWED)
    kind: LocationKind = "archive" if scheme == "https" and is_archive(path) else "git"
    return kind, f"{scheme}://{parts.netloc}{parts.path}"


def checked_url(address: str) -> str:
    """Return an https address of a file, to which another one led: it may have a query.

    Raises:
        InvalidLocation: It can't be read by everybody alike, or holds a secret.
    """
    _split(address, "https")
    return urlsplit(address)._replace(fragment="").geturl()


def _split(address: str, scheme: str) -> SplitResult:
    safe = safe_address(address)
    _check_characters(address)
    try:
        parts = urlsplit(address)
        port = parts.port  # it raises when the port is no number
    except ValueError as error:
        raise InvalidLocation(f"`{safe}` is not a URL: its host or port can't be read", hint=ALLOWED) from error
    if port == 0:  # no host listens there, and who checks may take it for none that was given
        raise InvalidLocation(f"`{safe}` has the port 0", hint="leave it out, or give the host's own")
    _check_user_and_host(scheme, parts.netloc, safe)
    return parts


def _check_user_and_host(scheme: str, network: str, safe: str) -> None:
    user, _, server = network.rpartition("@")
    if scheme == "https" and "@" in network:
        raise InvalidLocation(f"`{safe}` {_KEPT_AND_SHOWN}", hint=SIGN_IN)
    if scheme == "ssh" and user != "git":
        raise InvalidLocation(
            f"`{safe}` must name the user `git` and nobody else, without a password",
            hint="give `ssh://git@host/owner/repository`, with a key in your ssh agent",
        )
    if server.endswith(":"):
        raise InvalidLocation(f"`{safe}` has an empty port", hint="leave the colon out, or give a port")
    _check_host(re.sub(r":\d+$", "", server), safe)


def _parse_scp(found: re.Match[str], address: str, settings: Settings) -> str:
    _check_characters(address)
    safe = safe_address(address)
    user, host, path = found.groups()
    if user != "git":
        hint = "give `git@host:owner/repository`"
        if user is None and "." not in host:
            known = ", ".join(f"`{each}:`" for each in (*ABBREVIATIONS, *sorted(settings.abbreviations)))
            hint += f"; {shown(host + ':')} is no abbreviation: {known} are, and `DYNAMO_MCP_ABBREVIATIONS` adds others"
        raise InvalidLocation(f"`{safe}` must name the user `git` and nobody else", hint=hint)
    _check_host(host, safe)
    if path.startswith("-") or not path.strip("/"):
        raise InvalidLocation(f"`{safe}` names no repository on that host", hint=ALLOWED)
    return address


def _check_characters(address: str) -> None:
    bad = sorted({char for char in address if char == "\\" or char.isspace() or not char.isprintable()})
    if bad:
        raise InvalidLocation(
            f"`{safe_address(address)}` has {', '.join(shown(char) for char in bad)}, which no URL may have",
            hint="write it percent-encoded, or give the path of a folder",
        )


def _check_host(host: str, safe: str) -> None:
    if not host:
        raise InvalidLocation(f"`{safe}` names no host", hint=ALLOWED)
    if not _HOST.fullmatch(host):
        raise InvalidLocation(
            f"`{safe}` has a host that can't be read", hint="write the host in ASCII letters, digits, dots and hyphens"
        )


def _parse_revision(revision: str | None, settings: Settings) -> str | None:
    if revision is None:
        return None
    if (
        not revision
        or revision.startswith("-")
        or _IN_REVISION.search(revision)
        or not revision.isprintable()
        or len(revision) > 255  # noqa: PLR2004 - longer than a name on any file system
    ):
        raise InvalidLocation(
            f"{shown(revision)} can't be the name of a revision",
            hint="give a branch, a tag or a commit, such as `main`, `v1.2.0` or `0123abc`",
        )
    if _OTHERS.match(revision) and not settings.person:
        raise InvalidLocation(
            f"`{revision}` is no branch and no tag: it may be a stranger's, such as a pull request",
            hint="give a branch (`refs/heads/…`), a tag (`refs/tags/…`) or a commit; a person can add it in a shell",
        )
    return revision


def _parse_directory(directory: str | None) -> str | None:
    if directory is None:
        return None
    parts = [part for part in directory.split("/") if part not in {"", "."}]
    if (
        directory.startswith("/")
        or ".." in parts
        or any(unicodedata.category(char) in {"Cc", "Cs"} for char in directory)
    ):
        raise InvalidLocation(
            f"The directory {shown(directory)} is not a path inside the repository",
            hint="give it relative to the repository's root, such as `templates/library`",
        )
    return "/".join(parts) or None
