"""What does the template see for an answer? Literal text that a file can hold, and mappings of it."""

from __future__ import annotations

import re
from typing import Any

from dynamo_mcp.errors import Problem
from dynamo_mcp.problems import Unfit, shown

ANSWER_CHARACTERS = 100_000
"""Characters that an answer may have, unless an operator says otherwise (`DYNAMO_MCP_ANSWER_CHARACTERS`)."""
LARGEST = 10**100
_JINJA = re.compile(r"\{\{|\{%|\{#")


def is_jinja(raw: Any) -> bool:
    """Tell whether cookiecutter would render anything in a value."""
    if isinstance(raw, str):
        return _JINJA.search(raw) is not None
    if isinstance(raw, dict):
        return any(is_jinja(key) or is_jinja(value) for key, value in raw.items())
    return isinstance(raw, list) and any(is_jinja(item) for item in raw)


def text_of(item: Any) -> str:
    """Return a choice as cookiecutter renders it."""
    return item if isinstance(item, str) else str(item)


def stringify(name: str, value: Any, longest: int) -> Any:
    """Turn the numbers in a mapping to text, as cookiecutter does."""
    if isinstance(value, dict):
        return {storable(name, key, longest): stringify(name, item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [stringify(name, item, longest) for item in value]
    if isinstance(value, str):
        return storable(name, value, longest)
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def characters(value: Any) -> int:
    """Return how many characters a literal has, of all texts in it together."""
    if isinstance(value, dict):
        return sum(len(key) + characters(item) for key, item in value.items())
    return sum(map(characters, value)) if isinstance(value, list) else len(value) if isinstance(value, str) else 0


def storable(name: str, text: str, longest: int) -> str:
    """Return a text that a file can hold, of so many characters at most.

    Raises:
        Unfit: It is too long, or no file could hold it.
    """
    if len(text) > longest:
        allowed = f"{longest} are allowed"
        told = f"`{name}` has {len(text)} characters; {allowed}, more with `DYNAMO_MCP_ANSWER_CHARACTERS`"
        raise Unfit(Problem(name, told, shown(text), allowed))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        told = f"`{name}` holds half of a surrogate pair, which no file can hold"
        raise Unfit(Problem(name, told, shown(text))) from error
    return text
