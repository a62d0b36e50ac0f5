"""Which calls does the audit log have? Those that change something, and those that were refused for want of a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from dynamo_mcp.audit import Audit, Noted
from dynamo_mcp.callers import current
from dynamo_mcp.errors import NotAllowed
from dynamo_mcp.tools import GENERAL_TOOLS
from dynamo_mcp.views import TOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import TaskStatus

    from dynamo_mcp.settings import Settings


class Logged:
    """The calls of one server."""

    def __init__(self, settings: Settings) -> None:
        """Log nothing yet."""
        self._audit = None if settings.audit == "off" else Audit(settings.home, settings.audit_days)
        self._answers = settings.audit == "answers"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write what is logged, until cancelled."""
        if self._audit is not None:
            await self._audit.run(task_status=task_status)
        else:
            task_status.started()

    def begin(self, tool: str, arguments: Mapping[str, Any]) -> Noted:
        """Return the call that begins, whose end is to be told it."""
        own = tool.startswith(TOOL_PREFIX) and tool not in GENERAL_TOOLS
        audit = self._audit if own or _changes(tool) else None
        answers = {name: arguments[name] for name in arguments if not name.startswith("_")} if own else None
        return Noted(
            audit,
            current.get().name,
            tool,
            template=tool.removeprefix(TOOL_PREFIX) if own else arguments.get("template_name"),
            answers=(answers or arguments.get("variables")) if self._answers else None,
        )

    def refused(self, who: str, tool: str) -> None:
        """Log a call that the caller lacked the scope for."""
        Noted(self._audit, who, tool).end(NotAllowed.__name__)


def _changes(tool: str) -> bool:
    spec = GENERAL_TOOLS.get(tool)
    return spec is not None and not spec.annotations.read_only_hint
