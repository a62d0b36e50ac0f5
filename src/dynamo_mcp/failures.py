"""What does a job's failure mean, and what helps? What it says of itself is a stranger's words."""

from __future__ import annotations

import re
from typing import Any

from dynamo_mcp import limits
from dynamo_mcp.errors import (
    HookFailed,
    InvalidAnswers,
    InvalidTemplate,
    Problem,
    Refused,
    RenderFailed,
    TimedOut,
    UnusableTemplate,
)
from dynamo_mcp.jobs import FOLDER_NAME, LEFT_OUT_BYTES, MOST_CHOICES, SAID, Job, texts
from dynamo_mcp.problems import legible, not_offered, shown
from dynamo_mcp.progress import Progress
from dynamo_mcp.sandbox.grants import EXECUTABLE, NETWORK, command
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import lined, plain, visible
from dynamo_mcp.types import Trust

_LAST_WORDS = 2000
"""Characters at the end of what a hook printed, where it says why it failed."""
ENDED = (
    "its own code may have ended the job, or it needs more than `DYNAMO_MCP_MEMORY_BYTES` or "
    "`DYNAMO_MCP_CREATE_SECONDS` allow"
)
"""What may have killed a job, or a hook, that says nothing of it."""
_TOO_MUCH = frozenset({"space", "depth"})
"""Kinds of failures in which it is the project, or the temporary folder, that there is too much of."""
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


def failure(job: Job, last: dict[str, Any], settings: Settings) -> Exception:
    """Return the error for what a job says went wrong."""
    name, message = job.template.name, plain(str(last.get("message")), SAID)
    printed = visible(str(last.get("output") or "").strip(), settings.hook_output_bytes + LEFT_OUT_BYTES)
    match last.get("kind"):
        case "answers":
            hint = (
                FOLDER_NAME if "plain folder name" in message else f"`get_template_variables` lists what `{name}` asks"
            )
            return InvalidAnswers(name, (_problem(job, last),), hint=hint)
        case "hook":
            told = f"Template `{name}`: {message}; it printed:\n{lined(printed or '(nothing)')}"
            hint = _mending(job, last, printed, settings) + _not_permitted(job, printed) + _not_granted(job, printed)
            return HookFailed(told, hint=hint)
        case "template":
            variable = last.get("variable")
            line = job.lines.get(variable) if isinstance(variable, str) else None
            where = "" if line is None else f"`cookiecutter.json`, line {line}: "
            kind = UnusableTemplate if last.get("always") is True else InvalidTemplate
            another = ", or use another revision" if job.template.location.kind == "git" else ""
            return kind(f"Template `{name}`: {where}{message}", hint=f"mend the template{another}")
        case "render":
            hint = _limit(job, last, message, settings) or "mend the template, or answer differently"
            hint += _not_permitted(job, message) + _not_granted(job, message)
            return RenderFailed(f"Template `{name}`: {message}", hint=hint)
        case "space" | "depth":
            told = f"; the hook had printed:\n{lined(printed)}" if printed else ""
            deep = last["kind"] == "depth"
            otherwise = "mend the template" if deep else "free some space on that disk, or mend the template"
            return RenderFailed(
                f"Template `{name}` made more than it may: {message}{told}",
                hint=_limit(job, last, message, settings) or otherwise,
            )
        case "sandbox":
            return Refused(f"A job of template `{name}` could not be confined: {message}", hint=_unconfined(job))
        case _:
            return RenderFailed(f"Template `{name}`: {message}", hint=_limit(job, last, message, settings) or ENDED)


def _unconfined(job: Job) -> str:
    """Say what to do where a job could not be confined: a grant may be what this machine can't give."""
    name, grants = job.template.name, job.grants
    told = "see what `dynamo-mcp doctor` says; if that is no help, report it in the issues of dynamo-mcp's repository"
    if not grants:
        return told
    given = ", ".join(f"`{grant}`" for grant in grants)
    without = command(name, "contained")
    return f"it may be for what it was granted ({given}), which a person can drop with `{without}`; {told}"


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


def was_ended(last: dict[str, Any]) -> bool:
    """Tell whether a job could not say itself what went wrong: it was ended, or used more than a limit allows."""
    return last.get("kind") == "died" or "limit" in last


def killed(last: dict[str, Any], doing: str, printed: str | None) -> dict[str, Any]:
    """Say of a job that was ended what it was doing; where that was a hook, it is the hook that failed.

    Args:
        last: What the worker says of its end.
        doing: What it said that it was doing.
        printed: The end of what its hook had printed; None where none ran.
    """
    told = {**last, "message": f"{last.get('message')} while {plain(doing)}"}
    if printed is None:
        return told
    return {**told, "kind": told["kind"] if told.get("kind") in _TOO_MUCH else "hook", "output": printed}


def timed_out(doing: str, settings: Settings, progress: Progress, trust: Trust) -> TimedOut:
    """Return the error for what a template did for too long, maybe since it had run into another limit before.

    Args:
        doing: What that was, in words that begin a sentence.
        settings: How long it could have taken, and how much it could have used.
        progress: How far it came.
        trust: How much of the template could run.
    """
    message = f"{doing} took more than {settings.create_seconds:g} seconds and was ended while {plain(progress.last)}"
    message += "; nothing was left"
    hint = "mend what never ends in the template, or allow more seconds with `DYNAMO_MCP_CREATE_SECONDS`"
    if progress.printed is not None:
        printed = progress.printed.strip()
        message += f"; the hook had printed:\n{lined(visible(printed, len(printed.encode())) or '(nothing)')}"
        if trust != "full" and (limit := limits.reached(printed, settings)):
            hint = f"{limit}; more seconds with `DYNAMO_MCP_CREATE_SECONDS`"
    return TimedOut(message, hint=hint)


def _limit(job: Job, last: dict[str, Any], said: str, settings: Settings) -> str | None:
    """Say which limit a job ran into, by what the worker knows or by what was said; what is not confined has none."""
    if not job.confined:
        return None
    return limits.named(last.get("limit"), settings) or limits.reached(said, settings)


def _mending(job: Job, last: dict[str, Any], output: str, settings: Settings) -> str:
    """Say what to do about a hook that failed, by how it ended and by what it printed last."""
    message, words = plain(str(last.get("message")), SAID), output[-_LAST_WORDS:]
    if "limit" not in last and any(sign in words for sign in _NOTHING_TO_READ):
        return "hooks have nothing to read here: mend the template, so that the hook asks nothing"
    if hint := _limit(job, last, f"{message}\n{words}", settings):
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
