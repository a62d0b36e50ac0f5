"""What do the tools take, and how does what a model sent become it?

All problems are told at once, each with what was given, what is allowed and the nearest, as those of answers are.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from dynamo_mcp.errors import DynamoError, InvalidAnswers, InvalidArguments, Problem
from dynamo_mcp.problems import not_offered, not_taken, wrong
from dynamo_mcp.results import schema_of
from dynamo_mcp.types import IfExists
from dynamo_mcp.views import TOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

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
InCategory = Annotated[
    str | None, msgspec.Meta(description="Only those of this category, as `templates://categories` names it")
]
Cursor = Annotated[str | None, msgspec.Meta(description="`next_cursor` of the previous page; leave it out to begin")]
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
    "string": "text",
}


class ListTemplates(msgspec.Struct, frozen=True):
    """The arguments of `list_templates`."""

    cursor: Cursor = None
    check: Annotated[
        bool,
        msgspec.Meta(
            description="Ask where each comes from whether another revision is there, and tell it in `newer`; nothing "
            "is fetched"
        ),
    ] = False


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
            description="Where the template is: the name of an entry that `search_templates` or `discover_templates` "
            "found, an https or ssh git URL, an abbreviation such as `gh:owner/name`, a package such as `pypi:name` or "
            "`pypi:name==1.2.0`, or the path of a folder that the operator allows"
        ),
    ]
    name: Annotated[
        str | None, msgspec.Meta(description="What to call it: lower case letters, digits, `.`, `_`, `-`")
    ] = None
    description: Annotated[str | None, msgspec.Meta(description="What it makes, in your own words")] = None
    checkout: Annotated[
        str | None,
        msgspec.Meta(
            description="A branch, tag or commit, or `latest`: the newest version tag; of a package a version. The "
            "default branch or newest version if null"
        ),
    ] = None
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
    """The arguments of `discover_templates`."""

    category: InCategory = None
    cursor: Cursor = None


class SearchTemplates(msgspec.Struct, frozen=True):
    """The arguments of `search_templates`."""

    query: Annotated[
        str,
        msgspec.Meta(
            description="Words for what is wanted, such as `django rest`; misspelled ones are understood. Empty if the "
            "filters say it"
        ),
    ]
    category: InCategory = None
    language: Annotated[str | None, msgspec.Meta(description="Only those in this programming language")] = None
    tags: Annotated[tuple[str, ...], msgspec.Meta(description="Only those that have all of these tags")] = ()
    limit: Annotated[int, msgspec.Meta(description="How many at most, 1 to 50")] = 10


class RecommendTemplates(msgspec.Struct, frozen=True):
    """The arguments of `recommend_templates`."""

    wanted: Annotated[str, msgspec.Meta(description="What is to be made, in a sentence of the person's own words")]


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
        InvalidArguments: Some are missing, unknown, or of the wrong type; with every problem.
    """
    fields, properties = _taken(kind)
    problems = [not_taken(name, list(fields)) for name in given if name not in fields]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in given:
            found = _problems(name, given[name], field.type, properties[name])
            if not found:
                values[field.name] = msgspec.convert(given[name], type=field.type)
            problems += found
        elif field.required:
            allowed = _allowed(properties[name])
            problems.append(Problem(name, f"`{name}` is missing; it is {allowed}", None, allowed))
    if problems:
        names = [f"`{name}`" for name in fields] + (["the template's variables"] if kind is Placement else [])
        taken = ", ".join(names) or "no arguments"
        raise InvalidArguments(tool, tuple(problems), hint=f"`{tool}` takes {taken}; correct the call and try again")
    return kind(**values)


@cache
def _taken(kind: type[msgspec.Struct]) -> tuple[dict[str, msgspec.structs.FieldInfo], dict[str, Any]]:
    """Return the fields of a tool's arguments, and the JSON Schema of each, by name."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    return fields, schema_of(kind)["properties"] if fields else {}


async def parse_with_answers(
    kind: type[Arguments], given: Mapping[str, Any], *, tool: str, check: Callable[[], Awaitable[None]]
) -> Arguments:
    """Return the arguments of a call; where they do not fit, tell what is wrong with its answers too.

    Args:
        kind: As for `parse`, and so are `given` and `tool`.
        given: As there.
        tool: As there.
        check: Raises InvalidAnswers if the call's answers do not fit.

    Raises:
        InvalidArguments: With every problem of both.
    """
    try:
        return parse(kind, given, tool=tool)
    except InvalidArguments as error:
        try:
            await check()
        except InvalidAnswers as wrong:
            raise InvalidArguments(tool, (*error.problems, *wrong.problems), hint=error.hint) from None
        except DynamoError:
            pass  # whether there is such a template is told when the arguments fit
        raise


@contextmanager
def as_arguments(template: str, tool: str) -> Iterator[None]:
    """Tell of answers that are a template's own tool's arguments what else was meant by those that are not asked.

    Raises:
        InvalidAnswers: As the caller's code raises it, with more words.
    """
    try:
        yield
    except InvalidAnswers as error:
        if tool == f"{TOOL_PREFIX}{template}":
            problems = tuple(map(_meant, error.problems))
            raise InvalidAnswers(template, problems, hint=error.hint) from error
        raise


def _meant(problem: Problem) -> Problem:
    """Say what was meant by an argument of the general tool, where no variable is called so."""
    name, unknown = problem.variable, f"`{problem.variable}` is not asked"
    if not problem.message.startswith(unknown):
        return problem
    if name in Placement.__struct_fields__:
        return msgspec.structs.replace(problem, message=f"{unknown}; did you mean `_{name}`?", nearest=f"_{name}")
    if name == "variables":
        told = f"{unknown}; pass each variable as an argument of its own"
        return msgspec.structs.replace(problem, message=told, nearest=None)
    return problem


def _problems(name: str, value: Any, kind: Any, schema: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with one argument: msgspec stops at the first item of a list that does not fit."""
    if _fits(value, kind):
        return []
    if isinstance(value, list) and "items" in schema:
        # Items that do not fit are those of which a list of one does not.
        return [
            _problem(f"{name}[{index}]", item, schema["items"])
            for index, item in enumerate(value)
            if not _fits([item], kind)
        ]
    return [_problem(name, value, schema)]


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, type=kind)
    except msgspec.ValidationError:
        return False
    return True


def _problem(name: str, value: Any, schema: Mapping[str, Any]) -> Problem:
    if "enum" in schema:
        return not_offered(name, value, schema["enum"]).problem
    return wrong(name, value, _allowed(schema)).problem


def _allowed(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_allowed(alternative) for alternative in schema["anyOf"])
    if "items" in schema:
        return f"a list, each item {_allowed(schema['items'])}"
    return _TYPES.get(schema.get("type", ""), "a value")
