"""How is a server asked at little cost? HTTP by hand, so that what is measured is the server and not its client.

A request of the version 2026-07-28 stands alone; those of the handshake versions belong to a session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

MODERN = "2026-07-28"
HANDSHAKE = "2025-11-25"
CLIENT = {"name": "wire", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_HEAD = 1 << 16
_LINE = 1 << 10
_OK = range(200, 300)
_NONE: Mapping[str, str] = MappingProxyType({})


class Refused(Exception):
    """A server did not answer a request with what was asked for."""


class Head(msgspec.Struct, frozen=True):
    """The head of an answer; the names of headers are in small letters."""

    status: int
    headers: dict[str, str]


class Wire:
    """One connection to a server; requests go over it one after the other."""

    def __init__(self, stream: anyio.abc.SocketStream, host: str) -> None:
        """Use `connect` instead."""
        self._stream = stream
        self._reading = BufferedByteReceiveStream(stream)
        self._host = host
        self._text = b""

    async def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = _NONE) -> Head:
        """Send a request, and return the head of the answer.

        Raises:
            Refused: The answer says that it was not done.
        """
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self._host}",
            "Accept: application/json, text/event-stream",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await self._stream.send("\r\n".join([*lines, "", ""]).encode() + body)
        status, *fields = (await self._reading.receive_until(b"\r\n\r\n", _HEAD)).decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        head = Head(int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})
        if head.status not in _OK:
            raise Refused(f"{method} {path.partition('?')[0]}: {status}: {(await self.whole(head))[:_LINE]!r}")
        return head

    async def whole(self, head: Head) -> bytes:
        """Return the body of an answer that ends."""
        if head.headers.get("transfer-encoding") == "chunked":
            body = b""
            while chunk := await self._chunk():
                body += chunk
            return body
        return await self._reading.receive_exactly(int(head.headers.get("content-length", "0")))

    async def ask(self, path: str, body: bytes, headers: Mapping[str, str] = _NONE) -> bytes:
        """Post a request that is answered by JSON; return that."""
        return await self.whole(await self.send("POST", path, body, headers))

    async def events(self) -> AsyncIterator[tuple[str, str]]:
        """Yield the name and the data of each event of a stream to its end; who asks again gets those that follow."""
        while True:
            while b"\n\n" in self._text:
                event, _, self._text = self._text.partition(b"\n\n")
                fields = [line.partition(": ") for line in event.decode().split("\n")]
                data = "\n".join(value for name, _, value in fields if name == "data")
                if data:
                    yield next((value for name, _, value in fields if name == "event"), "message"), data
            chunk = await self._chunk()
            if not chunk:
                return
            self._text += chunk.replace(b"\r\n", b"\n")

    async def _chunk(self) -> bytes:
        size = int(await self._reading.receive_until(b"\r\n", _LINE), 16)
        return (await self._reading.receive_exactly(size + 2))[:-2]


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Wire]:
    """Connect to a server while the caller stays in the context.

    Args:
        address: `http://` and a host and port; what follows says nothing.
    """
    place = urlsplit(address)
    async with await anyio.connect_tcp(str(place.hostname), place.port or 80) as stream:
        yield Wire(stream, place.netloc)


def modern(number: int, method: str, **params: Any) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a request of 2026-07-28."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return encoded(number, method, **params, _meta=META), headers


def encoded(number: int | None, method: str, **params: Any) -> bytes:
    """Return a request as JSON; a notification, where it has no number."""
    numbered = {} if number is None else {"id": number}
    return msgspec.json.encode({"jsonrpc": "2.0", **numbered, "method": method, "params": params})


def initialize(number: int) -> bytes:
    """Return what a client of a handshake version says first."""
    return encoded(number, "initialize", protocolVersion=HANDSHAKE, capabilities={}, clientInfo=CLIENT)
