"""How is it told what of a file does not have its form? With its place, what is there, and what may be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dynamo_mcp.text import plain

SHOWN = 80
"""Characters of a value that are shown."""

_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|\.?(\w+)")


def misfit(error: msgspec.ValidationError, content: Any, allowed: Mapping[str, str]) -> str:
    """Return what is wrong with the content of a file, in words.

    Args:
        error: What msgspec has said of it; its messages end in a path, such as `$.entries[0].name`.
        content: What was in the file, as plain values.
        allowed: Of each field that there is, what it is.
    """
    said, _, path = str(error).partition(" - at `$")
    place = plain(path.removesuffix("`").removeprefix("."), SHOWN)
    if found := _FIELD.fullmatch(said):
        name = plain(found[2], SHOWN)
        which = f"`{name}` of `{place}`" if place else f"`{name}`"
        if found[1] == "missing required":
            return f"{which} is missing; it is {allowed[found[2]]}"
        near = difflib.get_close_matches(name, allowed, n=1)
        known = ", ".join(f"`{each}`" for each in allowed)
        return f"{which} is not known; " + (f"did you mean `{near[0]}`?" if near else f"known are {known}")
    steps = [int(number) if number else name for number, name in _STEP.findall(place)]
    field = next((step for step in reversed(steps) if isinstance(step, str)), None)
    value = _at(content, steps)
    if field is None or field not in allowed or isinstance(value, (dict, list)):
        return f"{said}, at `{place}`" if place else said
    return f"`{place}` is `{plain('null' if value is None else str(value), SHOWN)}`; it is {allowed[field]}"


def _at(content: Any, steps: list[int | str]) -> Any:
    for step in steps:
        content = content[step]
    return content
