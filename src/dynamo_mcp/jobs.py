"""What is a job asked, and what does its last word mean? A job runs a stranger's code, and may lie."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp import limits
from dynamo_mcp.configuration import LARGEST_BYTES
from dynamo_mcp.copying import NAME_BYTES
from dynamo_mcp.errors import (
    HookFailed,
    InvalidAnswers,
    InvalidTemplate,
    Problem,
    Refused,
    RendererFailed,
    RenderFailed,
    TimedOut,
    UnusableTemplate,
)
from dynamo_mcp.problems import legible, not_offered, shown
from dynamo_mcp.progress import Progress
from dynamo_mcp.sandbox.grants import EXECUTABLE, NETWORK, command
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
_LAST_WORDS = 2000
"""Characters at the end of what a hook printed, where it says why it failed."""
ENDED = (
    "its own code may have ended the job, or it needs more than `DYNAMO_MCP_MEMORY_BYTES` or "
    "`DYNAMO_MCP_CREATE_SECONDS` allow"
)
"""What may have killed a job, or a hook, that says nothing of it."""
FOLDER_NAME = "a project's folder is one name without `/` and `\\`, and not `.` or `..`"
KILLED = frozenset({"died", "memory", "processes"})
"""Kinds of failures of which a job itself can say nothing."""
_SIGNAL = re.compile(r"ended by (signal 9\b|SIGKILL)|ended itself")
_NOTHING_TO_READ = ("EOFError", "EOF when reading", "end of file", "not a tty", "Inappropriate ioctl")
_NO_NETWORK = (
    "Name or service not known",
    "Temporary failure in name resolution",
    "Could not resolve",
    "Network is unreachable",
    "No address associated with hostname",
    "dns error",
    "unable to resolve host",
    "EAI_AGAIN",
)
_NOT_FOUND = ("No such file or directory: '{}'", "{}: not found", "{}: command not found")


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


def failure(job: Job, last: dict[str, Any], settings: Settings) -> Exception:
    """Return the error for what a job says went wrong."""
    name, message = job.template.name, plain(str(last.get("message")), SAID)
    printed = visible(str(last.get("output") or "").strip(), settings.hook_output_bytes + LEFT_OUT_BYTES)
    match last.get("kind"):
        case "answers":
            asks = f"`get_template_variables` lists what `{name}` asks"
            return InvalidAnswers(
                name, (_problem(job, last),), hint=FOLDER_NAME if "plain folder name" in message else asks
            )
        case "hook":
            told = f"Template `{name}`: {message}; it printed:\n{lined(printed or '(nothing)')}"
            hint = _mending(job, message, printed, settings) + _not_permitted(job, printed) + _not_granted(job, printed)
            return HookFailed(told, hint=hint)
        case "template":
            variable = last.get("variable")
            line = job.lines.get(variable) if isinstance(variable, str) else None
            where = "" if line is None else f"`cookiecutter.json`, line {line}: "
            kind = UnusableTemplate if last.get("always") is True else InvalidTemplate
            another = ", or use another revision" if job.template.location.kind == "git" else ""
            return kind(f"Template `{name}`: {where}{message}", hint=f"mend the template{another}")
        case "render":
            hint = _limit(job, message, settings) or "mend the template, or answer differently"
            hint += _not_permitted(job, message) + _not_granted(job, message)
            return RenderFailed(f"Template `{name}`: {message}", hint=hint)
        case "space":
            return RenderFailed(
                f"Template `{name}` made more than it may: {message}",
                hint=_limit(job, message, settings) or "free some space on that disk, or mend the template",
            )
        case "sandbox":
            return Refused(f"A job of template `{name}` could not be confined: {message}", hint=_unconfined(job))
        case _:
            return RenderFailed(f"Template `{name}`: {message}", hint=_limit(job, message, settings) or ENDED)


def _unconfined(job: Job) -> str:
    """Say what to do where a job could not be confined: a grant may be what this machine can't give."""
    name, grants = job.template.name, job.grants
    told = "see what `dynamo-mcp doctor` says; if that is no help, report it in the issues of dynamo-mcp's repository"
    if not grants:
        return told
    return f"it may be for its grants, which a person can drop with `{command(name, 'contained')}`; {told}"


