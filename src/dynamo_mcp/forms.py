"""What form asks for the answers that are missing? A flat object of texts, booleans, numbers and choices.

MCP specification 2025-11-25 and 2026-07-28, client/elicitation: a form holds nothing nested. Its questions were written
by strangers: they are plain and bounded, and the form says so.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import msgspec

from dynamo_mcp.results import text_of
from dynamo_mcp.text import plain
from dynamo_mcp.variables import ANSWER_LENGTH

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dynamo_mcp.views import VariableInfo

MOST = 50
"""Questions in one form."""

_CHOICES = 100
_CHOICES_LENGTH = 4000
_TITLE = 100
_DEFAULT = 1000
_NAME = 100
_SAFE_INTEGER = 2**53


class Form(msgspec.Struct, frozen=True):
    """Questions for a person.

    Attributes:
        message: What the person reads first.
        schema: The answers, in the JSON Schema that forms allow.
        optional: Variables whose default the form can't show: an empty answer means that default.
        left: Variables that were not given and are not asked.
    """

    message: str
    schema: dict[str, Any]
    optional: frozenset[str]
    left: tuple[str, ...]

    @property
    def asked(self) -> tuple[str, ...]:
        """The variables that it asks for."""
        return tuple(self.schema["properties"])

    @property
    def fingerprint(self) -> str:
        """A text that changes when anything that is asked does."""
        return hashlib.sha256(text_of([self.message, self.schema]).encode()).hexdigest()

    def answers(self, content: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what was answered of what was asked; what was left empty and has a default is no answer."""
        return {
            name: value
            for name, value in (content or {}).items()
            if name in self.schema["properties"] and value is not None and not (value == "" and name in self.optional)
        }


def compose(template: str, variables: Sequence[VariableInfo], given: Collection[str], *, defaults: bool = True) -> Form:
    """Make the form for what was not given, in the order of the template's questions.

    Args:
        template: The template's name.
        variables: What it asks.
        given: The variables that need not be asked.
        defaults: The client knows defaults and titles of choices, which came with version 2025-11-25.
    """
    missing = [variable for variable in variables if variable.name not in given]
    fields = {variable.name: _field(variable, defaults=defaults) for variable in missing if _can_ask(variable)}
    first = sorted((v for v in missing if v.name in fields), key=lambda variable: not variable.recommended)[:MOST]
    chosen = {variable.name for variable in first}
    return Form(
        f"What should the project from the template `{template}` be like? Everything has a default, so change only "
        "what should differ. The template's author wrote the questions: answer with nothing that is secret.",
        {"type": "object", "properties": {name: field for name, field in fields.items() if name in chosen}},
        frozenset(name for name in chosen if "default" not in fields[name]),
        tuple(variable.name for variable in missing if variable.name not in chosen),
    )


def _can_ask(variable: VariableInfo) -> bool:
    if variable.type == "mapping" or plain(variable.name, _NAME) != variable.name:
        return False
    if variable.type != "choice":
        return True
    # What a computed choice offers is known only where it is rendered.
    choices = [str(choice) for choice in variable.choices or ()]
    return (
        not variable.derived
        and len(choices) <= _CHOICES
        and sum(map(len, choices)) <= _CHOICES_LENGTH
        and all(plain(choice, _CHOICES_LENGTH) == choice for choice in choices)
    )


def _field(variable: VariableInfo, *, defaults: bool) -> dict[str, Any]:
    title = plain(variable.description or variable.name, _TITLE)
    field: dict[str, Any] = {**_shape(variable, titled=defaults), "title": title}
    if variable.derived:
        computed = plain(str(variable.default), _TITLE)
        field["description"] = f"Leave it empty to have it computed from the other answers: {computed}"
    elif defaults and _can_show(variable.default):
        field["default"] = variable.default
    else:
        field["description"] = "Leave it empty for the default"
    return field


def _shape(variable: VariableInfo, *, titled: bool) -> dict[str, Any]:
    match variable.type:
        case "boolean":
            return {"type": "boolean"}
        case "number":
            return {"type": "integer" if isinstance(variable.default, int) else "number"}
        case "choice":
            choices = list(dict.fromkeys(variable.choices or ()))
            titles = [plain(variable.labels.get(choice) or str(choice), _TITLE) for choice in choices]
            if not variable.labels:
                return {"type": "string", "enum": choices}
            if not titled:
                return {"type": "string", "enum": choices, "enumNames": titles}
            options = [{"const": choice, "title": title} for choice, title in zip(choices, titles, strict=True)]
            return {"type": "string", "oneOf": options}
        case _:
            return {"type": "string", "maxLength": ANSWER_LENGTH}


def _can_show(default: Any) -> bool:
    match default:
        case bool():
            return True
        case int() | float():
            return math.isfinite(default) and abs(default) <= _SAFE_INTEGER
        case str():
            return plain(default, _DEFAULT) == default
        case _:
            return False
