"""How the server on HTTP begins, whom it answers, and how it ends."""

from __future__ import annotations

import signal
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp_types import TextContent

from dynamo_mcp.errors import Failed, Refused, UsageError
from dynamo_mcp.transports.running import run
from dynamo_mcp.transports.transport import Endpoint
from edge.joining import over_http
from edge.raw import META, Raw, check_within_a_second, request, start, three_attempts
from fakes import HELD, FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_types import CallToolResult

pytestmark = pytest.mark.anyio

DISCOVER = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "server/discover",
}


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_for_another_host_or_from_another_page_is_refused(
    path: str, method: str, tmp_path: Path
) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url, httpx2.AsyncClient() as client:
        port = int(url.rpartition(":")[2])
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1",
            f"127.0.0.1:{port + 1}",
            f"127.0.0.1:{port}.x",
        ):
            answer = await client.request(method, url + path, headers=DISCOVER | {"host": host})
            assert answer.status_code == 421, host
        for origin in ("http://evil.example", f"http://localhost:{port + 1}", f"https://localhost:{port}", "null"):
            answer = await client.request(method, url + path, headers=DISCOVER | {"origin": origin})
            assert answer.status_code == 403, origin


async def test_a_request_for_this_host_from_its_own_page_is_answered(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path), host="localhost") as url, httpx2.AsyncClient() as client:
        port = int(url.rpartition(":")[2])
        for name in ("127.0.0.1", "localhost", "[::1]"):
            headers = DISCOVER | {"host": f"{name}:{port}", "origin": f"http://{name}:{port}"}
            answer = await client.post(f"{url}/mcp", headers=headers, json=request(1, "server/discover"))
            assert answer.status_code == 200
            async with client.stream("GET", f"{url}/sse", headers={"host": f"{name}:{port}"}) as stream:
                assert stream.status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])  # noqa: S104 - it is refused
async def test_whatever_is_no_loopback_address_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not a loopback address"):
        await run(FakeDynamo(tmp_path).dynamo, ["http"], Endpoint(host=host))


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_that_can_not_be_one_is_refused(port: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a port"):
        await run(FakeDynamo(tmp_path).dynamo, ["http"], Endpoint(port=port))


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failed, match=f"Can't listen on `127.0.0.1:{port}`: Address already in use"):
            await run(FakeDynamo(tmp_path).dynamo, ["http"], Endpoint(port=port))


async def test_two_servers_run_one_after_the_other_on_one_port(tmp_path: Path) -> None:
    port = 0
    for _ in range(2):
        async with over_http(FakeDynamo(tmp_path), port=port) as url, Client(f"{url}/mcp") as client:
            assert (await client.list_tools()).tools
        port = int(url.rpartition(":")[2])


async def test_it_listens_on_the_other_kind_of_loopback_address_too(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path), host="::1") as url:
        assert url.startswith("http://[::1]:")
        async with Client(f"{url}/mcp") as client:
            assert (await client.list_tools()).tools


