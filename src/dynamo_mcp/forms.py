"""What form asks for the answers that are missing? A flat object of texts, booleans, numbers and choices.

MCP specification 2025-11-25 and 2026-07-28, client/elicitation: a form holds nothing nested. Its questions were written
by strangers: they are plain and bounded, and the form says so.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import msgspec

from dynamo_mcp.literals import ANSWER_CHARACTERS, is_jinja
from dynamo_mcp.results import text_of
from dynamo_mcp.text import plain

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
        fingerprint: A text that changes when anything that is asked does; what is computed may be another each time.
        computed: Variables that are asked and whose default, or what they offer, follows from other answers.
        shows_computed: It shows what that is, as far as the answers given so far say.
        optional: Variables whose default the form can't show: an empty answer means that default.
        left: Variables that were not given and are not asked.
    """

    message: str
    schema: dict[str, Any]
    fingerprint: str
    computed: tuple[str, ...]
    shows_computed: bool
    optional: frozenset[str]
    left: tuple[str, ...]

    @property
    def asked(self) -> tuple[str, ...]:
        """The variables that it asks for."""
        return tuple(self.schema["properties"])

    def answers(self, content: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what was answered of what was asked; what was left empty and has a default is no answer."""
        return {
            name: value
            for name, value in (content or {}).items()
            if name in self.schema["properties"] and value is not None and not (value == "" and name in self.optional)
        }


def compose(
    template: str,
    variables: Sequence[VariableInfo],
    given: Collection[str],
    *,
    defaults: bool = True,
    longest: int = ANSWER_CHARACTERS,
    values: Sequence[VariableInfo] | None = None,
) -> Form:
    """Make the form for what was not given, in the order of the template's questions.

    Args:
        template: The template's name.
        variables: What it asks.
        given: The variables that need not be asked.
        defaults: The client knows defaults and titles of choices, which came with version 2025-11-25.
        longest: Characters that an answer may have.
        values: The variables with what they come to as long as nothing else is answered; any may be absent. None where
            that can't be known: then nobody could choose between what is computed, and is not asked to.
    """
    missing = [variable for variable in variables if variable.name not in given]
    fit = [variable for variable in missing if _can_ask(variable, computed=values is not None)]
    chosen = {variable.name for variable in sorted(fit, key=lambda variable: not variable.recommended)[:MOST]}
    asked = [variable for variable in fit if variable.name in chosen]
    known = {value.name: value for value in values or ()}
    message = (
        f"What should the project from the template `{template}` be like? Everything has a default, so change only "
        "what should differ. The template's author wrote the questions: answer with nothing that is secret."
    )
    outline = {variable.name: _field(variable, None, longest, defaults=defaults) for variable in asked}
    fields = {
        variable.name: _field(variable, known.get(variable.name), longest, defaults=defaults) for variable in asked
    }
    return Form(
        message,
        {"type": "object", "properties": fields},
        hashlib.sha256(text_of([message, outline, values is None]).encode()).hexdigest(),
        tuple(variable.name for variable in asked if variable.derived or _offers_computed(variable)),
        values is not None,
        frozenset(name for name, field in fields.items() if "default" not in field),
        tuple(variable.name for variable in missing if variable.name not in chosen),
    )


def _can_ask(variable: VariableInfo, *, computed: bool) -> bool:
    if variable.type == "mapping" or plain(variable.name, _NAME) != variable.name:
        return False
    if variable.type != "choice":
        return True
    choices = [str(choice) for choice in variable.choices or ()]
    return (
        (computed or not _offers_computed(variable))
        and len(choices) <= _CHOICES
        and sum(map(len, choices)) <= _CHOICES_LENGTH
        and all(plain(choice, _CHOICES_LENGTH) == choice for choice in choices)
    )


def _offers_computed(variable: VariableInfo) -> bool:
    return variable.type == "choice" and is_jinja(list(variable.choices or ()))


def _field(variable: VariableInfo, value: VariableInfo | None, longest: int, *, defaults: bool) -> dict[str, Any]:
    title = plain(variable.description or variable.name, _TITLE)
    field: dict[str, Any] = {**_shape(variable, value, longest, titled=defaults), "title": title}
    if variable.derived and variable.type != "choice":
        comes_to = f": {variable.default}" if value is None else f"; with those so far it is: {value.value}"
        field["description"] = "Leave it empty to have it computed from the other answers" + plain(comes_to, _TITLE)
    elif defaults and _can_show(variable.default):
        field["default"] = variable.default
        if _offers_computed(variable):
            field["description"] = "What it offers follows from the other answers, and is shown for those so far"
    else:
        field["description"] = "Leave it empty for the default"
    return field


def _shape(variable: VariableInfo, value: VariableInfo | None, longest: int, *, titled: bool) -> dict[str, Any]:
    match variable.type:
        case "boolean":
            return {"type": "boolean"}
        case "number":
            return {"type": "integer" if isinstance(variable.default, int) else "number"}
        case "choice":
            titles = _titles(variable, value)
            if not variable.labels and not _offers_computed(variable):
                return {"type": "string", "enum": list(titles)}
            if not titled:
                return {"type": "string", "enum": list(titles), "enumNames": list(titles.values())}
            return {"type": "string", "oneOf": [{"const": each, "title": title} for each, title in titles.items()]}
        case _:
            return {"type": "string", "maxLength": longest}


def _titles(variable: VariableInfo, value: VariableInfo | None) -> dict[Any, str]:
    """Return what is shown for each choice.

    What is computed is answered as its author wrote it, and shown as it was rendered: so an answer means the same when
    another answer of the same form changes what it comes to.
    """
    choices = variable.choices or ()
    rendered = value.choices if value is not None and len(value.choices or ()) == len(choices) else None
    titles: dict[Any, str] = {}
    for choice, shown in zip(choices, rendered or choices, strict=True):
        words = variable.labels.get(shown) or variable.labels.get(choice) or str(shown)
        titles.setdefault(choice, plain(words, _TITLE) or plain(str(choice), _TITLE))
    return titles


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
