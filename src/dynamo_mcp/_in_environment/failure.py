"""What is told when a job fails?"""

from __future__ import annotations

import os
import traceback

import cookiecutter
import jinja2
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
        allowed: str | None = None,
        always: bool = False,
    ) -> None:
        """Keep the parts of a `failed` message (see `worker.py`)."""
        super().__init__(message)
        self.variable = variable
        self.choices = choices
        self.allowed = allowed
        self.always = always
        self.kind = kind
        self.hook = hook
        self.output = output


_LIBRARIES = tuple(os.path.dirname(module.__file__ or "") + os.sep for module in (cookiecutter, jinja2))
"""Where no author of a template has anything to mend."""


def described(error: BaseException) -> str:
    """Return any error's type and words, with the file and the line that it comes from, where that is not a library."""
    last = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[-1:]
        if not frame.filename.startswith((*_LIBRARIES, "<frozen "))
    ]
    where = f" ({os.path.basename(last[0].filename)}, line {last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{'' if isinstance(error, SyntaxError) else where}"


def located(error: BaseException) -> str:
    """Return an error's words with the line of the template that it comes from, where there is one."""
    if isinstance(error, TemplateSyntaxError):
        where = f"`{error.filename or error.name}`, " if error.filename or error.name else ""
        return f"{where}line {error.lineno}: {error.message}"
    # Jinja puts the template's own file and line into the traceback, and names such a frame after the template.
    # Its name is a path from where the files are, those of modules are absolute.
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not os.path.isabs(frame.filename) and not frame.filename.startswith("<frozen ")
    ]
    where = f"`{frames[-1].filename}`, line {frames[-1].lineno}: " if frames else ""
    if isinstance(error, TemplateNotFound):
        said = f"there is no file `{error.name}` to include"
    elif isinstance(error, TemplateError) and not isinstance(error, SecurityError):
        said = str(error) or type(error).__name__
    elif isinstance(error, RecursionError):
        said = "it includes or calls itself without end"
    else:
        said = f"{type(error).__name__}: {error}"
    return where.replace("`<template>`, ", "") + said
