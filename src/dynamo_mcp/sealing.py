"""Whose state of a call is believed? Only what a server of this home has sealed, for this call and caller, lately."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from mcp.server.request_state import InvalidRequestState, RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError

from dynamo_mcp.callers import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

_STATE = "requestState"
# What the SDK says of a state that it does not believe, whatever the reason.
_REFUSED = {"reason": "invalid_request_state"}


class Sealing:
    """Seals the state that goes out with a form, and opens what comes back with its answers (middleware).

    A state that is too old, or of another call or caller, is nobody's fault: the call goes on as one without, and so is
    asked anew. One that was changed, or sealed with another key, is refused (MCP specification 2026-07-28, SEP-2322).
    """

    def __init__(self, key: bytes, seconds: float) -> None:
        """Seal with a key.

        Args:
            key: What all servers of a home share.
            seconds: For which a state is believed.
        """
        security = RequestStateSecurity(keys=[key], ttl=seconds, bind_principal=lambda _: current.get().name)
        self._codec = security.codec
        self._boundary = RequestStateBoundary(security, default_audience="dynamo-mcp")

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Hand on what a call says, and its state as it was before it was sealed."""
        try:
            return await self._boundary(ctx, call_next)
        except MCPError as error:
            if error.error.data != _REFUSED or ctx.params is None or not self._is_sealed(ctx.params):
                raise
        without = {name: value for name, value in ctx.params.items() if name != _STATE}
        return await self._boundary(replace(ctx, params=without), call_next)

    def _is_sealed(self, params: Mapping[str, Any]) -> bool:
        """Tell whether a server of this home has sealed a call's state, for whatever call and however long ago."""
        state = params.get(_STATE)
        try:
            return isinstance(state, str) and bool(self._codec.unseal(state))
        except InvalidRequestState:
            return False
