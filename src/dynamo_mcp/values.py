"""What value has each variable, given some answers? Computed by a job, and told as a caller would give it."""

from __future__ import annotations

from typing import Any

import msgspec

from dynamo_mcp.jobs import Request
from dynamo_mcp.literals import text_of
from dynamo_mcp.progress import Progress
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.variables import YES_NO, Variable
from dynamo_mcp.views import VariableInfo


class Values:
    """Computes values."""

    def __init__(self, renderers: Renderers) -> None:
        """Compute nothing yet."""
        self._renderers = renderers

    async def resolve(self, request: Request, progress: Progress) -> tuple[VariableInfo, ...]:
        """Return every variable with its value, and what a derived choice offers; nothing is made.

        Raises:
            InvalidAnswers: An answer that only rendering could check.
            InvalidTemplate: The template can't be understood; RenderFailed and HookFailed if it fails.
            RendererFailed: A renderer does.
        """
        await progress.begin("compute values")
        resolved = await self._renderers.resolve(request.job(), progress)
        found = []
        for variable in request.schema.variables:
            # A `pre_prompt` hook may have taken a question away.
            value = as_given(variable, resolved.answers[variable.name]) if variable.name in resolved.answers else None
            info = msgspec.structs.replace(variable.info(), value=value)
            if variable.kind == "choice" and variable.derived and variable.name in resolved.choices:
                offered = tuple(text_of(item) for item in resolved.choices[variable.name])
                info = msgspec.structs.replace(info, choices=offered)
            found.append(info)
        return tuple(found)


def as_given(variable: Variable, literal: Any) -> Any:
    """Return what a caller would give for a template to see this value."""
    match variable.kind:
        case "yes_no":
            yes, no = YES_NO[variable.raw]
            return literal == yes if literal in (yes, no) else literal
        case "choice":
            return text_of(literal)
        case "number":
            kind = int if isinstance(variable.raw, int) else float
            try:
                number = msgspec.convert(literal, kind, strict=False)
                return number if str(number) == literal else literal  # 3.10 is not 3.1
            except (
                msgspec.ValidationError,
                OverflowError,
                ValueError,
            ):
                return literal  # Python writes no number of thousands of digits
        case _:
            return literal
