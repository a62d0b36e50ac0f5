"""What does `cookiecutter.json` ask? It is parsed as plain JSON; nothing in it is evaluated."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dynamo_mcp.errors import InvalidTemplate, NotATemplate
from dynamo_mcp.literals import is_jinja, text_of
from dynamo_mcp.parsing import CONFIGURATION, invalid, lines_of, parse
from dynamo_mcp.problems import shown
from dynamo_mcp.scripts import hook_of, hooks
from dynamo_mcp.text import plain
from dynamo_mcp.types import VariableKind
from dynamo_mcp.variables import YES_NO, Schema, Variable

LARGEST_BYTES = 1 << 20
MOST_VARIABLES = 500
NAME_LENGTH = 200
SHOWN = 20
"""Folders that a message names at most."""

# cookiecutter takes each letter of a text of patterns, and the names in an object; a text of extensions never works.
_SETTINGS: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("_copy_without_render", (list, dict, str), "a list of texts"),
    ("_extensions", (list, dict, str), "a list of texts"),
    ("_jinja2_env_vars", (dict,), "an object"),
)
_NEW_LINES = ("\n", "\r\n", "\r")
_MARKS = tuple(f"{kind}_{end}_string" for kind in ("block", "variable", "comment") for end in ("start", "end"))
_REFERENCE = re.compile(r"cookiecutter\s*(?:\.\s*(\w+)|\[\s*['\"]([^'\"]+)['\"]\s*\])")


class Nested(msgspec.Struct, frozen=True):
    """One of the templates that a `cookiecutter.json` names.

    Attributes:
        key: What it is called there.
        folder: Where it is, as written; None where nothing says.
        description: Its author's words.
    """

    key: str
    folder: str | None
    description: str


def read(template: Path, place: str | None = None) -> Schema:
    """Read the questions that the template in a folder asks.

    Args:
        template: The folder.
        place: What it is to whoever reads a message, in words; its name when None.

    Raises:
        NotATemplate: There is no `cookiecutter.json`.
        InvalidTemplate: It can't be understood.
    """
    content = content_of(template, place)
    return compile_schema(parse(content), lines_of(content.decode()))


def content_of(template: Path, place: str | None = None) -> bytes:
    """Return the bytes of a template's `cookiecutter.json`; takes what `read` does, and raises as it does."""
    path = template / CONFIGURATION
    try:
        return _content(path)
    except IsADirectoryError as error:
        raise NotATemplate(f"`{CONFIGURATION}` is no file", hint="mend the template: it must be one") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise none_in(place or f"`{template.name}`") from error
    except OSError as error:
        raise InvalidTemplate(
            f"`{CONFIGURATION}` can't be read: {error.strerror}", hint="make the file readable"
        ) from error


def none_in(place: str) -> NotATemplate:
    """Return the error for a place, in words, that should hold a `cookiecutter.json`."""
    return NotATemplate(
        f"There is no `{CONFIGURATION}` in {place}",
        hint="name the folder that holds it with `directory`, if it is not the root",
    )


def has_pre_prompt(template: Path) -> bool:
    """Tell whether a template has a hook that may rewrite its `cookiecutter.json` before anything is asked."""
    return any(hook_of(name) == "pre_prompt" for name in hooks(template))


def fingerprint(template: Path) -> str:
    """Return the SHA-256 of a template's `cookiecutter.json`, in hexadecimal.

    Raises:
        NotATemplate: There is none.
        InvalidTemplate: It can't be read.
    """
    return hashlib.sha256(content_of(template)).hexdigest()


