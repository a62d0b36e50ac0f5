"""Which list need not be made again? That of the tools, as it was answered, for as long as no tool has changed.

The SDK turns each answer into JSON in three passes, which takes several times as long as sending it. A middleware may
answer by itself (mcp, `Server.middleware`), and so this one gives again what those passes made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from mcp_types.methods import validate_client_request
from pydantic import ValidationError

from dynamo_mcp.errors import DynamoError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp_types import Tool

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

MOST = 32
"""Pages that are kept, each as it is in one version of the protocol."""

_METHOD = "tools/list"


class Listed:
    """The pages of the list of tools that were answered since a tool has changed."""

    def __init__(self, tools: Callable[[], Awaitable[tuple[Tool, ...]]]) -> None:
        """Keep nothing yet.

        Args:
            tools: Returns the tools that change, and the same tuple while they have not.
        """
        self._tools = tools
        self._of: tuple[Tool, ...] = ()
        self._pages: dict[tuple[str, Any], HandlerResult] = {}

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Answer a list of tools as before; hand on what is another request, a wrong one or an early one."""
        if ctx.method != _METHOD or not _is_sound(ctx):
            return await call_next(ctx)
        try:
            tools = await self._tools()
        except DynamoError:
            return await call_next(ctx)  # which says it in words
        if tools is not self._of:
            self._of, self._pages = tools, {}
        key = (ctx.protocol_version, (ctx.params or {}).get("cursor"))
        if key not in self._pages:
            page = await call_next(ctx)
            if tools is not self._of:  # they have changed meanwhile
                return page
            if len(self._pages) >= MOST:
                self._pages.clear()
            self._pages[key] = page
        return self._pages[key]


def _is_sound(ctx: Context) -> bool:
    """Tell whether the SDK would answer a request, which nobody asks it if the answer is known."""
    if ctx.session.client_capabilities is None:
        return False  # there was no handshake
    try:
        validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
    except (KeyError, ValueError, ValidationError):
        return False
    return True
