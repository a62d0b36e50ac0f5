"""What do installed packages plug in? Entry points, which are looked for where a name is none of ours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from dynamo_mcp.errors import Failed
from dynamo_mcp.text import plain

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SHOWN = 200
"""Characters of a name, or of what a package says, that are told."""


@cache
def found(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; ours are declared among them."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - start-up would pay, and hardly anybody has one

    return {entry.name: entry for entry in entry_points(group=group)}


def load(entry: EntryPoint, what: str, error: type[Failed] = Failed) -> Any:
    """Return what an entry point names.

    Args:
        entry: Of an installed package.
        what: It is, in words, as in "source".
        error: What to raise.

    Raises:
        Failed: It can't be imported; whatever is wrong with somebody's package, the others work.
    """
    try:
        return entry.load()
    except Exception as cause:
        said = f"{type(cause).__name__}: {plain(str(cause), SHOWN)}"
        raise error(
            f"The {what} `{entry.name}` of `{entry.value}` can't be imported: {said}",
            hint="mend the package that it came with, or install another version of it",
        ) from cause
