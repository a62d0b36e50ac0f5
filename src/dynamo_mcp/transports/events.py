"""What was sent to a client, and may have to be sent again? The last events of each session, within bounds.

An SSE stream has no acknowledgements: whatever was written may have been lost on its way. So events are kept for a
while after they were sent (MCP specification 2025-11-25, basic/transports, resumability and redelivery). Of one session
the oldest go first, and of all sessions together likewise, so that what is kept of a stream is its end, without a gap.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import anyio
from mcp.server.streamable_http import GET_STREAM_KEY, EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

if TYPE_CHECKING:
    from dynamo_mcp.serving import Serving

_OVERHEAD = 300
"""Bytes that an event takes besides its message, roughly."""


class Event:
    """One message of a stream; `message` is its JSON, or empty for one that only marks a place."""

    __slots__ = ("at", "last", "message", "number", "stream")

    def __init__(self, stream: str, number: int, message: JSONRPCMessage | None) -> None:
        """Keep a message as it will be written."""
        self.stream = stream
        self.number = number
        self.message = message.model_dump_json(by_alias=True, exclude_unset=True).encode() if message else b""
        self.last = stream != GET_STREAM_KEY and isinstance(message, JSONRPCResponse | JSONRPCError)
        """Whether it ends its stream, as the answer to the request does."""
        self.at = anyio.current_time()

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return len(self.message) + _OVERHEAD


class Shelf:
    """The events of all sessions, oldest first."""

    def __init__(self, limits: Serving) -> None:
        """Begin with none."""
        self.limits = limits
        self.bytes = 0
        self._events: OrderedDict[Event, Log] = OrderedDict()

    def add(self, log: Log, event: Event) -> None:
        """Keep an event, for which others may have to go."""
        self._events[event] = log
        self.bytes += event.bytes
        expired = anyio.current_time() - self.limits.event_seconds
        while self._events:
            oldest, its_log = next(iter(self._events.items()))
            if self.bytes <= self.limits.event_bytes and oldest.at > expired:
                break
            its_log.drop(oldest)

    def remove(self, event: Event) -> None:
        """Keep it no longer."""
        del self._events[event]
        self.bytes -= event.bytes

    def __len__(self) -> int:
        """Say how many there are."""
        return len(self._events)


class _Stream:
    """What is kept of one stream, and who follows it."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.lost = 0
        """The number of the newest of its events that is gone."""
        self.changed = anyio.Event()
        self.follower: anyio.CancelScope | None = None

    def tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class Log(EventStore):
    """The events of one session, which goes with it: nobody else's identifiers mean anything here."""

    def __init__(self, shelf: Shelf, *, waits: bool = False) -> None:
        """Begin with none.

        Args:
            shelf: Of all sessions.
            waits: Whoever keeps events here waits for `room` before, so that none has to go for another of the session.
        """
        self._shelf = shelf
        self._waits = waits
        self._changed = anyio.Event()
        self._prefix = secrets.token_hex(8)
        self._number = 0
        self._bytes = 0
        self._events: dict[int, Event] = {}
        self._streams: dict[str, _Stream] = {}
        self._closed = False

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep a message, and return its identifier (`EventStore`)."""
        self._number += 1
        event = Event(stream_id, self._number, message)
        self._changed.set()
        if self._closed:
            return self._name(event)
        stream = self._streams.setdefault(stream_id, _Stream())
        stream.events.append(event)
        self._events[event.number] = event
        self._bytes += event.bytes
        self._shelf.add(self, event)
        while self._full and not self._waits:
            self.drop(next(iter(self._events.values())))
        stream.tell()
        return self._name(event)

    @property
    def _full(self) -> bool:
        limits = self._shelf.limits
        return len(self._events) > limits.session_events or self._bytes > limits.session_bytes

    async def room(self) -> None:
        """Wait until the session may keep another event; somebody has to `forget` some."""
        while self._full and not self._closed:
            await self._wait()

    async def after(self, number: int) -> list[Event] | None:
        """Return what came after an event, whatever its stream, as soon as there is some.

        Returns:
            None if some of it is gone, or if there never was such an event.
        """
        while not self._closed and number <= self._number:
            if self._number > number:
                found = [event for event in self._events.values() if event.number > number]
                return found if len(found) == self._number - number else None
            await self._wait()
        return None

    def forget(self, number: int) -> None:
        """Keep no longer what came up to an event: the client has it."""
        for event in list(self._events.values()):
            if event.number > number:
                break
            self.drop(event)

    async def _wait(self) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> None:
        """Send what came after an event in its stream, and what comes, until the stream has ended (`EventStore`).

        The SDK would follow the stream itself, if it was told which it is, but would miss what comes between the last
        event that is kept and the first one that it waits for. An event that is not kept any more, or never was one of
        this session, is followed by nothing. Who follows a stream takes it from whoever did before.
        """
        begun = self._named(last_event_id)
        if begun is None or begun.last:
            return
        stream = self._streams[begun.stream]
        if stream.follower is not None:
            stream.follower.cancel()
        with anyio.CancelScope() as following:
            stream.follower = following
            try:
                await self._follow(stream, begun.number, send_callback)
            finally:
                if stream.follower is following:
                    stream.follower = None
                self._forget_if_idle(begun.stream)

    async def _follow(self, stream: _Stream, number: int, send: EventCallback) -> None:
        while not self._closed and stream.lost <= number:
            changed = stream.changed
            event = next((event for event in stream.events if event.number > number), None)
            if event is None:
                await changed.wait()
                continue
            number = event.number
            if event.message:
                await send(EventMessage(jsonrpc_message_adapter.validate_json(event.message), self._name(event)))
            if event.last:
                return

    def drop(self, event: Event) -> None:
        """Keep an event no longer; it is the oldest of its stream."""
        del self._events[event.number]
        self._bytes -= event.bytes
        self._shelf.remove(event)
        self._changed.set()
        stream = self._streams[event.stream]
        stream.events.popleft()
        stream.lost = event.number
        self._forget_if_idle(event.stream)

    def close(self) -> None:
        """Keep nothing any longer, and let go whoever follows."""
        self._closed = True
        self._changed.set()
        for event in list(self._events.values()):
            self.drop(event)
        for stream in self._streams.values():
            stream.tell()

    def _forget_if_idle(self, name: str) -> None:
        stream = self._streams.get(name)
        if stream is not None and not stream.events and stream.follower is None:
            del self._streams[name]

    def _name(self, event: Event) -> str:
        return f"{self._prefix}-{event.number}"

    def _named(self, name: str) -> Event | None:
        prefix, _, number = name.partition("-")
        known = prefix == self._prefix and number.isascii() and number.isdecimal() and len(number) < 20  # noqa: PLR2004
        return self._events.get(int(number)) if known else None
