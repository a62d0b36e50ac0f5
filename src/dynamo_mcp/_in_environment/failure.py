"""What is told when a job fails?"""

from __future__ import annotations

import os
import traceback

from jinja2.exceptions import SecurityError, TemplateError, TemplateNotFound, TemplateSyntaxError


class Failure(Exception):
    """The template's or the answers' fault, in words."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        hook: str | None = None,
        output: str = "",
        variable: str | None = None,
        choices: list[str] | None = None,
    ) -> None:
        """Keep the parts of a `failed` message (see `worker.py`)."""
        super().__init__(message)
        self.variable = variable
        self.choices = choices
        self.kind = kind
        self.hook = hook
        self.output = output


def described(error: BaseException) -> str:
    """Return any error's type and words, with the file and the line that it comes from."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({os.path.basename(last[0].filename)}, line {last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{'' if isinstance(error, SyntaxError) else where}"


def located(error: BaseException) -> str:
    """Return an error's words with the line of the template that it comes from, where there is one."""
    if isinstance(error, TemplateSyntaxError):
        where = f"`{error.filename or error.name}`, " if error.filename or error.name else ""
        return f"{where}line {error.lineno}: {error.message}"
    # Jinja puts the template's own file and line into the traceback, and names such a frame after the template.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.endswith(".py")]
    where = f"`{frames[-1].filename}`, line {frames[-1].lineno}: " if frames else ""
    if isinstance(error, TemplateNotFound):
        said = f"there is no file `{error.name}` to include"
    elif isinstance(error, TemplateError) and not isinstance(error, SecurityError):
        said = str(error) or type(error).__name__
    else:
        said = f"{type(error).__name__}: {error}"
    return where.replace("`<template>`, ", "") + said