def _not_permitted(job: Job, said: str) -> str:
    """Say what the sandbox permits nobody, where that may be what failed (errno.EPERM, in the C library's words)."""
    if not job.confined or "Operation not permitted" not in said:
        return ""
    return "; in the sandbox nothing can be made set-uid, a FIFO, a socket or a device"


def _not_granted(job: Job, said: str) -> str:
    """Say what a person can grant, where the lack of it may be what failed."""
    if not job.confined or job.trust != "contained":
        return ""
    needs, grants = job.template.needs, job.grants
    wanted = [
        f"{EXECUTABLE}{each.name}"
        for each in needs.executables
        if any(words.format(each.name) in said for words in _NOT_FOUND)
    ]
    offline = any(words in said for words in _NO_NETWORK) or (needs.network and "Operation not permitted" in said)
    wanted += [NETWORK] if offline and NETWORK not in grants else []
    if not wanted:
        return ""
    given = command(job.template.name, "contained", [*grants, *wanted])
    return f"; at trust `contained` it gets only what a person grants, in a shell: `{given}`"


def killed(last: dict[str, Any], doing: str, printed: str | None) -> dict[str, Any]:
    """Say of a job that was killed what it was doing; where that was a hook, it is the hook that failed.

    Args:
        last: What the worker says of its end.
        doing: What it said that it was doing.
        printed: The end of what its hook had printed; None where none ran.
    """
    told = {**last, "message": f"{last.get('message')} while {plain(doing)}"}
    return told if printed is None else {**told, "kind": "hook", "output": printed}


def timed_out(doing: str, seconds: float, progress: Progress) -> TimedOut:
    """Return the error for what a template did for too long.

    Args:
        doing: What that was, in words that begin a sentence.
        seconds: How long it could have taken.
        progress: How far it came.
    """
    message = f"{doing} took more than {seconds:g} seconds and was ended while {plain(progress.last)}; nothing was left"
    if progress.printed is not None:
        printed = progress.printed.strip()
        message += f"; the hook had printed:\n{lined(visible(printed, len(printed.encode())) or '(nothing)')}"
    return TimedOut(
        message, hint="mend what never ends in the template, or allow more seconds with `DYNAMO_MCP_CREATE_SECONDS`"
    )


def _limit(job: Job, said: str, settings: Settings) -> str | None:
    """Say which limit a job ran into; what is not confined has none."""
    return limits.reached(said, settings) if job.confined else None


def _mending(job: Job, message: str, output: str, settings: Settings) -> str:
    """Say what to do about a hook that failed, by how it ended and by what it printed last."""
    last = output[-_LAST_WORDS:]
    if any(words in last for words in _NOTHING_TO_READ):
        return "hooks have nothing to read here: mend the template, so that the hook asks nothing"
    if hint := _limit(job, f"{message}\n{last}", settings):
        return hint
    return ENDED if _SIGNAL.search(message) else "answer as the hook asks, or mend the template"


def _problem(job: Job, last: dict[str, Any]) -> Problem:
    """Read which answer does not fit; its choices were rendered, so only the job could tell."""
    variable, choices = last.get("variable"), last.get("choices")
    message = plain(str(last.get("message")), SAID)
    if not isinstance(variable, str) or variable != shown(variable):
        return Problem("", message)
    given = job.answers.get(variable)
    if isinstance(choices, list):
        offered = [choice for choice in texts(choices[:MOST_CHOICES]) if len(choice) <= SAID]
        return not_offered(variable, given, offered).problem
    allowed = last.get("allowed")
    return Problem(
        variable,
        message,
        None if given is None else legible(given),
        plain(allowed) if isinstance(allowed, str) else None,
    )


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
