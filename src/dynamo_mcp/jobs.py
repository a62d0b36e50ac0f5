"""What is a job asked, and what does its last word mean? A job runs a stranger's code, and may lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp.copying import NAME_BYTES
from dynamo_mcp.errors import (
    HookFailed,
    InvalidAnswers,
    InvalidTemplate,
    Problem,
    Refused,
    RendererFailed,
    RenderFailed,
)
from dynamo_mcp.sandbox.launch import Launched
from dynamo_mcp.types import Environment, HookRun, Inspected, Rendered, Template, Trust


class Job(msgspec.Struct, frozen=True):
    """What one renderer is asked for.

    Attributes:
        answers: Literal values for some of the template's variables.
        confined: The job runs in the sandbox of this machine's tier.
        variables: `_template`, `_output_dir` and `_checkout`, for the template to read.
    """

    template: Template
    environment: Environment
    answers: dict[str, Any]
    trust: Trust
    confined: bool
    variables: dict[str, Any]


def resolved(message: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Read what a job has resolved. The job runs a stranger's code, and may lie."""
    answers, directory = message.get("answers"), message.get("directory")
    if not isinstance(answers, dict) or not isinstance(directory, str):
        raise nonsense()
    if (
        not directory.isprintable()
        or directory.strip() in {"", ".", ".."}
        or any(separator in directory for separator in ("/", "\\"))
        or len(os.fsencode(directory)) > NAME_BYTES
    ):
        raise RenderFailed(
            f"The template named its project folder {directory!r}, which is not a plain folder name",
            hint="answer differently, or mend the template",
        )
    return answers, directory


def rendered(last: dict[str, Any], root: Path) -> Rendered:
    """Read what a job has made."""
    try:
        hooks = msgspec.convert(last["hooks"], tuple[HookRun, ...])
        seconds = msgspec.convert(last["seconds"], dict[str, float])
        return Rendered(str(last["directory"]), root, last["answers"], hooks, seconds)
    except (KeyError, msgspec.ValidationError) as error:
        raise nonsense() from error


def inspected(last: dict[str, Any]) -> Inspected:
    """Read what a `pre_prompt` hook has left."""
    try:
        return msgspec.convert(last, Inspected)
    except msgspec.ValidationError as error:
        raise nonsense() from error


def failure(job: Job, last: dict[str, Any]) -> Exception:
    """Return the error for what a job says went wrong."""
    name, message, output = job.template.name, str(last.get("message")), str(last.get("output") or "")
    match last.get("kind"):
        case "answers":
            hint = f"`get_template_variables` lists what `{name}` asks"
            return InvalidAnswers(name, (Problem("", message),), hint=hint)
        case "hook":
            return HookFailed(
                f"Template `{name}`: {message}; it printed:\n{output.strip() or '(nothing)'}",
                hint="answer as the hook asks, or mend the template",
            )
        case "template":
            return InvalidTemplate(f"Template `{name}`: {message}", hint="mend the template, or use another revision")
        case "render":
            return RenderFailed(f"Template `{name}`: {message}", hint="mend the template, or answer differently")
        case "space":
            return RenderFailed(
                f"Template `{name}` made more than it may: {message}",
                hint="mend the template, or allow more with `DYNAMO_MCP_OUTPUT_BYTES`",
            )
        case "sandbox":
            return Refused(f"A job could not be confined: {message}", hint="report it; nothing of the template has run")
        case _:
            return RenderFailed(
                f"Template `{name}`: {message}", hint="it may need more memory or time than the settings allow"
            )


def died(at: Launched) -> RendererFailed:
    """Return the error for a worker that ended by itself."""
    said = at.log.read_text("utf-8", "replace").strip()[-2000:] or "nothing"
    return RendererFailed(f"A renderer died; it said: {said}", hint="try again; if it stays so, report it")


def nonsense() -> RendererFailed:
    """Return the error for a worker that said what can't be meant."""
    return RendererFailed("A renderer answered nonsense and was ended", hint="try again; if it stays so, report it")


def texts(value: object) -> tuple[str, ...]:
    """Read a list of names."""
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
