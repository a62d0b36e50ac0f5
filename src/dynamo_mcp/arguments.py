"""What do the tools take, and how does what a model sent become it?

All problems are told at once, each with what was given and what is allowed.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from dynamo_mcp.errors import UsageError
from dynamo_mcp.results import schema_of, text_of
from dynamo_mcp.text import plain
from dynamo_mcp.types import IfExists

if TYPE_CHECKING:
    from collections.abc import Mapping

Arguments = TypeVar("Arguments", bound=msgspec.Struct)

TemplateName = Annotated[str, msgspec.Meta(description="The template's name, as `list_templates` gives it")]
OutputDir = Annotated[
    str | None, msgspec.Meta(description="The folder to create the project's folder in; null for the default one")
]
Answers = Annotated[
    dict[str, Any] | None,
    msgspec.Meta(
        description="Answers by variable, as `get_template_variables` describes them; those left out get their "
        "defaults. Values are taken literally"
    ),
]
Existing = Annotated[
    IfExists,
    msgspec.Meta(
        description="If the project's folder exists: `error` refuses, `skip` keeps the files that are there, "
        "`overwrite` replaces them"
    ),
]
Ask = Annotated[
    bool,
    msgspec.Meta(
        description="Show the person a form for the variables that you leave out; where the client has none, the "
        "defaults are taken and a note says so"
    ),
]

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}


class ListTemplates(msgspec.Struct, frozen=True):
    """The arguments of `list_templates`."""

    cursor: Annotated[
        str | None, msgspec.Meta(description="`next_cursor` of the previous page; leave it out to begin")
    ] = None


class GetTemplateVariables(msgspec.Struct, frozen=True):
    """The arguments of `get_template_variables`."""

    template_name: TemplateName
    answers: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="Answers by variable, some or none of them, to learn the value of every variable that follows "
            "from them; leave it out to read the questions alone, which is faster"
        ),
    ] = None


class AddTemplate(msgspec.Struct, frozen=True):
    """The arguments of `add_template`."""

    url: Annotated[
        str,
        msgspec.Meta(
            description="Where the template is: an https or ssh git URL, an abbreviation such as `gh:owner/name`, "
            "or the path of a folder that the operator allows"
        ),
    ]
    name: Annotated[
        str | None, msgspec.Meta(description="What to call it: lower case letters, digits, `.`, `_`, `-`")
    ] = None
    description: Annotated[str | None, msgspec.Meta(description="What it makes, in your own words")] = None
    checkout: Annotated[str | None, msgspec.Meta(description="A branch, tag or commit; the default branch if null")] = (
        None
    )
    directory: Annotated[
        str | None, msgspec.Meta(description="The template's folder inside the repository, if not its root")
    ] = None
    live: Annotated[
        bool, msgspec.Meta(description="Use a local folder in place, so that its edits show at once, instead of a copy")
    ] = False
    requirements: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Packages that the template's extensions or hooks need, such as `jinja2-time>=0.2`"),
    ] = ()


class PreviewProject(msgspec.Struct, frozen=True):
    """The arguments of `preview_project`."""

    template_name: TemplateName
    output_dir: OutputDir = None
    variables: Answers = None
    if_exists: Existing = "error"
    file: Annotated[
        str | None, msgspec.Meta(description="Show the text of this file of the project, by its path in `files`")
    ] = None
    diff: Annotated[
        bool, msgspec.Meta(description="Show how the project's text files differ from those that are there already")
    ] = False
    hooks: Annotated[
        bool, msgspec.Meta(description="Run the template's hooks too, in the sandbox; they may change the files")
    ] = False


class CreateProject(msgspec.Struct, frozen=True):
    """The arguments of `create_project`."""

    template_name: TemplateName
    output_dir: OutputDir = None
    variables: Answers = None
    if_exists: Existing = "error"
    ask: Ask = False


class UpdateTemplate(msgspec.Struct, frozen=True):
    """The arguments of `update_template`."""

    template_name: TemplateName
    force: Annotated[bool, msgspec.Meta(description="Fetch and rebuild even if nothing seems to have changed")] = False


class RemoveTemplate(msgspec.Struct, frozen=True):
    """The arguments of `remove_template`."""

    template_name: TemplateName


class DiscoverTemplates(msgspec.Struct, frozen=True):
    """The arguments of `discover_templates`: none."""


class Placement(msgspec.Struct, frozen=True, rename=lambda name: f"_{name}"):
    """What a template's own tool takes beside the template's variables, none of which can begin with `_`."""

    output_dir: OutputDir = None
    if_exists: Existing = "error"
    ask: Ask = False


def input_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a tool's arguments, which refuses unknown names as `parse` does."""
    schema = schema_of(kind)
    return {
        **{keyword: schema[keyword] for keyword in ("type", "properties", "required", "$defs") if keyword in schema},
        "additionalProperties": False,
    }


def parse(kind: type[Arguments], given: Mapping[str, Any], *, tool: str) -> Arguments:
    """Return the arguments of a call.

    Args:
        kind: The arguments that the tool takes; a field's encoded name is the argument's.
        given: What the caller passed.
        tool: The tool's name, for the message.

    Raises:
        UsageError: An argument is missing, unknown, or of the wrong type; the message names every one.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    properties = schema_of(kind)["properties"]
    problems = [_unknown(name, list(fields)) for name in given if name not in fields]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in given:
            if field.required:
                problems.append(f"`{name}` is missing; it takes {_allowed(properties[name])}")
            continue
        try:
            values[field.name] = msgspec.convert(given[name], type=field.type)
        except msgspec.ValidationError:
            problems.append(f"`{name}` is `{_shown(given[name])}`, which is not {_allowed(properties[name])}")
    if problems:
        head = f"The arguments do not fit `{tool}`"
        raise UsageError(
            f"{head}: {problems[0]}" if len(problems) == 1 else "\n".join([f"{head}:", *(f"- {x}" for x in problems)]),
            hint=f"`{tool}` takes {', '.join(f'`{name}`' for name in fields)}; correct the call and try again",
        )
    return kind(**values)


def _unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    suggestion = f"; did you mean `{nearest[0]}`?" if nearest else ""
    return f"`{plain(name, 80)}` is not an argument{suggestion}"


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_allowed(alternative) for alternative in schema["anyOf"])
    if "items" in schema:
        return f"a list, each entry {_allowed(schema['items'])}"
    return _TYPES.get(schema.get("type", ""), "a value")


def _shown(value: object) -> str:
    return plain(text_of(value), 80)
