"""Which lists need not be made again? Those of tools and of templates, as answered, while none of them has changed.

The SDK turns each answer into JSON in three passes, which takes several times as long as sending it. A middleware may
answer by itself (mcp, `Server.middleware`), and so this one gives again what those passes made. Nothing of who asks is
in it: who may ask has been looked at before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from mcp_types.methods import validate_client_request
from pydantic import ValidationError

from dynamo_mcp.errors import DynamoError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp_types import Tool

    from dynamo_mcp.views import TemplateInfo

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]
    Observe: TypeAlias = Callable[[str, Mapping[str, Any]], AbstractContextManager[Any]]

MOST = 32
"""Pages of a list that are kept, each as it is in one version of the protocol."""

_TOOLS = "tools/list"
_CALL = "tools/call"
_TEMPLATES = "list_templates"
_OF_THE_CALL = frozenset({"name", "arguments", "_meta"})


class Listed:
    """The pages that were answered since anything of their list has changed."""

    def __init__(
        self,
        tools: Callable[[], Awaitable[tuple[Tool, ...]]],
        templates: Callable[[], Awaitable[tuple[TemplateInfo, ...]]],
        observe: Observe,
    ) -> None:
        """Keep nothing yet.

        Args:
            tools: Returns the tools that change, and the same tuple while they have not.
            templates: Likewise the templates.
            observe: Observes a call as `Observing.call`, which nobody else does if the answer is known.
        """
        self._tools = _Pages(tools)
        self._templates = _Pages(templates)
        self._observe = observe

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Answer a list as before; hand on what is another request, a wrong one or an early one."""
        params = ctx.params or {}
        if ctx.method == _TOOLS:
            pages, given = self._tools, params
        elif ctx.method == _CALL and _lists(params):
            pages, given = self._templates, params.get("arguments") or {}
        else:
            return await call_next(ctx)
        if not _is_sound(ctx):
            return await call_next(ctx)
        key = (ctx.protocol_version, given.get("cursor"))
        page, was_known = await pages.get(key, lambda: call_next(ctx))
        if was_known and pages is self._templates:
            with self._observe(_TEMPLATES, given) as call:
                call.outcome = "done"
        return page


class _Pages:
    """Those of one list."""

    def __init__(self, items: Callable[[], Awaitable[tuple[Any, ...]]]) -> None:
        self._items = items
        self._of: tuple[Any, ...] = ()
        self._pages: dict[tuple[str, Any], HandlerResult] = {}

    async def get(
        self, key: tuple[str, Any], make: Callable[[], Awaitable[HandlerResult]]
    ) -> tuple[HandlerResult, bool]:
        """Return a page, and whether it was known; if not it is made."""
        try:
            items = await self._items()
        except DynamoError:
            return await make(), False  # which says it in words
        if items is not self._of:
            self._of, self._pages = items, {}
        if key in self._pages:
            return self._pages[key], True
        page = await make()
        # They may have changed meanwhile, and what says what was wrong is no page.
        if items is self._of and isinstance(page, dict) and not page.get("isError"):
            if len(self._pages) >= MOST:
                self._pages.clear()
            self._pages[key] = page
        return page, False


def _lists(params: Mapping[str, Any]) -> bool:
    """Tell whether a call lists templates and does nothing besides, such as asking whether there are newer ones."""
    if params.get("name") != _TEMPLATES or not params.keys() <= _OF_THE_CALL:
        return False
    given = params.get("arguments") or {}
    return isinstance(given, dict) and given.keys() <= {"cursor"} and isinstance(given.get("cursor"), str | None)


def _is_sound(ctx: Context) -> bool:
    """Tell whether the SDK would answer a request, which nobody asks it if the answer is known."""
    if ctx.session.client_capabilities is None:
        return False  # there was no handshake
    try:
        validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
    except (KeyError, ValueError, ValidationError):
        return False
    return True
