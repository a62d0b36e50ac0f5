"""How does a value become an MCP result? As structured content with a schema, a page at a time, with harmless words.

Whatever a template's author wrote is data. Where it must stand in words that a model reads as ours (a tool's name or
description), `plain` makes it harmless and short, and `quoted` puts it into quotes that it can't close.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from mcp_types import CallToolResult, ResourceLink, TextContent
from pydantic import BaseModel

from dynamo_mcp.catalogue_views import CatalogueEntry
from dynamo_mcp.errors import MOST_PROBLEMS, DynamoError, UsageError
from dynamo_mcp.project_views import Preview, Project
from dynamo_mcp.text import plain
from dynamo_mcp.views import TemplateInfo, VariableInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PAGE = 80
"""Entries in one page of a list."""
PAGE_BYTES = 1 << 20
"""Bytes of JSON in one page of a list, if it has more than one entry."""
LISTED = 500
"""Files of a project that are listed, and existing ones that were kept."""

Item = TypeVar("Item")


class Templates(msgspec.Struct, frozen=True):
    """Registered templates; `next_cursor` asks for the next page, and is null on the last.

    `notes` say on the first page which templates are left out, and what helps.
    """

    templates: tuple[TemplateInfo, ...]
    next_cursor: str | None = None
    notes: tuple[str, ...] = ()


class Variables(msgspec.Struct, frozen=True):
    """The questions that a template asks, in its order."""

    template: str
    variables: tuple[VariableInfo, ...]


class Entries(msgspec.Struct, frozen=True):
    """Templates that could be added; `next_cursor` asks for the next page, and is null on the last."""

    entries: tuple[CatalogueEntry, ...]
    next_cursor: str | None = None


class Removed(msgspec.Struct, frozen=True):
    """What was removed."""

    message: str


def text_of(value: object) -> str:
    """Return a value as compact JSON."""
    return msgspec.json.encode(value).decode()


def success(value: msgspec.Struct, line: str | None = None) -> CallToolResult:
    """Give a value to the client as structured content, and as JSON text to those that read only text.

    MCP specification 2026-07-28, server/tools: structured content SHOULD come with its serialized JSON in a text block.

    Args:
        value: What the tool's output schema describes.
        line: A sentence for a person, put before the JSON.
    """
    lines = [] if line is None else [TextContent(type="text", text=line)]
    return CallToolResult(
        content=[*lines, TextContent(type="text", text=text_of(value))],
        structured_content=msgspec.to_builtins(value),
    )


def created(project: Project) -> CallToolResult:
    """Give a created project to the client: a line for a person, the value, and a link to the folder."""
    notes = [
        f"{len(project.files)} {'file' if len(project.files) == 1 else 'files'}",
        f"trust {' with '.join([project.trust, *project.grants])}, confinement {project.tier}",
    ]
    if project.kept:
        notes.append(f"{len(project.kept)} existing kept")
    if project.left_out:
        notes.append(f"{len(project.left_out)} left out, see `left_out`")
    bounded = _bounded(project)
    if bounded.notes:
        notes.append(f"{len(bounded.notes)} worth knowing, see `notes`")
    result = success(bounded, f"Created `{project.path}` from template `{project.template}` ({'; '.join(notes)})")
    folder = Path(project.path)
    result.content.append(
        ResourceLink(type="resource_link", name=folder.name, uri=folder.as_uri(), description="The project's folder")
    )
    return result


def _bounded(project: Project) -> Project:
    """Return a project with lists that a model can read; what is left out is counted, and it is said where it is."""
    files, kept = project.files[:LISTED], project.kept[:LISTED]
    more_files, more_kept = len(project.files) - len(files), len(project.kept) - len(kept)
    notes = project.notes
    if more_files:
        notes += (f"`files` lists the first {LISTED} of {len(project.files)}; the others are below `path` too",)
    if more_kept:
        notes += (f"`kept` lists the first {LISTED} of {len(project.kept)}; the others are below `path` too",)
    return msgspec.structs.replace(
        project, files=files, kept=kept, notes=notes, more_files=more_files, more_kept=more_kept
    )


def noted(result: CallToolResult, notes: Sequence[str]) -> CallToolResult:
    """Add to a created project what else the caller should know."""
    if not notes or result.structured_content is None:
        return result
    line, _, *rest = result.content
    structured = {**result.structured_content, "notes": [*result.structured_content.get("notes", ()), *notes]}
    told = [TextContent(type="text", text=f"note: {note}") for note in notes]
    machine = TextContent(type="text", text=text_of(structured))
    return result.model_copy(update={"content": [line, *told, machine, *rest], "structured_content": structured})


def previewed(preview: Preview) -> CallToolResult:
    """Give a project that was not made to the client: a line for a person, and the value."""
    number = len(preview.files) + preview.more
    notes = [f"{number} {'file' if number == 1 else 'files'}", f"{preview.bytes} bytes"]
    if preview.problem:
        notes.append("a create would refuse, see `problem`")
    if preview.notes:
        notes.append(f"{len(preview.notes)} worth knowing, see `notes`")
    line = (
        f"`{preview.path}` would be made from template `{preview.template}` ({'; '.join(notes)}); nothing was written"
    )
    return success(preview, line)


def failure(error: DynamoError, answered: Mapping[str, Any] | None = None) -> CallToolResult:
    """Tell the model what was wrong and what to do next.

    MCP specification 2025-11-25, server/tools: what a model can mend is a result with `isError`, no protocol error.
    Problems with answers and arguments also come as JSON text. They are no structured content: clients built with the
    TypeScript SDK check that of a failure too against the tool's output schema, and would hide the failure
    (typescript-sdk#1943).

    Args:
        error: What was wrong.
        answered: What a person answered before that, so that they need not be asked again.
    """
    content = [TextContent(type="text", text=str(error))]
    if error.problems:
        told, more = error.problems[:MOST_PROBLEMS], len(error.problems[MOST_PROBLEMS:])
        content.append(TextContent(type="text", text=text_of({"problems": told, **({"more": more} if more else {})})))
    if answered:
        words = f"The person answered {text_of(answered)}; pass that when you call again"
        content.append(TextContent(type="text", text=words))
    return CallToolResult(content=[*content], is_error=True)


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a struct's JSON Schema with the struct itself as the root object.

    MCP specification 2025-11-25, server/tools: the root of an input or output schema is of type `object`.
    """
    _, components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for component in components.values():
        if "description" in component:
            # A docstring's further paragraphs describe attributes for the reader of the code.
            component["description"] = component["description"].split("\n\n")[0]
    root = components.pop(kind.__name__)
    return {**root, "$defs": components} if components else root


def page(
    items: Sequence[Item], cursor: str | None, *, of: str, key: Callable[[Item], str], most: int = PAGE
) -> tuple[Sequence[Item], str | None]:
    """Return one page of a list, and the cursor of the next page or None.

    It ends before the entry that would make it too large; one that is too large by itself is a page of its own. A
    cursor names the last item that was given, not a number, so that a page neither repeats nor skips an item when the
    list changes in between.

    Args:
        items: The whole list, sorted by `key`.
        cursor: What the previous page gave; None for the first.
        of: The list's name, so that a cursor of another list is not mistaken for one of this.
        key: What the list is sorted by; unique.
        most: Entries that a page has at most.

    Raises:
        UsageError: No page gave this cursor.
    """
    start = 0 if cursor is None else bisect_right(items, _after(cursor, of), key=key)
    end, left = start, PAGE_BYTES
    for item in items[start : start + most]:
        left -= _size(item)
        if left < 0 and end > start:
            break
        end += 1
    return items[start:end], _cursor(of, key(items[end - 1])) if end < len(items) else None


def _size(item: object) -> int:
    return len(item.model_dump_json() if isinstance(item, BaseModel) else msgspec.json.encode(item))


def _cursor(of: str, last: str) -> str:
    return base64.urlsafe_b64encode(f"{of}\n{last}".encode()).decode()


def _after(cursor: str, of: str) -> str:
    try:
        given, separator, last = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("\n")
    except (binascii.Error, ValueError):
        given = separator = last = ""
    if given != of or not separator:
        raise UsageError(
            f"`{plain(cursor, 80)}` is not a cursor of the list of {of}",
            hint="pass what the previous page gave as its next cursor, or leave it out to begin at the first page",
        )
    return last
