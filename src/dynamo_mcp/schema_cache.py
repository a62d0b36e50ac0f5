"""Is this schema still true? Compiled schemas, validated by a stat on each read.

A stat costs microseconds and is never stale, so an edit of a live template's `cookiecutter.json` counts from the next
call on; the watcher only tells clients that something changed. Each list of tools needs every JSON Schema, so that
those are kept too.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio.to_thread

from dynamo_mcp.configuration import CONFIGURATION, compile_schema, fingerprint, parse, read
from dynamo_mcp.errors import DynamoError, InvalidTemplate
from dynamo_mcp.types import Template
from dynamo_mcp.variables import Schema

LARGE_BYTES = 32 << 10
"""Bytes of a `cookiecutter.json` that take so long to compile that others should not wait for it."""


class SchemaCache:
    """Schemas by the folder that they were read from, and by what a `pre_prompt` hook has made of it."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._kept: dict[tuple[Path, str | None], tuple[tuple[int, int, int], Schema]] = {}
        self._shown: dict[Path, tuple[Schema, dict[str, Any], dict[str, Any]]] = {}

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

    def json_schema(self, template: Template) -> dict[str, Any]:
        """Return the JSON Schema of a template's answers, which nobody may change; raises as `get`."""
        schema = self.get(template)
        kept = self._shown.get(template.path)
        if kept is None or kept[0] is not schema or kept[1] != template.examples:
            kept = (schema, template.examples, schema.json_schema(template.examples))
            self._shown[template.path] = kept
        return kept[2]

    async def prepare(self, template: Template) -> None:
        """Compile a large schema in a thread, where it is not kept; what is wrong with one is told by `get`."""
        with suppress(OSError, DynamoError):
            size = max((template.path / CONFIGURATION).stat().st_size, len(template.configuration or ""))
            if size >= LARGE_BYTES:
                await anyio.to_thread.run_sync(self.get, template)

    def forget(self, template: Template) -> None:
        """Drop what is kept for a template that was removed."""
        for configuration in {None, template.configuration}:
            self._kept.pop((template.path, configuration), None)
        self._shown.pop(template.path, None)


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