def check_project_folder(
    template: Path, configuration: dict[str, Any], *, names: tuple[str, ...] | None = None
) -> None:
    """Check that there is a folder to render, as cookiecutter's `find_template` looks for it.

    Args:
        template: The template's folder.
        configuration: Its parsed `cookiecutter.json`, which may choose other marks than `{{` and `}}`.
        names: What its `pre_prompt` hook has left in its folder; None where it has not run.

    Raises:
        NotATemplate: There is none, and no `pre_prompt` hook that could make one, or that did.
        InvalidTemplate: There are several.
    """
    chosen = configuration.get("_jinja2_env_vars")
    chosen = chosen if isinstance(chosen, dict) else {}
    marks = ("cookiecutter", chosen.get("variable_start_string", "{{"), chosen.get("variable_end_string", "}}"))
    may_be_made = names is None and has_pre_prompt(template)
    try:
        if names is None:
            names = tuple(entry.name for entry in template.iterdir() if entry.is_dir())
    except OSError as error:
        raise InvalidTemplate(f"The template can't be read: {error.strerror}", hint="make it readable") from error
    found = sorted(name for name in names if all(str(mark) in name for mark in marks))
    if may_be_made or len(found) == 1:
        return
    if found:
        raise InvalidTemplate(
            f"There are several folders to make a project from: {_listed(found)}",
            hint="mend the template: cookiecutter would take whichever the disk lists first",
        )
    wanted = plain(f"{marks[1]} cookiecutter.… {marks[2]}")
    raise NotATemplate(
        f"There is no folder to make a project from: its name must hold `{wanted}`",
        hint="name the folder that holds it with `directory`, or mend the template",
    )


def _listed(folders: Sequence[str]) -> str:
    names = ", ".join(f"`{plain(folder, NAME_LENGTH)}`" for folder in folders[:SHOWN])
    return names + (f" and {len(folders) - SHOWN} more" if len(folders) > SHOWN else "")


def _content(path: Path) -> bytes:
    """Read a regular file of reasonable size; what a live folder holds may be anything."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError
        if status.st_size > LARGEST_BYTES:
            raise invalid(f"`{CONFIGURATION}` has {status.st_size} bytes; {LARGEST_BYTES} are allowed")
        return file.read(LARGEST_BYTES)


def compile_schema(configuration: dict[str, Any], lines: dict[str, int] | None = None) -> Schema:
    """Make the schema of a parsed `cookiecutter.json`.

    Args:
        configuration: What was parsed.
        lines: The line of each name in it, where they are known.

    Raises:
        InvalidTemplate: A question can't be asked.
    """
    if several := nested(configuration):
        hint = "remove it and add the repository again, or add one of them by naming its folder with `directory`"
        raise holding(several, hint=hint)
    lines = lines or {}
    _check_settings(configuration, lines)
    prompts = configuration.get("__prompts__")
    prompts = prompts if isinstance(prompts, dict) else {}
    asked = [(name, raw) for name, raw in configuration.items() if not name.startswith("_")]
    for name, raw in asked:
        _check_question(name, raw, lines.get(name))
    variables = [_variable(name, raw, prompts.get(name)) for name, raw in asked]
    if len(variables) > MOST_VARIABLES:
        raise invalid(f"`{CONFIGURATION}` asks {len(variables)} questions; {MOST_VARIABLES} are allowed")
    used = {reference for variable in variables for reference in variable.references}
    marked = tuple(
        msgspec.structs.replace(variable, recommended=not variable.derived and (variable.name in used or index == 0))
        for index, variable in enumerate(variables)
    )
    struct = msgspec.defstruct(
        "Answers",
        [(f"v{index}", _type(variable) | msgspec.UnsetType, msgspec.UNSET) for index, variable in enumerate(marked)],
        rename={f"v{index}": variable.name for index, variable in enumerate(marked)},
        forbid_unknown_fields=True,
        frozen=True,
        kw_only=True,
    )
    return Schema(marked, configuration, struct, lines)


def holding(several: tuple[Nested, ...], *, hint: str) -> InvalidTemplate:
    """Return the error for several templates where one is expected."""
    folders = _listed([(child.folder or child.key).removeprefix("./") for child in several])
    return InvalidTemplate(f"This repository holds several templates, in the folders {folders}", hint=hint)


def nested(configuration: dict[str, Any]) -> tuple[Nested, ...]:
    """Return the templates that a `cookiecutter.json` names instead of questions; none where it asks its own.

    Either `"templates": {"key": {"path": "./folder", "title", "description"}}`, whose values may also be the path
    alone, or the older `"template": ["Title (./folder)"]`, as cookiecutter's `choose_nested_template` reads them.
    """
    several = configuration.get("templates")
    if isinstance(several, dict) and several:
        return tuple(_named(key, item) for key, item in several.items())
    several = several or configuration.get("template")
    if not isinstance(several, list):
        return ()
    prompts = configuration.get("__prompts__")
    labels = prompts.get("template") if isinstance(prompts, dict) else None
    found = []
    for text in map(text_of, several):
        title, folder = _older(text)
        label = labels.get(text) if isinstance(labels, dict) else None
        found.append(Nested(title, folder, str(label or title)))
    return tuple(found)


def _older(text: str) -> tuple[str, str | None]:
    r"""Split "Title (./folder)" as cookiecutter's `\((.+)\)` does, which may take the square of the text's length."""
    before = 0
    for line in text.split("\n"):
        opening, closing = line.find("("), line.rfind(")")
        if 0 <= opening < closing - 1:
            return text[: before + opening].strip(), line[opening + 1 : closing]
        before += len(line) + 1
    return text, None


def _named(key: str, item: Any) -> Nested:
    if not isinstance(item, dict):
        return Nested(key, item if isinstance(item, str) else None, key)
    path = item.get("path")
    words = [str(item[word]) for word in ("title", "description") if item.get(word)]
    return Nested(key, path if isinstance(path, str) else None, ": ".join(dict.fromkeys(words)) or key)


def _texts(value: Any) -> list[str]:
    """Return every text in a value."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _check_settings(configuration: dict[str, Any], lines: dict[str, int]) -> None:
    """Check the types of what an author sets for cookiecutter: those with which no job could work."""
    for name, kinds, allowed in _SETTINGS:
        value: Any = configuration.get(name, kinds[0]())
        texts = value if kinds[0] is list else ()
        if not isinstance(value, kinds) or not all(isinstance(item, str) for item in texts):
            raise invalid(f"`{name}` can't be `{shown(value)}`; it is {allowed}", lines.get(name))
    extensions = configuration.get("_extensions")
    if isinstance(extensions, str) and extensions:
        told = f"`_extensions` can't be text `{shown(extensions)}`; it is a list; is `{shown([extensions])}` meant?"
        raise invalid(told, lines.get("_extensions"))
    ending = configuration.get("_new_lines")
    if ending and ending not in _NEW_LINES:
        told = f'`_new_lines` can\'t be `{shown(json.dumps(ending))}`; it is one of `"\\n"`, `"\\r\\n"`, `"\\r"`'
        raise invalid(told, lines.get("_new_lines"))
    for mark in _MARKS:
        chosen = configuration.get("_jinja2_env_vars", {}).get(mark, "")
        if not isinstance(chosen, str):
            told = f"`{mark}` of `_jinja2_env_vars` can't be `{shown(chosen)}`; it is text"
            raise invalid(told, lines.get("_jinja2_env_vars"))