@three_attempts
async def test_ending_ends_every_kind_of_open_stream_and_cancels_what_runs_within_a_second(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    ended = anyio.Event()
    seconds: list[float] = []
    async with anyio.create_task_group() as tasks:
        end = anyio.Event()
        urls: list[str] = []
        ready = anyio.Event()

        async def serve() -> None:
            async with over_http(fake) as url:
                urls.append(url)
                ready.set()
                await end.wait()
                began = anyio.current_time()
            seconds.append(anyio.current_time() - began)
            ended.set()

        tasks.start_soon(serve)
        with anyio.fail_after(20):
            await ready.wait()
            (url,) = urls
            async with httpx2.AsyncClient() as http_client:
                listening = http_client.stream(
                    "POST",
                    f"{url}/mcp",
                    headers=DISCOVER | {"mcp-method": "subscriptions/listen"},
                    json=request(1, "subscriptions/listen", notifications={"toolsListChanged": True}),
                )
                creating = http_client.stream(
                    "POST",
                    f"{url}/mcp",
                    headers=DISCOVER | {"mcp-method": "tools/call", "mcp-name": "create_alpha"},
                    json=request(
                        2,
                        "tools/call",
                        name="create_alpha",
                        arguments={"project_name": HELD},
                        _meta=META | {"progressToken": 2},
                    ),
                )
                older = http_client.stream("GET", f"{url}/sse")
                async with listening as first, creating as second, older as third:
                    await fake.held.acquire()
                    end.set()
                    last = "".join([text async for text in first.aiter_text()])
                    assert '"id":1' in last.replace(" ", "")  # the result that says the stream ended on purpose
                    for stream in (second, third):
                        async for _ in stream.aiter_raw():
                            pass
            await fake.cancelled.wait()
            await ended.wait()
    check_within_a_second(seconds[0])


@three_attempts
async def test_older_clients_are_told_that_the_server_ends_and_can_not_keep_it_from_ending(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with anyio.create_task_group() as tasks:
        async with over_http(fake) as url:
            opened = anyio.Semaphore(0)
            answers: list[CallToolResult] = []

            async def stay(target: str, *, sse: bool) -> None:
                try:
                    async with Client(sse_client(target) if sse else target, mode="legacy") as client:
                        await client.list_tools()
                        opened.release()
                        answers.append(await client.call_tool("create_alpha", {"project_name": HELD}))
                except Exception:  # noqa: BLE001 - however it notices that its connection is gone
                    return

            tasks.start_soon(lambda: stay(f"{url}/mcp", sse=False))
            tasks.start_soon(lambda: stay(f"{url}/sse", sse=True))
            with anyio.fail_after(20):
                for _ in range(2):
                    await opened.acquire()
                    await fake.held.acquire()
            began = anyio.current_time()
        seconds = anyio.current_time() - began
        tasks.cancel_scope.cancel()
    check_within_a_second(seconds)
    assert len(answers) == 2
    for answer in answers:
        assert isinstance(answer.content[0], TextContent)
        assert "was cancelled, since the server is ending" in answer.content[0].text


@three_attempts
async def test_a_client_that_reads_no_more_can_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    fake.register("big", description="x" * 30_000_000)
    async with over_http(fake) as url:
        port = int(url.rpartition(":")[2])
        client = await anyio.connect_tcp("127.0.0.1", port)
        body = (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_templates","arguments":{},"_meta":'
        )
        body += str(META).replace("'", '"').encode() + b"}}"
        head = f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {len(body)}\r\n"
        headers = DISCOVER | {"mcp-method": "tools/call", "mcp-name": "list_templates"}
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with anyio.fail_after(20):
            await client.send(head.encode() + b"\r\n" + body)
            assert (await client.receive(12)) == b"HTTP/1.1 200"
        began = anyio.current_time()
    seconds = anyio.current_time() - began
    await client.aclose()
    check_within_a_second(seconds)


async def port_of(server: Raw) -> str:
    """Return the URL that a server says it serves."""
    line = (await server.stderr.receive_until(b"\n", 1000)).decode()
    begin, end = "dynamo-mcp serves ", "/mcp (and /sse, /ws, /poll)"
    assert line.startswith(begin)
    assert line.endswith(end)
    return line.removeprefix(begin).removesuffix(end)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@three_attempts
async def test_a_signal_ends_the_process_within_a_second_with_open_streams(
    sent: signal.Signals, tmp_path: Path
) -> None:
    async with start("http", tmp_path) as server:
        with anyio.fail_after(20):
            url = await port_of(server)
            async with (
                Client(f"{url}/mcp") as client,
                client.listen(tools_list_changed=True) as events,
                httpx2.AsyncClient() as other,
                other.stream("GET", f"{url}/sse"),
            ):
                began = anyio.current_time()
                server.process.send_signal(sent)
                async for _ in events:
                    pass  # the stream ends as the protocol says: with its result, which ends this loop without an error
                await server.end()
                seconds = anyio.current_time() - began
        with pytest.raises(anyio.IncompleteRead):
            await server.stdout.receive_exactly(1)
        with pytest.raises(anyio.IncompleteRead):  # and nothing was complained about
            await server.stderr.receive_exactly(1)
    check_within_a_second(seconds)
    assert [path.name for path in tmp_path.iterdir()] == ["ended"]
