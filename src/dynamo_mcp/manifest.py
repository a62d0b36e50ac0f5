"""Which templates does a file name, for a team to share? The whole registry as TOML; nothing secret is in it.

Its form: `version = 1`, and of each template, or repository of several, a table `[[template]]` with `name` and
`location`; where it has them `checkout`, `directory`, `live`, `revision` (the commit, a package's version, or the
SHA-256 of an archive's file) or `digest` (of a folder), `description`, `requirements`, `trust` and `grants`, and of a
repository `without`. A location that begins with `.` is relative to the file's folder.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from dynamo_mcp.catalogue import BUNDLED
from dynamo_mcp.errors import UsageError
from dynamo_mcp.misfits import misfit
from dynamo_mcp.registry import NAME
from dynamo_mcp.sandbox.trust import LEVELS
from dynamo_mcp.sources import display
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location, Template, Trust

VERSION = 1
LARGEST_BYTES = 4 << 20
"""Bytes of a file that is read."""
_SHOWN = 300
_ALLOWED = {
    "version": str(VERSION),
    "template": "a table `[[template]]` for each",
    "name": "1 to 40 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or a digit",
    "location": "what `dynamo-mcp add` takes",
    "checkout": "a branch, tag or commit",
    "directory": "a folder in the repository",
    "live": "`true` or `false`",
    "revision": "a commit, a package's version, or the SHA-256 of an archive",
    "digest": "64 hexadecimal digits",
    "description": "text",
    "requirements": "a list of packages",
    "trust": ", ".join(f"`{level}`" for level in LEVELS),
    "grants": "a list of what `--grant` takes",
    "without": "a list of folders of the repository",
}
_Name = Annotated[str, msgspec.Meta(pattern=rf"\A{NAME.pattern}\Z")]
_Line = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z")]
_Revision = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9.!+_-]{1,100}\Z")]
_Digits = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A template, or a repository of several, as a file names it.

    Attributes:
        location: As `add` takes it.
        checkout: Branch, tag or commit that updates follow.
        revision: What it is pinned to: a commit, a package's version, or the SHA-256 of an archive's file.
        digest: What a folder is pinned to.
        description: None leaves it to whoever adds it.
        trust: None likewise.
        without: Folders of templates of a repository that were removed by themselves.
    """

    name: _Name
    location: _Line
    checkout: _Line | None = None
    directory: _Line | None = None
    live: bool = False
    revision: _Revision | None = None
    digest: _Digits | None = None
    description: str | None = None
    requirements: tuple[_Line, ...] = ()
    trust: Trust | None = None
    grants: tuple[_Line, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def pin(self) -> str | None:
        """What it has to be; None for whatever is there."""
        return self.revision or self.digest


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file names."""

    version: int
    template: tuple[Entry, ...] = ()


def manifest_of(templates: Iterable[Template], folder: Path | None = None) -> Manifest:
    """Return registered templates as a file names them, those of one repository as one, sorted by name.

    Args:
        templates: All of them.
        folder: Where the file will be; what lies in it is named relative to it.
    """
    together: dict[str, list[Template]] = {}
    for template in templates:
        together.setdefault(template.group.name if template.group else template.name, []).append(template)
    return Manifest(VERSION, tuple(_entry(name, members, folder) for name, members in sorted(together.items())))


def _entry(name: str, members: list[Template], folder: Path | None) -> Entry:
    newest = max(members, key=lambda each: each.last_updated)
    location = newest.location
    pinned = not (location.bundled or location.live)
    alike = len({member.grants for member in members}) == 1
    return Entry(
        name,
        _address(location, folder),
        checkout=location.revision,
        directory=newest.group.directory if newest.group else location.directory,
        live=location.live,
        revision=newest.revision if pinned else None,
        digest=newest.digest if pinned and newest.revision is None else None,
        description=None if newest.group else newest.description,
        requirements=newest.named_requirements,
        trust=min((member.trust for member in members), key=LEVELS.index),
        grants=newest.grants if alike else (),
        without=_without(members),
    )


def _without(members: list[Template]) -> tuple[str, ...]:
    came = {directory for member in members if member.group for directory in member.group.members}
    return tuple(sorted(came - {member.location.directory or "" for member in members}))


def _address(location: Location, folder: Path | None) -> str:
    if location.bundled:
        return BUNDLED + Path(location.address).name
    if folder is not None and location.address.startswith("/") and Path(location.address).is_relative_to(folder):
        return f"./{Path(location.address).relative_to(folder)}"
    return display(location)


def encode(manifest: Manifest) -> bytes:
    """Return the content of the file."""
    import tomli_w  # noqa: PLC0415 - hardly any command writes such a file

    return tomli_w.dumps(msgspec.to_builtins(manifest)).encode()


def read(file: Path) -> Manifest:
    """Read a file; relative locations come out absolute.

    Raises:
        UsageError: It can't be read, or does not have the form.
    """
    try:
        with file.open("rb") as reader:
            content = reader.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise _wrong(file, f"it is longer than {LARGEST_BYTES >> 20} MiB")
        found = tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(
            f"Can't read `{file}`: {error.strerror or error}",
            hint="name a file that `dynamo-mcp export FILE` has written",
        ) from error
    except UnicodeDecodeError as error:
        raise _wrong(file, "it is no text in UTF-8") from error
    # `tomllib` says nothing of its own where something is nested too deeply, or a number is too long.
    except (ValueError, RecursionError) as error:
        raise _wrong(file, f"it is no TOML: {error}") from error
    try:
        manifest = msgspec.convert(found, Manifest)
    except msgspec.ValidationError as error:
        raise _wrong(file, misfit(error, found, _ALLOWED)) from error
    if manifest.version != VERSION:
        raise _wrong(file, f"its version is {manifest.version}, and {VERSION} is known")
    counted = Counter(entry.name for entry in manifest.template)
    if twice := next((name for name, times in counted.items() if times > 1), None):
        raise _wrong(file, f"`{twice}` is in it twice")
    folder = file.absolute().parent
    return msgspec.structs.replace(manifest, template=tuple(_from(entry, folder) for entry in manifest.template))


def _from(entry: Entry, folder: Path) -> Entry:
    relative = entry.location in {".", ".."} or entry.location.startswith(("./", "../"))
    return msgspec.structs.replace(entry, location=str((folder / entry.location).resolve())) if relative else entry


def _wrong(file: Path, why: str) -> UsageError:
    return UsageError(
        f"`{file}` names no templates as `dynamo-mcp export` writes them: {plain(why, _SHOWN)}",
        hint="each `[[template]]` has a name and a location; `dynamo-mcp export` shows the others",
    )
