"""Clients of others list the tools, add a template and create a project, over each transport that they have."""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from conformance import suite
from dynamo_mcp.progress import STEPS_OF_ADD, STEPS_OF_CREATE
from homes import base_environments, give, write_template
from interop.clients import KINDS, PROXY, TRANSPORTS, Kind, drive, install

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.interop]

SECONDS = 60
STEPS = len(STEPS_OF_ADD) + len(STEPS_OF_CREATE)
_PATHS = {"http": "/mcp", "sse": "/sse", "ws": "/ws"}


@pytest.fixture(scope="session")
def node() -> Path:
    found = suite.node()
    assert found is not None, "clients need Node.js: `uv sync --group conformance`"
    return found


class Place:
    """A home with a base environment, a template that nobody knows yet, and where a project may be."""

    def __init__(self, folder: Path, bases: Path) -> None:
        home = folder / "home"
        home.mkdir()
        give(bases, home / "bases")
        give(bases.parent / "wheels", home / "wheels")
        self.template = write_template(folder / "templates" / "one")
        self.outputs = folder / "outputs"
        self.outputs.mkdir()
        roots = ["--source-root", str(self.template.parent), "--output-root", str(self.outputs)]
        self.command = [sys.executable, "-m", "dynamo_mcp", "serve", *roots]
        self.env = {**os.environ, "DYNAMO_MCP_HOME": str(home)}

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        return [
            ("add_template", {"url": str(self.template), "name": "one"}),
            (
                "create_project",
                {"template_name": "one", "output_dir": str(self.outputs), "variables": {"slug": "made"}},
            ),
        ]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve over HTTP; yields the URL that the paths are below."""
        command = [*self.command, "--transport", "http", "--port", "0"]
        async with await anyio.open_process(command, env=self.env, stdout=None) as server:
            assert server.stderr is not None
            with anyio.fail_after(SECONDS):
                said = await BufferedByteReceiveStream(server.stderr).receive_until(b"\n", 1000)
            found = re.search(r"http://\S+?(?=/mcp)", said.decode())
            assert found is not None, said
            try:
                yield found[0]
            finally:
                server.terminate()


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path, base_environments(tmp_path_factory))


@pytest.mark.parametrize(
    ("kind", "era", "transport"),
    [
        pytest.param(kind, era, transport, id=f"{kind.name} {era}".strip() + f"-{transport}")
        for kind in KINDS
        for era in kind.eras
        for transport in kind.transports
    ],
)
async def test_it_lists_adds_and_creates(kind: Kind, era: str, transport: str, place: Place, node: Path) -> None:
    folder = await install(kind, node)
    given: dict[str, Any] = {"transport": transport, "era": era, "calls": place.calls}
    if transport == "stdio":
        said = await drive(kind, folder, node, given | {"command": place.command, "env": place.env})
    else:
        async with place.serving() as url:
            at = url.replace("http:", "ws:") if transport == "ws" else url
            said = await drive(kind, folder, node, given | {"url": at + _PATHS[transport]})
    check(kind, era, transport, said, place)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_proxy_leads_from_stdio_to_http_and_back(transport: str, place: Place, node: Path) -> None:
    folder = await install(PROXY, node)
    proxy = str(folder / "bin" / "mcp-proxy")
    given: dict[str, Any] = {"transport": transport, "era": "", "calls": place.calls}
    if transport == "stdio":
        async with place.serving() as url:
            command = [proxy, "--transport", "streamablehttp", f"{url}/mcp"]
            said = await drive(PROXY, folder, node, given | {"command": command, "env": place.env})
    else:
        port = free_port()
        command = [proxy, "--host", "127.0.0.1", "--port", str(port), "--pass-environment", "--", *place.command]
        async with await anyio.open_process(command, env=place.env, stdout=None, stderr=None) as server:
            try:
                await until_listening(port)
                url = f"http://127.0.0.1:{port}{_PATHS[transport]}"
                said = await drive(PROXY, folder, node, given | {"url": url})
            finally:
                server.terminate()
    check(PROXY, "", transport, said, place)


def check(kind: Kind, era: str, transport: str, said: dict[str, Any], place: Place) -> None:
    """See whether a client did all of it, and the server too."""
    assert {"add_template", "create_project"} < {*said["tools"]}
    added, created = said["results"]
    assert added["name"] == "one"
    assert str(place.outputs / "made") in created.get("path", created.get("text"))
    assert (place.outputs / "made" / "README.md").read_text("utf-8") == "made\n"
    if kind is PROXY and transport == "http":
        assert said["steps"] is not None  # it hands progress on by another stream than the call's, or not at all
    elif kind.shows_progress:
        assert said["steps"] >= STEPS
    else:
        assert said["steps"] is None
    versions = kind.eras[era]
    assert said["version"] == (versions[TRANSPORTS.index(transport)] if versions else None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def until_listening(port: int) -> None:
    with anyio.fail_after(SECONDS):
        while True:
            try:
                stream = await anyio.connect_tcp("127.0.0.1", port)
            except OSError:
                await anyio.sleep(0.1)
            else:
                await stream.aclose()
                return
