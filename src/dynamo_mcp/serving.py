"""How much may clients of the network transports ask for, and how long may they take?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import fields

from dynamo_mcp.settings import number
from dynamo_mcp.source_settings import PREFIX


class Serving(msgspec.Struct, frozen=True):
    """The limits of network transports; each has a variable as other settings have (`load_serving`).

    Attributes:
        grace_seconds: Seconds that calls and tasks may take to finish when a signal ends the server, over stdio too.
        connections: Connections that may be open at a time.
        address_connections: Likewise, of one address (of IPv6, of one network of 64 bits), over HTTP; where a proxy is
            trusted to say whom it asks for, all come from its address, and none is limited.
        head_bytes: Bytes that the head of a request may have.
        head_seconds: Seconds that it may take to arrive, and a handshake of TLS before it.
        body_bytes: Bytes that a body may have.
        body_depth: Levels that the JSON in it may be nested.
        body_seconds: Seconds that it may take to arrive.
        total_body_bytes: Bytes that the bodies of all requests that are under way may have together, those of one
            caller a quarter of them, or two bodies' where that is more; and likewise, besides, what WebSockets have
            sent of messages that are not whole.
        idle_seconds: Seconds that a connection is kept on which nothing is asked.
        stalled_seconds: Seconds that a client may take nothing of what is sent to it.
        caller_requests: Requests of one caller that may be under way at a time, besides those that listen or wait.
        caller_requests_per_second: Requests of one caller in a second, in the long run; ten seconds' at once.
        sessions: Sessions of the handshake versions that may be open at a time, and likewise those that poll, and those
            over gRPC.
        caller_sessions: Likewise, of one caller; and requests of one that listen or wait, and WebSockets.
        session_seconds: Seconds after which a session without any request ends.
        session_events: Events of one session that are kept, for a client that resumes a stream.
        session_bytes: Bytes that they may have.
        event_bytes: Bytes that the events of all sessions may have together.
        event_seconds: Seconds that an event is kept.
        retry_seconds: Seconds after which a client whose stream breaks off should come back.
        poll_seconds: Seconds that a client which polls waits for the next messages.
        poll_idle_seconds: Seconds after which the session of one that neither polls nor sends ends.
        keep_alive_seconds: Seconds of silence after which a stream carries a comment, so that nothing in between
            takes it for dead.
    """

    grace_seconds: float = 5.0
    connections: int = 5000
    address_connections: int = 2000
    head_bytes: int = 32 << 10
    head_seconds: float = 10.0
    body_bytes: int = 4 << 20
    body_depth: int = 64
    body_seconds: float = 30.0
    total_body_bytes: int = 256 << 20
    idle_seconds: float = 30.0
    stalled_seconds: float = 30.0
    caller_requests: int = 1000
    caller_requests_per_second: float = 1000.0
    sessions: int = 2000
    caller_sessions: int = 1500
    session_seconds: float = 1800.0
    session_events: int = 1000
    session_bytes: int = 4 << 20
    event_bytes: int = 64 << 20
    event_seconds: float = 600.0
    retry_seconds: float = 1.0
    poll_seconds: float = 25.0
    poll_idle_seconds: float = 60.0
    keep_alive_seconds: float = 15.0


def load_serving(environ: Mapping[str, str], **chosen: object) -> Serving:
    """Read the limits.

    Args:
        environ: Environment variables.
        chosen: Limits that win over them; None leaves one as it is.

    Raises:
        UsageError: A value does not fit its limit.
    """
    given = {name: str(value) for name, value in chosen.items() if value is not None}
    texts = ((each, given.get(each.name, environ.get(PREFIX + each.name.upper()))) for each in fields(Serving))
    values: dict[str, Any] = {each.name: number(each.name, each.type, text) for each, text in texts if text}
    return Serving(**values)
