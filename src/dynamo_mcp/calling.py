"""Whose turn is it? Callers take turns (`slots`), so each is told from the others as far as the protocol tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamo_mcp.callers import LOCAL, current

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext


def name_of(ctx: ServerRequestContext[dict[str, Any], Any]) -> str:
    """Return a name: who it is, else the session or, where there is none, the client's program.

    MCP specification 2026-07-28 knows no sessions.
    """
    caller = current.get()
    if caller is not LOCAL:
        return caller.name
    connection = ctx.session._connection  # noqa: SLF001 - mcp 2.3 does not hand it out
    if connection.session_id is not None:
        return f"session {connection.session_id}"
    given = ctx.session.client_params
    return f"client {given.client_info.name} {given.client_info.version}" if given else ""
