"""Which distribution holds this module, or brings this executable? A bundled table; what it does not know is None."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import msgspec

INCLUDED = frozenset(
    {"cookiecutter", "jinja2", "slugify", "arrow", "requests", "rich", "click", "yaml", "markupsafe", "binaryornot"}
    | {"dateutil", "text_unidecode", "urllib3", "idna", "certifi", "charset_normalizer", "tzdata"}
    | {"pygments", "markdown_it", "mdurl"}
)
"""Modules that come with cookiecutter."""


_DEEPEST = 4
"""Parts of a name in the table, at most; a stranger's may have a hundred thousand."""


class Known(msgspec.Struct, frozen=True):
    """Where a module is.

    Attributes:
        module: The part of its dotted name that the table knows.
        requirement: What holds it; None where no distribution of its name does.
    """

    module: str
    requirement: str | None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`distributions.json`: requirements by module, dotted where several share a namespace, and by executable."""

    modules: dict[str, str | None]
    executables: dict[str, str]


def comes_with_python(module: str) -> bool:
    """Tell whether a module is in every environment: of the standard library, or of cookiecutter's packages."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in INCLUDED


def known(module: str) -> Known | None:
    """Return what the table says of a dotted module name: of the longest part of it that is there."""
    parts = module.split(".", _DEEPEST)[:_DEEPEST]
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in _table().modules:
            return Known(name, _table().modules[name])
    return None


def executable(name: str) -> str | None:
    """Return the requirement that brings an executable, or None."""
    return _table().executables.get(name)


def brings_executable(requirement: str) -> bool:
    """Tell whether a distribution, by its name, is known for an executable."""
    return requirement in _table().executables.values()


def requirements() -> tuple[str, ...]:
    """Return every requirement of the table, sorted."""
    table = _table()
    return tuple(sorted({each for each in table.modules.values() if each} | set(table.executables.values())))


@cache
def _table() -> _Table:
    return msgspec.json.decode((Path(__file__).parent / "distributions.json").read_bytes(), type=_Table)
