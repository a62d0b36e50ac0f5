"""How the server on standard input and output begins, speaks and ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from dynamo_mcp.transports.stdio import Writer, opened_again
from edge.joining import SERVE_FAKE
from edge.raw import META, Raw, check_within_a_second, request, start, three_attempts
from fakes import HELD

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def hold(server: Raw) -> None:
    """Open a stream of changes and leave a create running."""
    await server.send(request(1, "subscriptions/listen", notifications={"toolsListChanged": True}))
    assert (await server.receive())["method"] == "notifications/subscriptions/acknowledged"
    meta = META | {"progressToken": 2}
    arguments = {"project_name": HELD}
    await server.send(request(2, "tools/call", name="create_alpha", arguments=arguments, _meta=meta))
    last: dict[str, Any] = {}
    while last.get("params", {}).get("message") != "half of publish":
        last = await server.receive()


async def test_the_end_of_input_ends_the_process_and_cancels_what_runs(tmp_path: Path) -> None:
    async with start("stdio", tmp_path) as server:
        with anyio.fail_after(20):
            await hold(server)
        await server.stdin.aclose()
        await server.end()
    assert {path.name for path in tmp_path.iterdir()} == {"cancelled", "ended"}


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@three_attempts
async def test_a_signal_ends_the_process_within_a_second_and_cancels_what_runs(
    sent: signal.Signals, tmp_path: Path
) -> None:
    async with start("stdio", tmp_path) as server:
        with anyio.fail_after(20):
            await hold(server)
        seconds = await server.end(sent)
    check_within_a_second(seconds)
    assert {path.name for path in tmp_path.iterdir()} == {"cancelled", "ended"}


@three_attempts
async def test_a_signal_ends_a_process_that_nobody_has_spoken_to(tmp_path: Path) -> None:
    async with start("stdio", tmp_path) as server:
        with anyio.fail_after(20):
            await server.send(request(1, "server/discover"))
            await server.receive()
        seconds = await server.end(signal.SIGTERM)
    check_within_a_second(seconds)


@three_attempts
async def test_a_client_that_reads_no_more_can_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    async with start("stdio", tmp_path) as server:
        with anyio.fail_after(20):
            await server.send(request(1, "server/discover"))
            await server.receive()
            # Far more than a pipe holds, so the answer waits for a reader.
            variables = {"project_name": "x" * 500_000}
            await server.send(request(2, "tools/call", name="create_alpha", arguments=variables))
            await server.stdout.receive_exactly(1)
        seconds = await server.end(signal.SIGTERM)
    check_within_a_second(seconds)


async def test_a_client_that_closes_its_end_ends_the_process(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(SERVE_FAKE), "stdio", str(tmp_path)]
    async with await anyio.open_process(command, stdout=writing) as process:
        os.close(writing)
        assert process.stdin is not None
        await process.stdin.send(json.dumps(request(1, "server/discover")).encode() + b"\n")
        with anyio.fail_after(20):
            assert await process.wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["ended"]


async def test_nothing_but_the_protocol_is_on_standard_output(tmp_path: Path) -> None:
    async with start("stdio", tmp_path) as server:
        with anyio.fail_after(20):
            await server.send(request(1, "tools/call", name="create_alpha", arguments={}))
            answer = await server.receive()
            assert answer["id"] == 1
            assert not answer["result"].get("isError")
            await server.send({"jsonrpc": "2.0"})
            await server.stdin.send(b"not json\n\xff\n\n")
            await server.send(request(2, "server/discover"))
            assert (await server.receive())["id"] == 2
            await server.stdin.aclose()
            noise = {await server.stderr.receive_until(b"\n", 1000), await server.stderr.receive_until(b"\n", 1000)}
            with pytest.raises(anyio.IncompleteRead):
                await server.stdout.receive_exactly(1)
    assert noise == {b"noise of a child", b"noise of the server"}


async def test_long_messages_arrive_whole_both_ways(tmp_path: Path) -> None:
    value = "ä" * 1_000_000
    async with start("stdio", tmp_path) as server:
        with anyio.fail_after(20):
            arguments = {"project_name": value}
            await server.send(request(1, "tools/call", name="create_alpha", arguments=arguments))
            answer = await server.receive()
    assert answer["result"]["structuredContent"]["answers"]["project_name"] == value


async def test_what_a_pipe_has_room_for_is_written_at_once_and_who_shares_it_still_blocks() -> None:
    reading, writing = os.pipe()
    with opened_again(writing) as own:
        text = "x" * 60_000
        with pytest.raises(StopIteration):  # without a single turn of the loop
            Writer(writing, own, anyio.CancelScope()).write(text).send(None)
        assert os.read(reading, 100_000) == text.encode()
        assert os.get_blocking(writing)
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_what_is_no_pipe_is_not_opened_again(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, opened_again(file.fileno()) as own:
        assert own is None


async def test_input_may_be_a_file_and_its_end_ends_the_process(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.write_text(json.dumps(request(1, "server/discover")) + "\n" + json.dumps(request(2, "tools/list")))
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    with file.open() as given, anyio.fail_after(20):
        result = await anyio.run_process([sys.executable, str(SERVE_FAKE), "stdio", str(outputs)], stdin=given)
    assert result.stderr == b""
    assert [path.name for path in outputs.iterdir()] == ["ended"]