def _check_question(name: str, raw: Any, line: int | None) -> None:
    if not name.isprintable() or not name.strip() or len(name) > NAME_LENGTH or any(mark in name for mark in '"\\'):
        allowed = f"a name has up to {NAME_LENGTH} visible characters, no quotes and no backslashes"
        raise invalid(f"a variable can't be called {plain(repr(name), 100)}; {allowed}", line)
    if raw == []:
        raise invalid(f"the choice `{name}` offers nothing; it is a list of at least one", line)


def _variable(name: str, raw: Any, prompt: Any) -> Variable:
    kind = _kind(raw)
    labels: dict[str, str] = {}
    if isinstance(prompt, dict):
        offered = {text_of(item) for item in raw} if isinstance(raw, list) else set()
        # An author labels what a computed choice comes to, which is not known here.
        known = {key for key in prompt if key != "__prompt__"} if offered and is_jinja(raw) else offered
        labels = {key: plain(str(label)) for key, label in prompt.items() if key in known}
        prompt = prompt.get("__prompt__")
    question = plain(str(prompt)) if prompt else name.replace("_", " ").capitalize()
    references = tuple(dict.fromkeys(dotted or keyed for dotted, keyed in _REFERENCE.findall("\n".join(_texts(raw)))))
    return Variable(name, kind, raw, question, labels, references if is_jinja(raw) else ())


def _kind(raw: Any) -> VariableKind:
    match raw:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list():
            return "choice"
        case dict():
            return "mapping"
        case str() if raw in YES_NO:
            return "yes_no"
        case _:
            return "text"


def _type(variable: Variable) -> Any:
    match variable.kind:
        case "boolean":
            return bool
        case "yes_no":
            return bool | Literal[YES_NO[variable.raw]]
        case "choice" if not variable.derived:
            return Literal[tuple(dict.fromkeys(variable.choices or ()))]
        case "number":
            return int if isinstance(variable.raw, int) else float
        case "mapping":
            return dict[str, Any]
        case _:
            return str if variable.raw is not None else str | None
