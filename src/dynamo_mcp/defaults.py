"""What does the operator answer by default? The `default_context` of their own cookiecutter configuration, literally.

Only where a setting names the file. Names that a template does not ask are passed over, as cookiecutter does; a value
that does not fit is told of and not used, where cookiecutter warns and then leaves out the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp.errors import UsageError
from dynamo_mcp.problems import kind_of
from dynamo_mcp.text import plain
from dynamo_mcp.variables import Schema, Variable
from dynamo_mcp.views import VariableInfo

LARGEST_BYTES = 1 << 20


class Defaults:
    """The answers of one operator."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Take them.

        Args:
            given: Values by variable, of whatever template.
        """
        self._given = given

    def of(self, schema: Schema) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the answers to a template's questions, and what is wrong with those that do not fit."""
        answers, problems = {}, []
        for variable in schema.variables:
            if variable.name in self._given:
                try:
                    answers[variable.name] = _fitting(variable, self._given[variable.name])
                except (ValueError, RecursionError) as error:
                    problems.append(plain(f"user configuration: {error}; the template's own default is used"))
        return answers, tuple(problems)

    def fill(self, schema: Schema, variables: dict[str, Any]) -> dict[str, Any]:
        """Return a caller's answers and the operator's, where the caller gave none; mappings are put together."""
        filled, _ = self.of(schema)
        for name, value in variables.items():
            both = isinstance(value, dict) and isinstance(filled.get(name), dict)
            filled[name] = {**filled[name], **value} if both else value
        return filled

    def show(self, schema: Schema, infos: tuple[VariableInfo, ...]) -> tuple[VariableInfo, ...]:
        """Return a template's variables with the operator's defaults instead of the author's."""
        shown = self._shown(schema)
        return tuple(
            msgspec.structs.replace(info, default=shown[info.name], derived=False) if info.name in shown else info
            for info in infos
        )

    def show_schema(self, schema: Schema, shown: dict[str, Any]) -> dict[str, Any]:
        """Return a template's JSON Schema with the operator's defaults instead of the author's."""
        properties = dict(shown["properties"])
        prompts = {variable.name: variable.prompt for variable in schema.variables}
        for name, default in self._shown(schema).items():
            properties[name] = {**properties[name], "description": prompts[name], "default": default}
        return {**shown, "properties": properties}

    def _shown(self, schema: Schema) -> dict[str, Any]:
        answers, _ = self.of(schema)
        mappings = {variable.name: variable.raw for variable in schema.variables if variable.kind == "mapping"}
        return {name: {**mappings[name], **answer} if name in mappings else answer for name, answer in answers.items()}


def read(path: Path | None) -> Defaults:
    """Read a cookiecutter configuration (`~/.cookiecutterrc`); None has no defaults.

    Raises:
        UsageError: It can't be read or understood.
    """
    if path is None:
        return Defaults({})
    import yaml  # noqa: PLC0415 - few need it, and start-up would pay for it

    try:
        with path.open("rb") as file:
            configuration = yaml.safe_load(file.read(LARGEST_BYTES).decode()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(
            f"The user configuration `{path}` can't be read: {' '.join(str(error).split())}",
            hint="name a cookiecutter configuration in YAML, or leave `DYNAMO_MCP_USER_CONFIG` unset",
        ) from error
    given = configuration.get("default_context") or {} if isinstance(configuration, dict) else configuration
    if not isinstance(given, dict):
        raise UsageError(
            f"The user configuration `{path}` has {kind_of(given)} where an object of answers is expected",
            hint="write the answers below `default_context:`, as `variable: value`",
        )
    return Defaults({str(name): value for name, value in given.items()})


def _fitting(variable: Variable, value: Any) -> Any:
    """Return a value of YAML as an answer.

    Raises:
        ValueError: It does not fit.
    """
    if variable.kind == "text" and not isinstance(value, (str, bool, list, dict)) and value is not None:
        value = str(value)  # `version: 1.0` and `year: 2026` are numbers to YAML, `2026-01-31` is a date
    answer = variable.coerce(value)
    variable.literal(answer)
    if variable.kind == "choice" and answer not in (variable.choices or ()):
        raise ValueError(f"`{variable.name}` can't be `{plain(str(answer), 100)}`")
    return answer
