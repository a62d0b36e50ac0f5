"""Is this schema still true? Compiled schemas, validated by a stat on each read.

A stat costs microseconds and is never stale, so an edit of a live template's `cookiecutter.json` counts from the next
call on; the watcher only tells clients that something changed.
"""

from __future__ import annotations

from pathlib import Path

from dynamo_mcp.configuration import compile_schema, fingerprint, read
from dynamo_mcp.errors import InvalidTemplate
from dynamo_mcp.parsing import CONFIGURATION, parse
from dynamo_mcp.types import Template
from dynamo_mcp.variables import Schema


class SchemaCache:
    """Schemas by the folder that they were read from, and by what a `pre_prompt` hook has made of it."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._kept: dict[tuple[Path, str | None], tuple[tuple[int, int, int], Schema]] = {}

    def get(self, template: Template, *, hooks: bool = True) -> Schema:
        """Return a template's schema.

        Args:
            template: Whose.
            hooks: Its hooks run, so that what its `pre_prompt` has left is asked.

        Raises:
            NotATemplate: Its `cookiecutter.json` is gone.
            InvalidTemplate: It can't be understood, or was edited since its `pre_prompt` hook has rewritten it.
        """
        path = template.path / CONFIGURATION
        key = (template.path, template.configuration if hooks else None)
        try:
            status = path.stat()
        except OSError:
            self._kept.pop(key, None)
            return read(template.path)  # which says what is wrong
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == signature:
            return kept[1]
        schema = _read(template, hooks=hooks)
        self._kept[key] = (signature, schema)
        return schema

    def forget(self, template: Template) -> None:
        """Drop what is kept for a template that was removed."""
        for configuration in {None, template.configuration}:
            self._kept.pop((template.path, configuration), None)


def _read(template: Template, *, hooks: bool) -> Schema:
    if not hooks or template.configuration is None:
        return read(template.path)
    if fingerprint(template.path) != template.configured_from:
        # What the hook would make of it now is known only where hooks run.
        raise InvalidTemplate(
            f"The `{CONFIGURATION}` of `{template.name}` was edited, and its `pre_prompt` hook rewrites it",
            hint=f"bring `{template.name}` up to date with `update_template`, which runs the hook again",
        )
    return compile_schema(parse(template.configuration.encode()))
