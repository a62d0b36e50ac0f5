"""How is a wrong answer or argument told? With its name, what was given, what is allowed, and the nearest that is."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dynamo_mcp.errors import Problem
from dynamo_mcp.text import plain

SHOWN = 200
"""Characters of a value that are shown."""
CHOICE = 80
MOST_CHOICES = 20
CHOICES_LENGTH = 4000
PAIRS = 100_000
"""Pairs of characters that are compared at most to find what was probably meant."""

_NAMES = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}


class Unfit(ValueError):
    """An answer does not fit its question; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        """Have the problem's words as the message."""
        super().__init__(problem.message)
        self.problem = problem


def wrong(name: str, given: Any, allowed: str) -> Unfit:
    """Return the error for an answer of the wrong kind; `allowed` names the right one."""
    return Unfit(Problem(name, f"{_beginning(name, given)}; it is {allowed}", legible(given), allowed))


def not_offered(name: str, given: Any, choices: Sequence[str], labels: Mapping[str, str] | None = None) -> Unfit:
    """Return the error for an answer that is none of the choices, with the nearest, or the one that is labelled so."""
    allowed = _one_of(choices)
    text = given if isinstance(given, str) else "" if isinstance(given, (list, dict)) else str(given)
    label = text.strip().casefold()
    meant = (choice for choice, words in (labels or {}).items() if choice in choices and words.casefold() == label)
    near = next(meant, None) or nearest(text, choices, cutoff=0.5)
    hint = "" if near is None else f"; did you mean `{plain(near, CHOICE)}`?"
    return Unfit(
        Problem(
            name,
            f"{_beginning(name, given)}; it is {allowed}{hint}",
            legible(given),
            allowed,
            # Whole, or none: a part of them would look like all of them.
            tuple(choices) if sum(map(len, choices)) <= CHOICES_LENGTH else (),
            near,
        )
    )


def not_asked(name: str, known: Sequence[str]) -> Problem:
    """Return the problem with an answer to no question, with the nearest that is asked."""
    return _unknown(name, known, "is not asked", "asked are", "no questions")


def not_taken(name: str, known: Sequence[str]) -> Problem:
    """Return the problem with an argument that a tool does not take, with the nearest that it does."""
    return _unknown(name, known, "is not an argument", "arguments are", "none")


def nearest(word: str, offered: Sequence[str], cutoff: float = 0.6) -> str | None:
    """Return which was probably meant: one that differs in case only, or one of the first that is written alike."""
    word = word[:SHOWN].casefold()
    alike, left = {}, PAIRS
    for other in offered:
        if len(other) > SHOWN:
            continue
        folded = other.casefold()
        if folded == word:
            return other
        left -= len(word) * len(folded)
        if left > 0:
            alike[folded] = other
    near = difflib.get_close_matches(word, alike, n=1, cutoff=cutoff)
    return alike[near[0]] if near else None


def kind_of(value: Any) -> str:
    """Name the JSON type of a value, for a person."""
    return _NAMES.get(type(value), "null")


def shown(value: Any) -> str:
    """Return a value as one plain, bounded line."""
    try:
        return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), SHOWN)
    except (ValueError, RecursionError):  # Python writes no number of thousands of digits
        return "…"


def legible(value: Any) -> str:
    """Return a value as `shown` does, with what nobody could see of it escaped."""
    text = value if isinstance(value, str) else shown(value)
    seen = (
        each if each.isprintable() or each.isspace() else each.encode("unicode_escape").decode()
        for each in text[:SHOWN]
    )
    return shown("".join(seen) + text[SHOWN:])


def is_plain(value: Any) -> bool:
    """Tell whether a value is short, and shows all that is in it."""
    try:
        return shown(value) == (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return False


def _unknown(name: str, known: Sequence[str], what: str, there: str, none: str) -> Problem:
    near = nearest(name, known)
    told = f"`{shown(name)}` {what}"
    names = ", ".join(f"`{other}`" for other in known[:MOST_CHOICES]) or none
    if len(known) > MOST_CHOICES:
        names += f" and {len(known) - MOST_CHOICES} more"
    told += f"; {there} {names}" if near is None else f"; did you mean `{near}`?"
    return Problem(shown(name), told, None, f"one of {names}" if known else "nothing", (), near)


def _beginning(name: str, given: Any) -> str:
    return f"`{name}` can't be {kind_of(given)} `{legible(given)}`"


def _one_of(choices: Sequence[str]) -> str:
    words = ", ".join(f"`{plain(choice, CHOICE)}`" for choice in choices[:MOST_CHOICES])
    return f"one of {words}" + (f" and {len(choices) - MOST_CHOICES} more" if len(choices) > MOST_CHOICES else "")
