"""Which requests of one connection are under way? So many at a time, each until nothing is done for it any more.

One that its client has cancelled is under way, too, for as long as it takes to end what it has begun: otherwise a
client that asks and cancels, over and over, could have any number of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse

from dynamo_mcp.transports.shares import Full, TooMuch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.shared._context_streams import ContextSendStream
    from mcp.shared.message import MessageMetadata
    from mcp_types import RequestId

    from dynamo_mcp.transports.shares import Shares

UNDER_WAY = 64
"""Requests of one connection that may be under way; more are refused."""
TOO_MANY = f"{UNDER_WAY} requests of this connection are under way, as many as may be; wait for one of them"


class UnderWay:
    """The requests of one connection, and their bytes of what its caller, and all, may have under way.

    Attributes:
        limits: Of messages, too.
    """

    def __init__(self, shares: Shares, caller: str) -> None:
        """Begin with none.

        Args:
            shares: Of all callers.
            caller: Whose share it is of.
        """
        self.limits = shares.limits
        self._bytes = shares.bytes
        self._caller = caller
        self._heard = 0
        self._sizes: dict[RequestId, int] = {}
        """By the identifier, as the SDK tells them apart: `1` and `"1"` are the same."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Let go of everything at the end."""
        try:
            yield
        finally:
            for number in list(self._sizes):
                self.end(number)

    @contextmanager
    def hearing(self, size: int) -> Iterator[None]:
        """Count a message of so many bytes until it is handed on, and longer if it is a request that begins."""
        self._heard = size
        self._bytes.count(self._caller, size)
        try:
            yield
        finally:
            self._bytes.count(self._caller, -self._heard)
            self._heard = 0

    def begin(self, request: JSONRPCRequest) -> JSONRPCError | None:
        """Have a request under way, with the bytes of the message at hand; or return what it is refused with."""
        if coerce_request_id(request.id) in self._sizes:
            # Which of them an answer is for, nobody could tell.
            return refusal(None, "a request of this identifier is under way")
        if len(self._sizes) >= UNDER_WAY:
            return refusal(request.id, TOO_MANY)
        try:
            self._bytes.check(self._caller)
        except (TooMuch, Full) as error:
            return refusal(request.id, f"{error}; try again in a second")
        self._sizes[coerce_request_id(request.id)], self._heard = self._heard, 0
        return None

    def end(self, number: RequestId | None) -> None:
        """Count a request no longer, if it is under way."""
        if number is not None:
            self._bytes.count(self._caller, -self._sizes.pop(coerce_request_id(number), 0))

    def watched(self, request: JSONRPCRequest, metadata: MessageMetadata = None) -> SessionMessage:
        """Return a request as the server takes it, with a word for when it has ended without an answer."""

        async def unanswered() -> None:
            self.end(request.id)

        known = metadata if isinstance(metadata, ServerMessageMetadata) else ServerMessageMetadata()
        return SessionMessage(request, replace(known, on_request_unanswered=unanswered))


class Said:
    """What the server says (`WriteStream`): with its answer a request has ended, whether or not anybody takes it."""

    def __init__(self, write: ContextSendStream[SessionMessage], under_way: UnderWay) -> None:
        """Say it to `write`."""
        self._write = write
        self._under_way = under_way

    async def send(self, item: SessionMessage) -> None:
        """Say it, and wait until it is taken."""
        try:
            await self._write.send(item)
        finally:
            if isinstance(item.message, JSONRPCResponse | JSONRPCError):
                self._under_way.end(item.message.id)

    async def aclose(self) -> None:
        """Say nothing more."""
        await self._write.aclose()

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Say nothing more."""
        await self.aclose()


def refusal(number: RequestId | None, said: str) -> JSONRPCError:
    """Return what a request is answered with that is not begun."""
    return JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=INVALID_REQUEST, message=said))
