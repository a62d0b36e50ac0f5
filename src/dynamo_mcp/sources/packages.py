"""Which package did they type? `pypi:name` or `pypi:name==version`; the name as every index spells it.

Whatever else a requirement may say (extras, markers, ranges, addresses) is refused: nothing is installed, and a
template is pinned to one version or follows the newest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dynamo_mcp.errors import InvalidLocation
from dynamo_mcp.sources.wording import safe_address, shown

if TYPE_CHECKING:
    from packaging.version import Version

PREFIX = "pypi:"
_FORM = f"give `{PREFIX}name` for its newest version, or `{PREFIX}name==1.2.0`"
_NEWEST = "latest"
"""What asks for the newest version of a repository, too (`revisions`)."""
_LONGEST_NAME = 100
_LONGEST_VERSION = 100


def is_package(address: str) -> bool:
    """Tell whether what was typed names a package of an index."""
    return address[: len(PREFIX)].lower() == PREFIX and not address[len(PREFIX) :].startswith("//")


def parse_package(address: str, revision: str | None) -> tuple[str, str | None]:
    """Read what was typed of a package.

    Args:
        address: It, with its prefix.
        revision: A version that was named beside it, or `latest`.

    Returns:
        `pypi:` and the name as indexes have it (PEP 503); and the version (PEP 440), None for the newest.

    Raises:
        InvalidLocation: It is no name, or no version, or there are two.
    """
    from packaging.utils import InvalidName, canonicalize_name  # noqa: PLC0415 - few name one, and start-up would pay

    name, equals, version = (part.strip(" ") for part in address[len(PREFIX) :].partition("=="))
    safe = safe_address(address)
    found = re.match(r"[A-Za-z0-9._-]*", name)
    if found is None or found[0] != name:
        raise InvalidLocation(f"{shown(safe)} says more than a name and a version of a package", hint=_FORM)
    try:
        canonical = canonicalize_name(name, validate=True)
    except InvalidName as error:
        raise InvalidLocation(f"{shown(safe)} names no package: `{name}` can't be a name", hint=_FORM) from error
    if len(canonical) > _LONGEST_NAME:
        raise InvalidLocation(f"{shown(safe)} has a name of more than {_LONGEST_NAME} characters", hint=_FORM)
    given = _version(version, safe) if equals else None
    beside = _version(revision, safe) if revision not in {None, _NEWEST} else None
    if given is not None and revision is not None and given != beside:
        raise InvalidLocation(
            f"{shown(safe)} is of version `{given}`, and `checkout` says `{beside or _NEWEST}`",
            hint="leave one of them out",
        )
    pinned = given if given is not None else beside
    return PREFIX + canonical, None if pinned is None else str(pinned)


def _version(text: str, safe: str) -> Version:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - likewise

    try:
        return Version(text if len(text) <= _LONGEST_VERSION else "")
    except InvalidVersion as error:
        raise InvalidLocation(
            f"{shown(safe)} has no version of the form that packages have: {shown(text[:_LONGEST_VERSION])}",
            hint=_FORM,
        ) from error
