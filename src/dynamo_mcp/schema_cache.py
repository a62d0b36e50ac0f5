"""Is this schema still true? Compiled schemas, validated by a stat on each read.

A stat costs microseconds and is never stale, so an edit of a live template's `cookiecutter.json` counts from the next
call on; the watcher only tells clients that something changed.
"""

from __future__ import annotations

from pathlib import Path

from dynamo_mcp.configuration import CONFIGURATION, read
from dynamo_mcp.types import Template
from dynamo_mcp.variables import Schema


class SchemaCache:
    """Schemas by the folder that they were read from."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._kept: dict[Path, tuple[tuple[int, int, int], Schema]] = {}

    def get(self, template: Template) -> Schema:
        """Return a template's schema.

        Raises:
            NotATemplate: Its `cookiecutter.json` is gone.
            InvalidTemplate: It can't be understood.
        """
        path = template.path / CONFIGURATION
        try:
            status = path.stat()
        except OSError:
            self._kept.pop(template.path, None)
            return read(template.path)  # which says what is wrong
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        kept = self._kept.get(template.path)
        if kept is not None and kept[0] == signature:
            return kept[1]
        schema = read(template.path)
        self._kept[template.path] = (signature, schema)
        return schema

    def forget(self, template: Template) -> None:
        """Drop what is kept for a template that was removed."""
        self._kept.pop(template.path, None)
