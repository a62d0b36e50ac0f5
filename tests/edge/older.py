"""A client of the version 2025-11-25 that speaks streamable HTTP by hand, and may leave in the middle of an answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2

VERSION = "2025-11-25"
ACCEPTED = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
Way: TypeAlias = Literal["/mcp", "/messages/", "/poll", "/ws", "grpc"]
WAYS: tuple[Way, ...] = ("/mcp", "/messages/", "/poll", "/ws", "grpc")
"""By which any message of a client may come."""


class Event(NamedTuple):
    """One of a stream."""

    id: str
    retry: str
    data: str

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.data)
        return message


def call(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def create(number: int, name: str) -> dict[str, Any]:
    """A create that reports progress under its own number."""
    return call(
        number,
        "tools/call",
        name="create_alpha",
        arguments={"project_name": name},
        _meta={"progressToken": number},
    )


INITIALIZE = call(
    0, "initialize", protocolVersion=VERSION, capabilities={}, clientInfo={"name": "by-hand", "version": "1"}
)
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


async def shake(client: httpx2.AsyncClient, url: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    """Open a session; returns the headers of all further requests."""
    headers = ACCEPTED | (headers or {})
    answer = await client.post(f"{url}/mcp", headers=headers, json=INITIALIZE)
    assert answer.status_code == 200, answer.text
    headers |= {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": VERSION}
    assert (await client.post(f"{url}/mcp", headers=headers, json=INITIALIZED)).status_code == 202
    return headers


async def events(response: httpx2.Response) -> AsyncIterator[Event]:
    """The events of a stream, as they come; comments are left out."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields.keys() & {"id", "data"}:
            yield Event(fields.get("id", ""), fields.get("retry", ""), fields.get("data", ""))
            fields = {}
        else:
            fields = {}


__all__ = ["ACCEPTED", "VERSION", "Event", "call", "create", "events", "shake"]
