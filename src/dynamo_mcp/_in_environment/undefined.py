"""How is it told that a template uses what is not there? With its name, and the nearest that is there."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined
from jinja2.utils import missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOT_YET = "has no value yet"
"""What is said of a variable that is asked later."""

_SHOWN = 100
_MOST = 20
_KINDS = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list", type(None): "null"}


def naming(variables: Mapping[str, Any], *, so_far: Mapping[str, Any] | None = None) -> type[StrictUndefined]:
    """Return what Jinja is to take for whatever is not there: its own strict kind, with better words.

    Args:
        variables: All that the template's `cookiecutter` holds.
        so_far: What a default knows as `cookiecutter`: those of them that have a value; None where all have one.
    """
    known = variables if so_far is None else so_far

    class Undefined(StrictUndefined):
        __slots__ = ()

        @property
        def _undefined_message(self) -> str:
            held, name = self._undefined_obj, self._undefined_name
            if self._undefined_hint:
                return self._undefined_hint
            if held is variables or (held is so_far and held is not None):
                return _of_cookiecutter(str(name), variables, known)
            return _global(str(name), known) if held is missing else _of(held, name)

    return Undefined


def _of_cookiecutter(name: str, variables: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if name in variables:
        return f"`cookiecutter.{name}` {NOT_YET}"
    names = [each for each in known if not each.startswith("_") or name.startswith("_")]
    return f"there is no variable `cookiecutter.{_shown(name)}`; " + _nearest(name, names, "cookiecutter.")


def _global(name: str, variables: Mapping[str, Any]) -> str:
    told = f"there is no variable `{_shown(name)}`"
    if near := difflib.get_close_matches(name[:_SHOWN], ["cookiecutter"], n=1):
        return f"{told}; did you mean `{near[0]}`?"
    return f"{told}; " + _nearest(name, [known for known in variables if not known.startswith("_")], "cookiecutter.")


def _of(held: Any, name: Any) -> str:
    """Say it of what a variable holds. Only of plain data is it safe to ask what it has."""
    if isinstance(held, dict):
        return f"a mapping has no `{_shown(name)}`; " + _nearest(str(name), map(str, held), "")
    if isinstance(held, (list, tuple)) and isinstance(name, int):
        return f"a list of {len(held)} has no item `{name}`"
    kind = _KINDS.get(type(held), f"a `{type(held).__name__}`")
    told = f"{kind} has no `{_shown(name)}`"
    known = [known for known in dir(held) if not known.startswith("_")] if type(held) in _KINDS else []
    near = difflib.get_close_matches(str(name)[:_SHOWN], known, n=1)
    return f"{told}; did you mean `{near[0]}`?" if near else told


def _nearest(name: str, known: Iterable[str], before: str) -> str:
    """Name the nearest, or those that are known."""
    names = list(known)
    if near := difflib.get_close_matches(name[:_SHOWN], names, n=1):
        return f"did you mean `{before}{_shown(near[0])}`?"
    if not names:
        return "nothing has a value yet"
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return "known are " + ", ".join(f"`{before}{_shown(each)}`" for each in names[:_MOST]) + more


def _shown(name: Any) -> str:
    text = str(name)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
