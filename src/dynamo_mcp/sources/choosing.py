"""Which file of a package is meant? One version, and of it a wheel, then what it was built from.

Nothing is installed, so which Pythons and machines a file is for plays no part: of several wheels it is the one for all
of them, else the first by name, which is the same everywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.sources.pages import File
from dynamo_mcp.sources.wording import shown

_SHOWN = 5


class Choice(msgspec.Struct, frozen=True):
    """What is to be fetched.

    Attributes:
        version: In its normal form.
        files: A wheel and a source distribution, those that there are, in this order.
    """

    version: str
    files: tuple[File, ...]

    @property
    def yanked(self) -> str | None:
        """Why its author has withdrawn it, possibly empty; None where nobody has."""
        return self.files[0].yanked


class _Known(msgspec.Struct, frozen=True):
    version: Version
    file: File
    wheel: bool
    pure: bool


def choose(files: Iterable[File], name: str, wanted: str | None, *, before: datetime | None = None) -> Choice:
    """Choose among the files of a package.

    Args:
        files: What an index has.
        name: The package's, in its normal form.
        wanted: The version; None is the newest that is neither yanked nor, where there is any other, a pre-release.
        before: What came to the index later counts for nothing.

    Raises:
        InvalidLocation: There is no such version, or nothing that can be used.
    """
    known = [each for each in (_known(file, name) for file in files) if each and _is_before(each.file, before)]
    if not known:
        raise InvalidLocation(
            f"The index has no file of `pypi:{name}` that can be unpacked"
            + (f" and came to it before {before.isoformat()}" if before else ""),
            hint="give a package that has a wheel or a source distribution (`.tar.gz`, `.zip`)",
        )
    if wanted is not None:
        version = Version(wanted)
        of_it = [each for each in known if each.version == version]
        if not of_it:
            raise _unknown(known, name, wanted)
        # PEP 592: what is withdrawn is used only by whoever names it, and only where nothing else is of that version.
        standing = [each for each in of_it if each.file.yanked is None] or of_it
    else:
        offered = [each for each in known if each.file.yanked is None]
        if not offered:
            raise InvalidLocation(
                f"Every version of `pypi:{name}` was withdrawn by its author",
                hint=f"if you know why, name the version, such as `pypi:{name}=={max(each.version for each in known)}`",
            )
        newest = max([each.version for each in offered if not each.version.is_prerelease] or _versions(offered))
        standing = [each for each in offered if each.version == newest]
    ordered = sorted(standing, key=lambda each: (not each.wheel, not each.pure, each.file.name))
    first = [next((each.file for each in ordered if each.wheel is wheel), None) for wheel in (True, False)]
    return Choice(str(standing[0].version), tuple(file for file in first if file is not None))


def _known(file: File, name: str) -> _Known | None:
    """Read what a file's name says; None where it is of another package or of a kind that is not unpacked."""
    try:
        if file.name.endswith(".whl"):
            package, version, _, tags = parse_wheel_filename(file.name)
            pure = any(tag.abi == "none" and tag.platform == "any" for tag in tags)
            return _Known(version, file, True, pure) if package == name else None  # noqa: FBT003 - its third field
        package, version = parse_sdist_filename(file.name)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion, ValueError):
        return None
    ending = file.name.endswith(".tar.gz")
    return _Known(version, file, False, ending) if package == name else None  # noqa: FBT003 - likewise


def _versions(known: Iterable[_Known]) -> list[Version]:
    return sorted({each.version for each in known}, reverse=True)


def _unknown(known: Iterable[_Known], name: str, wanted: str) -> InvalidLocation:
    there = [str(version) for version in _versions(known)]
    near = difflib.get_close_matches(wanted, there, _SHOWN, 0.6) or there[:_SHOWN]
    return InvalidLocation(
        f"The index has no version `{wanted}` of `pypi:{name}`",
        hint="versions there: " + ", ".join(f"`{version}`" for version in near),
    )


def _is_before(file: File, before: datetime | None) -> bool:
    if before is None:
        return True
    try:
        uploaded = datetime.fromisoformat(file.uploaded or "")
    except ValueError:
        return False  # as for uv: what does not say when it came may have come a moment ago
    return (uploaded if uploaded.tzinfo else uploaded.replace(tzinfo=UTC)) < before


def parse_before(text: str | None) -> datetime | None:
    """Read `UV_EXCLUDE_NEWER`: a time, or a date, all of which counts.

    Raises:
        FetchFailed: It is neither.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise FetchFailed(
            f"`UV_EXCLUDE_NEWER` is {shown(text)}, which is no time that packages are compared with",
            hint="set it to a date such as `2026-11-20`, or a time such as `2026-11-20T00:00:00Z`",
        ) from error
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time if "T" in text or " " in text.strip() else time + timedelta(days=1)
