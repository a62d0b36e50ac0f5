"""What does the operator answer by default? The `default_context` of their own cookiecutter configuration, literally.

Only where a setting names the file. Names that a template does not ask are passed over, as cookiecutter does; a value
that does not fit is told of and not used, where cookiecutter warns and then leaves out the rest.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp.errors import UsageError
from dynamo_mcp.literals import ANSWER_CHARACTERS
from dynamo_mcp.problems import kind_of, shown, wrong
from dynamo_mcp.text import plain
from dynamo_mcp.variables import Schema, Variable
from dynamo_mcp.views import VariableInfo

LARGEST_BYTES = 1 << 20


class Defaults:
    """The answers of one operator."""

    def __init__(self, given: dict[str, Any], longest: int = ANSWER_CHARACTERS, together: int = sys.maxsize) -> None:
        """Take them.

        Args:
            given: Values by variable, of whatever template.
            longest: Characters that one may have, and that any answer may.
            together: Characters that all answers may have together.
        """
        self._given = given
        self._longest = longest
        self._together = together

    def check(self, template: str, schema: Schema, variables: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Check a caller's answers, put together with the operator's.

        Returns:
            The literal values that the template sees, and what is wrong with answers of the operator.

        Raises:
            InvalidAnswers: With all problems at once.
        """
        filled, notes = self.fill(schema, variables)
        return schema.check(template, filled, longest=self._longest, together=self._together), notes

    def fill(self, schema: Schema, variables: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return a caller's answers and the operator's, where the caller gave none; mappings are put together.

        Returns:
            The answers, and what is wrong with those of the operator that would have counted and do not fit.
        """
        filled, problems = self._answers(schema)
        for name, value in variables.items():
            filled[name] = _join(filled.get(name), value)
        counting = {name: problem for name, problem in problems.items() if name not in variables}
        return filled, tuple(f"{problem}; the template's own default is used" for problem in counting.values())

    def show(self, schema: Schema, infos: tuple[VariableInfo, ...]) -> tuple[VariableInfo, ...]:
        """Return a template's variables with the operator's defaults instead of the author's."""
        shown = self._shown(schema)
        return tuple(
            msgspec.structs.replace(info, default=shown[info.name], derived=False) if info.name in shown else info
            for info in infos
        )

    def show_schema(self, schema: Schema, shown: dict[str, Any]) -> dict[str, Any]:
        """Return a template's JSON Schema with the operator's defaults instead of the author's; itself without any."""
        defaults = self._shown(schema)
        if not defaults:
            return shown
        properties = dict(shown["properties"])
        asked = {variable.name: variable for variable in schema.variables}
        for name, default in defaults.items():
            kept = {keyword: value for keyword, value in properties[name].items() if keyword != "examples"}
            properties[name] = {**kept, "description": asked[name].question, "default": default}
        return {**shown, "properties": properties}

    def _answers(self, schema: Schema) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the answers to a template's questions, and by variable what is wrong with those that do not fit."""
        answers, problems = {}, {}
        for variable in schema.variables:
            if variable.name in self._given:
                try:
                    answers[variable.name] = _fitting(variable, self._given[variable.name], self._longest)
                except (ValueError, RecursionError) as error:
                    problems[variable.name] = plain(f"user configuration: {error}")
        return answers, problems

    def _shown(self, schema: Schema) -> dict[str, Any]:
        answers, _ = self._answers(schema)
        asked = {variable.name: variable for variable in schema.variables}
        return {name: _default(asked[name], answer) for name, answer in answers.items()}


def read(path: Path | None, longest: int = ANSWER_CHARACTERS, together: int = sys.maxsize) -> Defaults:
    """Read a cookiecutter configuration (`~/.cookiecutterrc`); None has no defaults.

    Args:
        path: Its file.
        longest: Characters that an answer may have.
        together: Characters that all may have together.

    Raises:
        UsageError: It can't be read or understood.
    """
    if path is None:
        return Defaults({}, longest, together)
    try:
        configuration = _parse(_content(path).decode()) or {}
    except Exception as error:
        raise UsageError(
            f"The user configuration `{path}` can't be read: {plain(str(error))}",
            hint="name a cookiecutter configuration in YAML, or leave `DYNAMO_MCP_USER_CONFIG` unset",
        ) from error
    given = configuration.get("default_context") or {} if isinstance(configuration, dict) else configuration
    if not isinstance(given, dict):
        raise UsageError(
            f"The user configuration `{path}` has {kind_of(given)} where an object of answers is expected",
            hint="write the answers below `default_context:`, as `variable: value`",
        )
    return Defaults({str(name): value for name, value in given.items()}, longest, together)


def _content(path: Path) -> bytes:
    """Read a regular file of reasonable size; a pipe would make us wait for whoever writes into it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"it has more than {LARGEST_BYTES} bytes")
    return content


def _parse(text: str) -> Any:
    import yaml  # noqa: PLC0415 - few need it, and start-up would pay for it

    class Loader(yaml.SafeLoader):
        """A loader that says where a value is that can't be what it is written or tagged as."""

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, LookupError, AttributeError, TypeError) as error:
                kind = node.tag.rpartition(":")[2]
                raise yaml.constructor.ConstructorError(
                    None, None, f"`{shown(node.value)}` can't be read as `{kind}`", node.start_mark
                ) from error

    return yaml.load(text, Loader)  # noqa: S506 - it is a safe one


def _fitting(variable: Variable, value: Any, longest: int) -> Any:
    """Return a value of YAML as an answer.

    Raises:
        ValueError: It does not fit.
    """
    value = _plain(value)
    if variable.kind == "text" and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)  # `version: 1.0` and `year: 2026` are numbers to YAML
    answer = variable.coerce(value)
    variable.literal(answer, longest)
    choices = variable.choices
    if choices is not None and answer not in choices:
        written = shown(list(choices))
        raise wrong(variable.name, answer, f"one of `{written}` as it is written there, since those are computed")
    return answer


def _plain(value: Any) -> Any:
    """Return a value of YAML as one of JSON: a date, say, is the text that cookiecutter would make of it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    known = isinstance(value, (str, int)) or value is None or (isinstance(value, float) and math.isfinite(value))
    return value if known else str(value)


def _default(variable: Variable, answer: Any) -> Any:
    """Return an answer as the default that the variable's JSON Schema accepts."""
    if variable.kind == "number" and isinstance(answer, str):
        return msgspec.convert(answer, int if isinstance(variable.raw, int) else float, strict=False)
    return _join(variable.raw, answer) if variable.kind == "mapping" else answer


def _join(default: Any, given: Any) -> Any:
    """Put a mapping's given keys over its default ones at every depth, as a job does with the template's own."""
    if isinstance(default, dict) and isinstance(given, dict):
        return {**default, **{key: _join(default.get(key), value) for key, value in given.items()}}
    return given
