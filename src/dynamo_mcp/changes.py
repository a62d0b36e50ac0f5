"""What did an update change? Variables, hooks and requirements, as they were before and as they are now."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp.errors import DynamoError
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.text import plain
from dynamo_mcp.types import Template
from dynamo_mcp.views import TemplateChange, TemplateInfo, TrustDropped, VariableChange, VariableInfo

TOLD = ("default", "choices", "type", "description", "labels")
"""What of a variable is compared, in the order in which it is told."""
_NAME = 200
_NO_FOLLOWING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Look(msgspec.Struct, frozen=True):
    """What is compared of a template's files.

    Attributes:
        variables: By name.
        hooks: SHA-256 of each file below `hooks/`, by its path there.
    """

    variables: dict[str, VariableInfo]
    hooks: dict[str, str]


class Difference(msgspec.Struct, frozen=True):
    """What is different between two looks at a template; the fields of `TemplateChange`."""

    variables_added: tuple[str, ...] = ()
    variables_removed: tuple[str, ...] = ()
    variables_changed: tuple[str, ...] = ()
    variable_changes: tuple[VariableChange, ...] = ()
    hooks_added: tuple[str, ...] = ()
    hooks_removed: tuple[str, ...] = ()
    hooks_changed: tuple[str, ...] = ()
    requirements_added: tuple[str, ...] = ()
    requirements_removed: tuple[str, ...] = ()


async def look(template: Template, schemas: SchemaCache) -> Look:
    """Look at a template's files; what can't be read is not there."""
    try:
        schema = await schemas.ready(template)
    except DynamoError:
        variables = {}
    else:
        variables = {variable.name: variable.info() for variable in schema.variables}
    return Look(variables, await anyio.to_thread.run_sync(partial(_hooks, template.path / "hooks")))


async def look_back(template: Template, schemas: SchemaCache) -> Look | None:
    """Look at what an update is about to replace; None for a live folder, which is what it has become already."""
    return None if template.location.live else await look(template, schemas)


def difference(old: Template, new: Template, before: Look | None, after: Look) -> Difference:
    """Compare a template with what it was.

    Args:
        old: As it was recorded.
        new: As it is recorded now.
        before: Its files as they were; where they are gone, which variables differ is known, and no more.
        after: Its files now.
    """
    was, now = old.asked, new.asked
    changed = tuple(name for name in now if name in was and now[name] != was[name])
    hooks = (before.hooks, after.hooks) if before is not None else ({}, {})
    return Difference(
        variables_added=tuple(name for name in now if name not in was),
        variables_removed=tuple(name for name in was if name not in now),
        variables_changed=changed,
        variable_changes=tuple(_compared(changed, before, after)),
        hooks_added=tuple(name for name in hooks[1] if name not in hooks[0]),
        hooks_removed=tuple(name for name in hooks[0] if name not in hooks[1]),
        hooks_changed=tuple(name for name, seen in hooks[1].items() if hooks[0].get(name, seen) != seen),
        requirements_added=tuple(each for each in new.requirements if each not in old.requirements),
        requirements_removed=tuple(each for each in old.requirements if each not in new.requirements),
    )


def together(differences: Iterable[tuple[str, Difference]]) -> Difference:
    """Return what is different in several templates, each thing named as `template: thing`."""
    several = list(differences)
    found = {
        field: tuple(_of(template, thing) for template, each in several for thing in getattr(each, field))
        for field in Difference.__struct_fields__
    }
    return Difference(**found)  # type: ignore[arg-type]


def change(
    old: Sequence[Template],
    info: TemplateInfo,
    told: Difference,
    *,
    templates_added: tuple[str, ...] = (),
    templates_removed: tuple[str, ...] = (),
    trust_dropped: tuple[TrustDropped, ...] = (),
) -> TemplateChange:
    """Tell what an update did.

    Args:
        old: What it was done to: one template, or all of a repository, as they were.
        info: What it is now.
        told: What is different in variables, hooks and requirements.
        templates_added: Those that a repository holds now and did not before.
        templates_removed: Those that it holds no more.
        trust_dropped: What ended with it.
    """
    fields = {field: getattr(told, field) for field in told.__struct_fields__}
    return TemplateChange(
        info,
        any(template.digest != info.digest for template in old),
        from_revision=old[0].revision or old[0].digest,
        to_revision=info.revision or info.digest or "",
        templates_added=templates_added,
        templates_removed=templates_removed,
        trust_dropped=trust_dropped,
        **fields,
    )


def _compared(names: Iterable[str], before: Look | None, after: Look) -> Iterator[VariableChange]:
    for name in names:
        was = before.variables.get(name) if before is not None else None
        now = after.variables.get(name)
        if was is not None and now is not None:
            differs = tuple(field for field in TOLD if getattr(was, field) != getattr(now, field))
            yield VariableChange(name, differs, was, now)


def _of(template: str, thing: object) -> object:
    if isinstance(thing, VariableChange):
        return msgspec.structs.replace(thing, name=f"{template}: {thing.name}")
    return f"{template}: {thing}"


def _hooks(folder: Path) -> dict[str, str]:
    """Hash what lies in the folder of hooks; it is sorted, and what can't be read has no hash of its own."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and "__pycache__" not in path.parts:
            found[plain(str(path.relative_to(folder)), _NAME)] = _digest(path)
    return found


def _digest(path: Path) -> str:
    try:
        if path.is_symlink():
            return f"link {path.readlink()}"
        # A pipe in a live folder must not make us wait for whoever writes into it.
        with open(os.open(path, _NO_FOLLOWING), "rb") as file:  # noqa: PTH123 - opened by descriptor
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
            return f"{hashlib.file_digest(file, 'sha256').hexdigest()} {executable}"
    except OSError:
        return ""
