"""How does a client talk to us where no stream gets through? It asks for the next messages, again and again.

`POST /poll` opens a session, `POST /poll/{id}` sends one message, `GET /poll/{id}?cursor=` waits for what came after
the cursor, `DELETE /poll/{id}` ends the session. What was told stays until a later cursor says that it arrived.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dynamo_mcp import callers
from dynamo_mcp.transports.events import Log, Shelf
from dynamo_mcp.transports.messages import Left, speak
from dynamo_mcp.transports.shares import TooMuch, current_caller
from dynamo_mcp.transports.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from anyio.abc import TaskGroup
    from starlette.requests import Request

    from dynamo_mcp.callers import Caller
    from dynamo_mcp.server import DynamoServer
    from dynamo_mcp.transports.shares import Shares

_ANSWER_BYTES = 1 << 20
"""Of one answer; one message is told whole, however long it is."""
_DIGITS = 18
_STREAM = "poll"

_log = logging.getLogger(__name__)


class _Poll:
    """One session."""

    def __init__(self, shelf: Shelf, caller: Caller) -> None:
        self.log = Log(shelf, waits=True)
        self.caller = caller
        self.scope = anyio.CancelScope()
        self.said, self.heard = anyio.create_memory_object_stream[str](0)
        self._idle_seconds = shelf.limits.poll_idle_seconds
        self._asking = 0
        self._rest()

    def _rest(self) -> None:
        self.scope.deadline = anyio.current_time() + self._idle_seconds

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Stay at least as long as a request does."""
        self._asking += 1
        self.scope.deadline = float("inf")
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._rest()

    async def run(self, server: DynamoServer, under_way: UnderWay) -> None:
        """Serve it until it is idle, or ended."""

        async def hear() -> str:
            try:
                return await self.heard.receive()
            except anyio.EndOfStream:
                raise Left from None

        async def tell(text: str) -> None:
            await self.log.room()
            await self.log.store_event(_STREAM, jsonrpc_message_adapter.validate_json(text))

        with self.scope, self.said, self.heard:
            await speak(server, hear, tell, under_way, self._idle_seconds)


class Polls:
    """The sessions of all clients that poll."""

    def __init__(self, server: DynamoServer, shelf: Shelf, shares: Shares) -> None:
        """Begin with none."""
        self._server = server
        self._shares = shares
        self._shelf = shelf
        self._polls: dict[str, _Poll] = {}
        self._tasks: TaskGroup | None = None
        self.routes = [
            Route("/poll", self._open, methods=["POST"]),
            Route("/poll/{id}", self._send, methods=["POST"]),
            Route("/poll/{id}", self._next, methods=["GET"]),
            Route("/poll/{id}", self._end, methods=["DELETE"]),
        ]

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Serve while the caller stays in the context."""
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()

    async def _open(self, _: Request) -> Response:
        limits = self._shelf.limits
        if self._tasks is None or len(self._polls) >= limits.sessions:
            return _refusal(503, "too many sessions are open")
        counted = ExitStack()
        try:
            counted.enter_context(self._shares.open(current_caller.get()))
        except TooMuch as error:
            return _refusal(429, str(error))
        name, poll = secrets.token_urlsafe(24), _Poll(self._shelf, callers.current.get())
        self._polls[name] = poll
        # Whatever it does, it does as whoever opened it: the context is theirs.
        self._tasks.start_soon(self._serve, name, poll, counted)
        told = {"id": name, "wait_seconds": limits.poll_seconds, "idle_seconds": limits.poll_idle_seconds}
        return JSONResponse(told, 201, {"Location": f"/poll/{name}"})

    async def _serve(self, name: str, poll: _Poll, counted: ExitStack) -> None:
        try:
            await poll.run(self._server, UnderWay(self._shares, current_caller.get()))
        except Exception:  # noqa: BLE001 - the edge: one session must not end the others
            _log.exception("a session that polls has failed unexpectedly")
        finally:
            self._polls.pop(name, None)
            poll.log.close()
            counted.close()

    def _of(self, request: Request) -> _Poll | None:
        poll = self._polls.get(request.path_params["id"])
        # The same scopes too: what it does, it does with those that it was opened with.
        return poll if poll is not None and poll.caller == callers.current.get() else None

    async def _send(self, request: Request) -> Response:
        if (poll := self._of(request)) is None:
            return _unknown()
        with poll.asked():
            body = await request.body()
            try:
                jsonrpc_message_adapter.validate_json(body, by_name=False)
                text = body.decode()
            except (ValidationError, UnicodeDecodeError):
                return _refusal(400, "the body is not one JSON-RPC message")
            with anyio.move_on_after(self._shelf.limits.poll_seconds):
                try:
                    await poll.said.send(text)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return _unknown()
                return Response(status_code=202)
        return _refusal(503, "what was sent before is not taken up yet")

    async def _next(self, request: Request) -> Response:
        if (poll := self._of(request)) is None:
            return _unknown()
        given = request.query_params.get("cursor", "0")
        if not (given.isascii() and given.isdecimal() and len(given) <= _DIGITS):
            return _refusal(400, "the cursor is not one of an answer; leave it out to begin")
        cursor = int(given)
        with poll.asked():
            poll.log.forget(cursor)
            with anyio.move_on_after(self._shelf.limits.poll_seconds):
                events = await poll.log.after(cursor)
                if events is None:
                    return _refusal(410, "what came after the cursor is not kept any more; open another session")
                told: list[bytes] = []
                length = 0
                for event in events:
                    length += len(event.message)
                    if told and length > _ANSWER_BYTES:
                        break
                    told.append(event.message)
                    cursor = event.number
                return _messages(cursor, told)
        return _messages(cursor, [])

    async def _end(self, request: Request) -> Response:
        if (poll := self._of(request)) is None:
            return _unknown()
        self._polls.pop(request.path_params["id"], None)
        poll.scope.cancel()
        return Response(status_code=204)


def _messages(cursor: int, told: list[bytes]) -> Response:
    body = b'{"cursor":%d,"messages":[%b]}' % (cursor, b",".join(told))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _unknown() -> Response:
    return _refusal(404, "there is no such session, or it has ended; open one with `POST /poll`")


def _refusal(status: int, words: str) -> Response:
    return JSONResponse({"error": words}, status, {"Retry-After": "1"} if status in {429, 503} else None)
