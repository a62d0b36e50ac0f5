"""Is this schema still true? Compiled schemas, validated by a stat on each read.

A stat costs microseconds and is never stale, so an edit of a live template's `cookiecutter.json` counts from the next
call on; the watcher only tells clients that something changed. Each list of tools needs every JSON Schema, so that
those are kept too.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio.lowlevel
import anyio.to_thread
import msgspec

from dynamo_mcp.configuration import compile_schema, fingerprint, read
from dynamo_mcp.errors import InvalidTemplate
from dynamo_mcp.parsing import CONFIGURATION, parse
from dynamo_mcp.types import Template
from dynamo_mcp.variables import Schema

MOST = 1000
"""Schemas that are kept; what another process replaced is asked for no more, and makes room."""
LARGE_BYTES = 32 << 10
"""Bytes of a `cookiecutter.json` that take so long to compile that others should not wait for it."""


_Signature: TypeAlias = tuple[int, int, int]


class _Kept(msgspec.Struct, frozen=True):
    signature: _Signature
    configuration: str | None
    schema: Schema


class _Shown(msgspec.Struct, frozen=True):
    schema: Schema
    examples: dict[str, Any]
    asked: dict[str, str]
    json_schema: dict[str, Any]


class SchemaCache:
    """Schemas by the folder that they were read from, and by what a `pre_prompt` hook has made of it."""

    def __init__(self, most: int = MOST) -> None:
        """Read nothing yet, and keep so many."""
        self._most = most
        self.hits = 0
        """How often a schema was kept that was asked for."""
        self.misses = 0
        """How often one had to be compiled."""
        self._kept: OrderedDict[tuple[Path, bool], _Kept] = OrderedDict()
        self._shown: OrderedDict[Path, _Shown] = OrderedDict()

    def get(self, template: Template, *, hooks: bool = True) -> Schema:
        """Return a template's schema.

        Args:
            template: Whose.
            hooks: Its hooks run, so that what its `pre_prompt` has left is asked.

        Raises:
            NotATemplate: Its `cookiecutter.json` is gone.
            InvalidTemplate: It can't be understood, or was edited since its `pre_prompt` hook has rewritten it.
        """
        signature, kept = self._look(template, hooks=hooks)
        return kept or self._compile(template, signature, hooks=hooks)

    async def ready(self, template: Template, *, hooks: bool = True) -> Schema:
        """Return a template's schema, and raise, as `get` does; a large one that is not kept is compiled in a thread.

        Where one is not kept, others go first, so that whoever asks for many keeps nobody waiting for all.
        """
        signature, kept = self._look(template, hooks=hooks)
        if kept is not None:
            return kept
        await anyio.lowlevel.checkpoint()
        if signature is not None and max(signature[1], len(template.configuration or "")) >= LARGE_BYTES:
            return await anyio.to_thread.run_sync(partial(self._compile_all, template, signature, hooks=hooks))
        return self._compile(template, signature, hooks=hooks)

    def _look(self, template: Template, *, hooks: bool) -> tuple[_Signature | None, Schema | None]:
        """Return what tells the file from others, None if it is not there; and the schema, if it is kept."""
        if template.location.live:
            _refuse_elsewhere(template)
        try:
            status = os.stat(f"{template.path}/{CONFIGURATION}")
        except OSError:
            return None, None
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        configuration = template.configuration if hooks else None
        key = (template.path, configuration is not None)
        kept = self._kept.get(key)
        if kept is None or (kept.signature, kept.configuration) != (signature, configuration):
            self.misses += 1
            return signature, None
        self.hits += 1
        self._kept.move_to_end(key)
        return signature, kept.schema

    def _compile(self, template: Template, signature: _Signature | None, *, hooks: bool) -> Schema:
        configuration = template.configuration if hooks else None
        key = (template.path, configuration is not None)
        if signature is None:
            self._kept.pop(key, None)
            return read(template.path, f"the folder of `{template.name}`")  # which says what is wrong
        schema = _read(template, hooks=hooks)
        self._kept[key] = _Kept(signature, configuration, schema)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return schema

    def _compile_all(self, template: Template, signature: _Signature, *, hooks: bool) -> Schema:
        """Compile a schema with what its first use would make of it."""
        schema = self._compile(template, signature, hooks=hooks)
        msgspec.convert({}, schema.struct)
        self.json_schema(template, schema)
        return schema

    def json_schema(self, template: Template, schema: Schema) -> dict[str, Any]:
        """Return the JSON Schema of a template's answers, which nobody may change.

        As long as neither the template nor its schema has changed it is the same object.
        """
        shown = self._shown.get(template.path)
        of = (template.examples, template.asked)
        if shown is None or shown.schema is not schema or (shown.examples, shown.asked) != of:
            # A live template may have been edited since its examples were computed.
            examples = template.examples if template.asked == schema.fingerprints() else {}
            shown = _Shown(schema, *of, schema.json_schema(examples))
            self._shown[template.path] = shown
        self._shown.move_to_end(template.path)
        while len(self._shown) > self._most:
            self._shown.popitem(last=False)
        return shown.json_schema

    def forget(self, template: Template) -> None:
        """Drop what is kept for a template that was removed."""
        for hooked in (False, True):
            self._kept.pop((template.path, hooked), None)
        self._shown.pop(template.path, None)


def _refuse_elsewhere(template: Template) -> None:
    """Refuse a live folder that something has taken the place of: what is read may lie where nobody allowed it."""
    root, path = template.location.address, template.path / CONFIGURATION
    if os.path.realpath(root) != root or not Path(os.path.realpath(path)).is_relative_to(root):
        raise InvalidTemplate(
            f"The live template `{template.name}` leads through a link out of `{root}`, the folder that was added",
            hint="put the folder and the files of the template back in their place, or remove the template",
        )


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
