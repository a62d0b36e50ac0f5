"""Do the proxies of `docs/transports.md`, set up as it says, hold nothing back of what clients and server say?"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from edge.framed import websocket_client
from edge.joining import over_http
from edge.older import call
from edge.test_http_polling import opened
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio

Proxy: TypeAlias = Literal["nginx", "caddy"]
SECONDS = 30
DOCUMENT = (Path(__file__).parents[2] / "docs" / "transports.md").read_text()
NGINX = """\
daemon off;
user root;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {told}
    }}
}}
"""
CADDY = "{{\n    admin off\n    auto_https off\n    default_bind 127.0.0.1\n    grace_period 1s\n}}\n{told}"


def told(language: str) -> str:
    """What the document says for a proxy."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    assert "127.0.0.1:3000" in found[1]
    return found[1]


@contextmanager
def running(proxy: Proxy, folder: Path, port: int, server: str) -> Iterator[None]:
    """Run a proxy on a port, in front of a server."""
    program = shutil.which(proxy) or shutil.which(proxy, path="/usr/sbin")
    if program is None and os.environ.get("CI"):
        pytest.fail(f"{proxy} is not installed")
    if program is None:
        pytest.skip(f"{proxy} is not installed")
    text = told("nginx" if proxy == "nginx" else "caddyfile").replace("127.0.0.1:3000", server)
    if proxy == "nginx":
        configuration = NGINX.format(folder=folder, port=port, told=text)
        words = ["-p", str(folder), "-e", "stderr", "-c", str(folder / "written")]
    else:
        configuration = CADDY.format(told=text.replace("tools.example.com", f"http://localhost:{port}"))
        words = ["run", "--adapter", "caddyfile", "--config", str(folder / "written")]
    (folder / "written").write_text(configuration)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *words], stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "HOME": str(folder)}
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


async def listens(port: int) -> None:
    """Wait until somebody does."""
    while True:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            await anyio.sleep(0.02)
        else:
            await stream.aclose()
            return


@asynccontextmanager
async def behind(proxy: Proxy, fake: FakeDynamo, folder: Path) -> AsyncIterator[str]:
    """The URL at which a proxy hands on to a server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = ("localhost", f"localhost:{port}")
    folder.mkdir()
    async with over_http(fake, hosts=names, trusted_proxies=("127.0.0.1",)) as url:
        with running(proxy, folder, port, url.removeprefix("http://")):
            with anyio.fail_after(SECONDS):
                await listens(port)
            yield f"http://localhost:{port}"


@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
async def test_progress_comes_through_before_its_call_has_ended_and_so_does_the_answer(
    proxy: Proxy, tmp_path: Path
) -> None:
    fake = FakeDynamo(tmp_path)
    with anyio.fail_after(SECONDS):
        async with behind(proxy, fake, tmp_path / "proxy") as url:
            targets: tuple[Any, ...] = (f"{url}/mcp", sse_client(f"{url}/sse"), websocket_client(url))
            for target in targets:
                heard = anyio.Event()

                async def hear(
                    progress: float, total: float | None, message: str | None, heard: anyio.Event = heard
                ) -> None:
                    del progress, total, message
                    heard.set()

                async with Client(target, read_timeout_seconds=SECONDS) as client, anyio.create_task_group() as tasks:

                    async def create(client: Client = client, hear: Any = hear) -> None:
                        result = await client.call_tool("create_alpha", {"project_name": HELD}, progress_callback=hear)
                        assert not result.is_error

                    tasks.start_soon(create)
                    await fake.held.acquire()
                    await heard.wait()
                    fake.release()
            async with httpx2.AsyncClient(timeout=SECONDS) as polling:
                address = await opened(polling, url)
                await polling.post(address, json=call(7, "ping"))
                cursor = 0
                messages: list[Any] = []
                while not any(message.get("id") == 7 for message in messages):
                    answer = (await polling.get(address, params={"cursor": cursor})).json()
                    cursor, messages = answer["cursor"], answer["messages"]
