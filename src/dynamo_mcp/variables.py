"""What does a template ask, and is this answer valid?

`cookiecutter.json` is parsed as plain JSON; nothing in it is evaluated. Every question gets a kind, a type for msgspec
and a JSON Schema; answers are checked all at once and come out as the literal values that the template will see.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from dynamo_mcp.errors import InvalidAnswers, Problem
from dynamo_mcp.literals import ANSWER_CHARACTERS, LARGEST, characters, is_jinja, storable, stringify, text_of
from dynamo_mcp.problems import Unfit, is_plain, not_asked, not_offered, shown, wrong
from dynamo_mcp.text import plain
from dynamo_mcp.types import VariableKind, VariableType
from dynamo_mcp.views import VariableInfo

MOST_PROBLEMS = 20
"""Problems with the answers that are told at once."""
TITLE_LENGTH = 100
QUOTED = 200
"""Characters of a question that a description quotes."""

YES_NO = {yes: (yes, no) for yes, no in (("y", "n"), ("yes", "no"), ("Y", "N"), ("Yes", "No"))}
YES_NO |= {no: pair for pair in list(YES_NO.values()) for no in pair}
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_TYPES: dict[VariableKind, VariableType] = {
    "text": "string",
    "boolean": "boolean",
    "yes_no": "boolean",
    "choice": "choice",
    "number": "number",
    "mapping": "mapping",
}


class Variable(msgspec.Struct, frozen=True):
    """One question.

    Attributes:
        raw: Its value in `cookiecutter.json`.
        prompt: The question, for a person.
        labels: Words for the choices.
        references: Variables that its default is computed from.
        recommended: Worth asking a person for.
    """

    name: str
    kind: VariableKind
    raw: Any
    prompt: str
    labels: dict[str, str] = {}
    references: tuple[str, ...] = ()
    recommended: bool = False

    @property
    def derived(self) -> bool:
        """The default, or a choice, is Jinja."""
        return is_jinja(self.raw)

    @property
    def question(self) -> str:
        """A sentence that quotes the prompt; it can't close the quotes, for the question is the author's."""
        return f"The template asks {json.dumps(plain(self.prompt, QUOTED), ensure_ascii=False)}."

    @property
    def choices(self) -> tuple[str, ...] | None:
        """What may be answered, where that is known without rendering."""
        return tuple(text_of(item) for item in self.raw) if self.kind == "choice" else None

    @property
    def default(self) -> Any:
        """The answer when none is given; Jinja where `derived`."""
        if self.kind == "choice":
            return text_of(self.raw[0])
        if self.kind == "yes_no":
            return self.raw == YES_NO[self.raw][0]
        return self.raw

    def coerce(self, given: Any) -> Any:
        """Return an answer as the type of its question, where it can be meant as one.

        Raises:
            Unfit: It does not; the problem says what is allowed.
        """
        match self.kind:
            case "boolean":
                return self._boolean(given, "true or false")
            case "yes_no":
                yes, no = YES_NO[self.raw]
                return self._boolean(given, f"true, false, `{yes}` or `{no}`")
            case "choice":
                return self._choice(given)
            case "number":
                return self._number(given)
            case "mapping" if not isinstance(given, dict):
                raise wrong(self.name, given, "an object")
            case "text" if not isinstance(given, str) and not (self.raw is None and given is None):
                raise wrong(self.name, given, "text")
            case _:
                return given

    def literal(self, typed: Any, longest: int = ANSWER_CHARACTERS) -> Any:
        """Return what the template sees for an answer of the right type, of so many characters at most.

        Raises:
            Unfit: It is too long, or no file could hold it.
        """
        match self.kind:
            case "yes_no" if isinstance(typed, bool):
                return YES_NO[self.raw][0 if typed else 1]
            case "number":
                if not isinstance(typed, str) and typed != self.raw and not abs(typed) < LARGEST:
                    raise wrong(self.name, typed, "a number of reasonable size")
                return str(int(typed) if isinstance(self.raw, int) and not isinstance(typed, str) else typed)
            case "mapping":
                return stringify(self.name, typed, longest)
            case _:
                return storable(self.name, typed, longest) if isinstance(typed, str) and typed != self.raw else typed

    def info(self) -> VariableInfo:
        """Return it as clients read it."""
        choices: tuple[Any, ...] | None = (True, False) if self.kind in {"boolean", "yes_no"} else self.choices
        return VariableInfo(
            self.name,
            self.prompt,
            self.default,
            choices,
            required=False,
            type=_TYPES[self.kind],
            recommended=self.recommended,
            derived=self.derived,
            labels=self.labels,
        )

    def json_schema(self, example: Any = None) -> dict[str, Any]:
        """Return its JSON Schema (2020-12).

        Args:
            example: What a derived default came to, where it was rendered; None where it was not.
        """
        schema: dict[str, Any] = {
            "title": plain(self.prompt, TITLE_LENGTH),
            "description": self.question,
            **self._shape(),
        }
        if self.derived:
            source = json.dumps(shown(self.raw), ensure_ascii=False)
            schema["description"] += f" Unless given, it is computed from {source}."
            if example is not None and is_plain(example):
                schema["examples"] = [example]
        elif self.raw is not None:
            schema["default"] = self.default
        return schema

    def _shape(self) -> dict[str, Any]:
        match self.kind:
            case "boolean":
                return {"type": "boolean"}
            case "yes_no":
                return {"type": ["boolean", "string"], "enum": [True, False, *YES_NO[self.raw]]}
            case "choice" if not self.derived:
                choices = list(dict.fromkeys(self.choices or ()))
                if not self.labels:
                    return {"type": "string", "enum": choices}
                # The form in which MCP's forms name choices (specification 2025-11-25, client/elicitation).
                titles = [self.labels.get(choice) or plain(choice, TITLE_LENGTH) for choice in choices]
                labelled = [{"const": choice, "title": title} for choice, title in zip(choices, titles, strict=True)]
                return {"type": "string", "enum": choices, "oneOf": labelled}
            case "number":
                return {"type": "integer" if isinstance(self.raw, int) else "number"}
            case "mapping":
                return {"type": "object", "additionalProperties": True}
            case _:
                return {"type": "string" if self.raw is not None else ["string", "null"]}

    def _boolean(self, given: Any, allowed: str) -> bool:
        if isinstance(given, bool):
            return given
        if isinstance(given, str) and given.strip().lower() in _TRUE | _FALSE:
            return given.strip().lower() in _TRUE
        raise wrong(self.name, given, allowed)

    def _choice(self, given: Any) -> str:
        choices = self.choices or ()
        if isinstance(given, (bool, list, dict)) or given is None:
            raise not_offered(self.name, given, choices, self.labels)
        text = text_of(given)
        if text in choices or self.derived:  # derived choices are known, and checked, where they are rendered
            return text
        raise not_offered(self.name, given, choices, self.labels)

    def _number(self, given: Any) -> int | float | str:
        whole = isinstance(self.raw, int)
        given = given.strip() if isinstance(given, str) else given
        wanted = "a whole number" if whole else "a number"
        if isinstance(given, bool):
            raise wrong(self.name, given, wanted)
        try:
            number = msgspec.convert(given, int if whole else float, strict=False)
            fits = math.isfinite(number)
        except (msgspec.ValidationError, OverflowError):
            fits = False
        if not fits:
            raise wrong(self.name, given, wanted)
        text_or_number: int | float | str = given  # text as it is: 3.10 is not 3.1
        return text_or_number


class Schema(msgspec.Struct, frozen=True):
    """All questions of a template, in their order.

    Attributes:
        configuration: The whole `cookiecutter.json`.
        struct: An msgspec struct with a field for each question.
        lines: The line of each name in `cookiecutter.json`, where they are known.
    """

    variables: tuple[Variable, ...]
    configuration: dict[str, Any]
    struct: type[msgspec.Struct]
    lines: dict[str, int] = {}

    def json_schema(self, examples: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the answers: an object, its properties in the order of the questions.

        Args:
            examples: What derived defaults came to, by variable.
        """
        known = examples or {}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                variable.name: variable.json_schema(known.get(variable.name)) for variable in self.variables
            },
            "additionalProperties": False,
        }

    def fingerprints(self) -> dict[str, str]:
        """Return, for each variable, a text that changes when the question does."""
        return {
            variable.name: hashlib.sha256(repr((variable.raw, variable.prompt, variable.labels)).encode()).hexdigest()[
                :16
            ]
            for variable in self.variables
        }

    def check(
        self, template: str, answers: dict[str, Any], *, longest: int = ANSWER_CHARACTERS, together: int = sys.maxsize
    ) -> dict[str, Any]:
        """Check answers and return the literal values that the template sees.

        Args:
            template: The template's name, for the message.
            answers: Values by variable; any may be left out.
            longest: Characters that one may have.
            together: Characters that all may have together.

        Raises:
            InvalidAnswers: With all problems at once; of very many, with the first.
        """
        known = {variable.name: variable for variable in self.variables}
        literal: dict[str, Any] = {}
        count = 0
        problems: list[Problem] = []
        try:
            msgspec.convert(answers, self.struct)
            fits = True
        except (msgspec.ValidationError, UnicodeEncodeError, RecursionError):
            fits = False
        for number, (name, given) in enumerate(answers.items()):
            if len(problems) == MOST_PROBLEMS:
                problems.append(Problem("", f"answers that were not checked: {len(answers) - number}"))
                break
            if name not in known:
                problems.append(not_asked(name, list(known)))
                continue
            try:
                literal[name] = known[name].literal(given if fits else known[name].coerce(given), longest)
                count += characters(literal[name])
            except Unfit as unfit:
                problems.append(unfit.problem)
            except RecursionError:
                problems.append(Problem(name, f"`{name}` is nested too deeply"))
            except ValueError:  # Python writes no number of thousands of digits
                problems.append(Problem(name, f"`{name}` holds a number of thousands of digits"))
        if count > together:
            told = f"the answers have {count} characters together; {together} are allowed"
            problems.append(Problem("", f"{told}, more with `DYNAMO_MCP_TOTAL_ANSWER_CHARACTERS`"))
        if problems:
            raise InvalidAnswers(
                template, tuple(problems), hint=f"`get_template_variables` lists what `{template}` asks and allows"
            )
        return literal
