"""Which folders on this machine may templates come from? Any that a person names, else those below the source roots."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import quote, unquote

from dynamo_mcp.errors import InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.wording import ALLOWED, ARCHIVES
from dynamo_mcp.types import LocationKind

_ARCHIVE = re.compile(r"\.(?:zip|tar|tgz|tbz2?|txz|tzst|tar\.(?:gz|bz2|xz|zst))$", re.IGNORECASE)


def parse_file_url(address: str, settings: Settings) -> str:
    """Return `file://` and the real path of a repository.

    Raises:
        InvalidLocation: It is not of that form, not there, or not allowed.
    """
    host, slash, rest = address[len("file://") :].partition("/")
    path = unquote(slash + rest)
    if host.lower() not in {"", "localhost"} or not slash or any(unicodedata.category(char) == "Cc" for char in path):
        raise InvalidLocation(f"`{address}` is not of the form `file:///path/to/repository`", hint=ALLOWED)
    real = _allowed_folder(path, settings)
    _check_repository(Path(real), settings)
    return "file://" + quote(os.fsencode(real))


def parse_path(address: str, settings: Settings) -> tuple[LocationKind, str]:
    """Return a path's kind (a bare repository is git, every other folder is local, a file is an archive) and address.

    Raises:
        InvalidLocation: It is not there, or not allowed.
    """
    if is_archive(address):
        real = _allowed(address, settings)
        if os.path.isfile(real):  # noqa: PTH113 - a str like its neighbours
            return "archive", real
    real = _allowed_folder(address, settings)
    folder = Path(real)
    if _is_repository(folder):
        return "git", parse_file_url("file://" + quote(os.fsencode(real)), settings)
    return "local", real


def _is_repository(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def is_archive(path: str) -> bool:
    """Tell from a name whether it is an archive's; what it holds says which."""
    return _ARCHIVE.search(path) is not None


def _allowed(path: str, settings: Settings) -> str:
    """Return a real path; whether something is there is told only to those who may use it."""
    real = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - a user that isn't known stays as it is
    if not is_allowed(real, settings):
        raise InvalidLocation(
            f"`{path}` lies outside the folders that templates may come from",
            hint="ask the operator to allow it with `--source-root` or `DYNAMO_MCP_SOURCE_ROOTS`",
        )
    return real


def _allowed_folder(path: str, settings: Settings) -> str:
    """Return a folder's real path."""
    real = _allowed(path, settings)
    if not os.path.isdir(real):  # noqa: PTH112 - a str like its neighbours
        what = "is not there"
        if os.path.exists(real):  # noqa: PTH110 - likewise
            what = f"is {'a file, not a folder' if os.path.isfile(real) else 'neither a folder nor a file'}"  # noqa: PTH113
        raise InvalidLocation(
            f"`{path}` {what}",
            hint=f"give a folder that holds a `cookiecutter.json`, a repository, or an archive ({ARCHIVES})",
        )
    return real


def is_allowed(path: str, settings: Settings) -> bool:
    """Tell whether a folder's real path lies below a source root, or a person speaks."""
    real = os.path.realpath(path)
    return settings.person or any(Path(real).is_relative_to(os.path.realpath(root)) for root in settings.source_roots)


def _check_repository(folder: Path, settings: Settings) -> None:
    """Refuse what is no repository, and one that keeps its content elsewhere, unless a person names it.

    Elsewhere may be outside the source roots: git follows what a repository says of itself.
    """
    git = folder / ".git" if os.path.lexists(folder / ".git") else folder
    if not git.is_file() and not _is_repository(git):
        raise InvalidLocation(f"`{folder}` is not a git repository", hint="give it as a folder, without `file://`")
    parts = [git, git / "HEAD", git / "objects", git / "refs", git / "packed-refs"]
    elsewhere = git.is_file() or any(part.is_symlink() for part in parts)
    if not settings.person and (
        elsewhere or (git / "commondir").exists() or (git / "objects" / "info" / "alternates").exists()
    ):
        raise InvalidLocation(
            f"`{folder}` is a worktree, or borrows from another repository", hint="name the repository it belongs to"
        )
