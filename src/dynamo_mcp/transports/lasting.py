"""How long is what a client has opened heard? As long as what it gave holds; then it is ended, in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from dynamo_mcp.transports.ending import GRACE_SECONDS, End, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dynamo_mcp.transports.admission import Admission

_POLICY_VIOLATION = 1008
"""RFC 6455, section 7.4.1."""


async def while_it_holds(admission: Admission, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one exchange (ASGI) of somebody who was let in."""
    serve = _connection if scope["type"] == "websocket" else _response
    await serve(admission, app, scope, receive, send)


async def _response(admission: Admission, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Have the client seem to leave when it is over: what was begun ends as a whole message."""
    end = End()
    response = Response(receive, send, end)
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await admission.over()
            end.come()
            await anyio.sleep(GRACE_SECONDS)
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        await app(scope, response.receive, response.send)
        tasks.cancel_scope.cancel()
    if end.has_come:
        await response.finish()


async def _connection(admission: Admission, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Look again with each message, too."""
    is_open = False

    async def hear() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and not await admission.still_holds():
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
        return message

    async def tell(message: Message) -> None:
        nonlocal is_open
        is_open = message["type"] in {"websocket.accept", "websocket.send"}
        await send(message)

    async with admission.held():
        await app(scope, hear, tell)
    if admission.is_over and is_open:
        with anyio.move_on_after(GRACE_SECONDS):  # of a client that takes no more
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "the credentials hold no more"})
