"""May this caller do that? Each request needs a scope; a tool says which in its row of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST

from dynamo_mcp.callers import Caller, Scope, current
from dynamo_mcp.errors import NotAllowed
from dynamo_mcp.results import failure
from dynamo_mcp.text import plain
from dynamo_mcp.tools import GENERAL_TOOLS
from dynamo_mcp.views import TOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

_READ: Scope = "templates:read"
_FREE = frozenset({"initialize", "ping", "server/discover", "logging/setLevel"})
"""What anybody may ask who is let in, besides notifications and what belongs to the caller alone (`tasks/`)."""
_CALL = "tools/call"
_SHOWN = 100


class Permission:
    """Refuses what the caller lacks the scope for, before anything is done (middleware)."""

    def __init__(self, refused: Callable[[str, str], None]) -> None:
        """Refuse nothing yet.

        Args:
            refused: Is told of each tool that was refused: the caller's name, and the tool.
        """
        self._refused = refused

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Hand on what is allowed."""
        caller = current.get()
        tool = _tool(ctx)
        scope = scope_of(ctx.method, tool)
        if scope is None or caller.may(scope):
            return await call_next(ctx)
        asked_for = tool if ctx.method == _CALL else ctx.method
        error = _refusal(caller, scope, asked_for)
        if ctx.method != _CALL:
            raise MCPError(INVALID_REQUEST, str(error))
        self._refused(caller.name, tool)
        return failure(error)


def scope_of(method: str, tool: str = "") -> Scope | None:
    """Return what a request needs; None where it needs nothing.

    Args:
        method: Of the request.
        tool: Which one, where one is called.
    """
    if method == _CALL:
        spec = GENERAL_TOOLS.get(tool)
        if spec is not None:
            return spec.scope
        return "projects:create" if tool.startswith(TOOL_PREFIX) else _READ
    if method in _FREE or method.startswith(("notifications/", "tasks/")):
        return None
    return _READ


def _tool(ctx: Context) -> str:
    name = (ctx.params or {}).get("name")
    return name if isinstance(name, str) else ""


def _refusal(caller: Caller, scope: Scope, asked_for: str) -> NotAllowed:
    has = ", ".join(f"`{each}`" for each in sorted(caller.scopes)) or "none"
    return NotAllowed(
        f"`{plain(asked_for, _SHOWN)}` needs the scope `{scope}`, which `{plain(caller.name, _SHOWN)}` does not have; "
        f"it has {has}",
        hint="other arguments will not help; whoever runs this server can give more scopes",
    )
