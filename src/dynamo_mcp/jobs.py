"""What is a job asked, and what does its last word mean? A job runs a stranger's code, and may lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp.configuration import LARGEST_BYTES
from dynamo_mcp.copying import NAME_BYTES
from dynamo_mcp.errors import (
    RendererFailed,
    RenderFailed,
)
from dynamo_mcp.sandbox.launch import Launched
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import MOST_HOOKS, Settings
from dynamo_mcp.text import lined, plain, quoted, visible
from dynamo_mcp.types import Environment, HookRun, IfExists, Inspected, Rendered, Template, Trust
from dynamo_mcp.variables import Schema

SAID = 2000
"""Characters that are told of what a job says of itself."""
WORD = 200
"""Characters of a name, and of a step."""
LEFT_OUT_BYTES = 200
"""Bytes of the line that tells, before what a hook printed, how much was left out."""
MOST_STEPS = 200
MOST_CHOICES = 1000
MOST_NAMES = 100
FOLDER_NAME = "a project's folder is one name without `/` and `\\`, and not `.` or `..`"


class Request(msgspec.Struct, frozen=True):
    """What a project is made from.

    Attributes:
        answers: Literal values that fit the schema.
        folder: The real folder in which the project's folder would be made.
        notes: What is worth knowing of the request, for the result.
    """

    template: Template
    schema: Schema
    environment: Environment
    permission: Permission
    answers: dict[str, Any]
    folder: Path
    if_exists: IfExists = "error"
    notes: tuple[str, ...] = ()

    def job(self, *, hooks: bool = True) -> Job:
        """Return what a renderer is asked for."""
        return Job(
            self.template,
            self.environment,
            self.answers,
            self.permission.trust,
            self.permission.confined,
            {
                "_template": self.template.location.address,
                "_output_dir": str(self.folder),
                "_checkout": self.template.location.revision,
            },
            hooks,
            self.schema.lines,
            self.permission.grants,
        )


class Job(msgspec.Struct, frozen=True):
    """What one renderer is asked for.

    Attributes:
        answers: Literal values for some of the template's variables.
        confined: The job runs in the sandbox of this machine's tier.
        variables: `_template`, `_output_dir` and `_checkout`, for the template to read.
        hooks: The hooks before and after the files run; `pre_prompt`, which may make the template, runs anyway.
        lines: The line of each name in `cookiecutter.json`, where they are known.
        grants: What a person gave the template besides its trust.
    """

    template: Template
    environment: Environment
    answers: dict[str, Any]
    trust: Trust
    confined: bool
    variables: dict[str, Any]
    hooks: bool = True
    lines: dict[str, int] = {}
    grants: tuple[str, ...] = ()


class _Seconds(msgspec.Struct, frozen=True):
    resolve: float = 0.0
    render: float = 0.0


class Resolved(msgspec.Struct, frozen=True):
    """What a job has computed before anything is made.

    Attributes:
        directory: The project folder's name.
        answers: Every public variable's value, as the template sees it.
        choices: What each choice offers, rendered.
    """

    directory: str
    answers: dict[str, Any]
    choices: dict[str, tuple[Any, ...]] = {}


def resolved(message: dict[str, Any]) -> Resolved:
    """Read what a job has resolved. The job runs a stranger's code, and may lie."""
    try:
        said = msgspec.convert(message, Resolved)
    except msgspec.ValidationError as error:
        raise nonsense() from error
    directory = said.directory
    if (
        not directory.isprintable()
        or directory.strip() in {"", ".", ".."}
        or any(separator in directory for separator in ("/", "\\"))
        or len(os.fsencode(directory)) > NAME_BYTES
    ):
        raise RenderFailed(
            f"The template named its project folder {quoted(directory, WORD)}, which is not a plain folder name",
            hint=f"mend the template, or answer differently: {FOLDER_NAME}",
        )
    return said


def rendered(last: dict[str, Any], at: Launched, seen: Path, settings: Settings) -> Rendered:
    """Read what a job has made."""
    kept = settings.hook_output_bytes + LEFT_OUT_BYTES
    root, within = (at.root / path.relative_to("/") for path in (seen, at.output.parent))
    try:
        ran = msgspec.convert(last["hooks"], tuple[HookRun, ...])[:MOST_HOOKS]
        seconds = msgspec.convert(last["seconds"], _Seconds)
        hooks = tuple(HookRun(plain(run.hook, WORD), visible(run.output, kept), run.seconds) for run in ran)
        return Rendered(
            str(last["directory"]), root, within, seen, last["answers"], hooks, msgspec.to_builtins(seconds)
        )
    except (KeyError, msgspec.ValidationError) as error:
        raise nonsense() from error


def inspected(last: dict[str, Any]) -> Inspected:
    """Read what a `pre_prompt` hook has left."""
    try:
        said = msgspec.convert(last, Inspected)
    except msgspec.ValidationError as error:
        raise nonsense() from error
    if len(said.configuration.encode()) > LARGEST_BYTES or len(said.names) > MOST_NAMES:
        raise nonsense()
    if any(not name.isprintable() or len(os.fsencode(name)) > NAME_BYTES for name in said.names):
        raise nonsense()
    return said


def died(at: Launched) -> RendererFailed:
    """Return the error for a worker that ended by itself."""
    said = at.log.read_text("utf-8", "replace").strip()[-SAID:] or "nothing"
    return RendererFailed(
        f"A renderer died; it said:\n{lined(visible(said, SAID))}", hint="try again; if it stays so, report it"
    )


def nonsense() -> RendererFailed:
    """Return the error for a worker that said what can't be meant."""
    return RendererFailed("A renderer answered nonsense and was ended", hint="try again; if it stays so, report it")


def texts(value: object) -> tuple[str, ...]:
    """Read a list of names."""
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def mechanisms(last: dict[str, Any]) -> tuple[str, ...]:
    """Read what a job says that has confined it."""
    return tuple(plain(name, WORD) for name in texts(last.get("mechanisms"))[:MOST_STEPS])
