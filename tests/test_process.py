"""How does a child run, and die? With all that it started, whatever becomes of its caller."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from child import SECONDS, alive, gone
from conftest import Listener
from dynamo_mcp.errors import Failed, TimedOut
from dynamo_mcp.process import Completed, open_process, run

pytestmark = pytest.mark.anyio

ENV = {"PATH": os.defpath}

FAMILY = """
sleep 1000 &
echo $$ $! > "$1.new" && mv "$1.new" "$1"
wait
"""
"""A shell and its child, who write down who they are."""


async def _family(report: Path) -> list[int]:
    """Wait until a family has written down who it is."""
    with anyio.fail_after(SECONDS):
        while not report.exists():  # noqa: ASYNC110 - the child is a stranger
            await anyio.sleep(0.005)
    return [int(word) for word in report.read_text().split()]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "family"


async def test_a_child_that_ends_is_told_with_its_code_and_what_it_wrote() -> None:
    completed = await run(["sh", "-c", "echo out; echo err >&2; exit 3"], env=ENV, seconds=SECONDS)
    assert completed == Completed(3, b"out\n", b"err\n")


async def test_a_child_that_a_signal_ended_has_a_negative_code() -> None:
    assert (await run(["sh", "-c", "kill -TERM $$"], env=ENV, seconds=SECONDS)).code == -15


async def test_a_child_that_takes_too_long_is_killed_with_all_that_it_started(report: Path) -> None:
    with pytest.raises(TimedOut, match="`sh` did not end within 1 seconds"):
        await run(["sh", "-c", FAMILY, "sh", report], env=ENV, seconds=1)
    await gone(*await _family(report))


async def test_a_grandchild_in_a_process_group_of_its_own_is_killed_too(report: Path) -> None:
    # Job control gives every background job a group of its own within the session.
    with pytest.raises(TimedOut):
        await run(["bash", "-c", "set -m\n" + FAMILY, "bash", report], env=ENV, seconds=1)
    shell, grandchild = await _family(report)
    try:
        await gone(shell)
        with anyio.move_on_after(2):
            await gone(grandchild)
        assert not alive(grandchild)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(grandchild, 9)


async def test_a_child_that_ignores_what_can_be_ignored_is_killed(report: Path) -> None:
    with pytest.raises(TimedOut):
        await run(["sh", "-c", "trap '' TERM INT HUP\n" + FAMILY, "sh", report], env=ENV, seconds=1)
    await gone(*await _family(report))


async def test_a_caller_who_is_cancelled_leaves_no_process_behind(report: Path) -> None:
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                await run(["sh", "-c", FAMILY, "sh", report], env=ENV, seconds=1000)

            tasks.start_soon(work)
            family = await _family(report)
            tasks.cancel_scope.cancel()
    await gone(*family)


@pytest.mark.parametrize("milliseconds", range(0, 20, 2))
async def test_a_caller_who_is_cancelled_at_any_moment_leaves_no_process_behind(
    milliseconds: int, tmp_path: Path
) -> None:
    mark = f"dynamo-mcp-test-{tmp_path}"
    with anyio.move_on_after(milliseconds / 1000):
        await run(["sh", "-c", "sleep 1000 & wait", mark], env={**ENV, "MARK": mark}, seconds=1000)

    def marked() -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    with anyio.move_on_after(5):
        while marked():  # noqa: ASYNC110 - only the kernel knows
            await anyio.sleep(0.01)
    left = marked()
    for identity in left:
        os.kill(identity, 9)
    assert left == []


async def test_a_caller_who_is_cancelled_while_a_child_is_being_started_leaves_no_process_behind(
    report: Path, audited: list[Listener]
) -> None:
    loop = asyncio.get_running_loop()
    scope = anyio.CancelScope()

    def keep_busy() -> None:
        # As a busy server's loop is between the fork and the cancel: long enough for a grandchild to be there.
        deadline = time.monotonic() + SECONDS
        while not report.exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def cancel(event: str, _arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            loop.call_soon(keep_busy)
            scope.cancel()

    audited.append(cancel)
    with scope:
        await run(["sh", "-c", FAMILY, "sh", report], env=ENV, seconds=1000)
    family = await _family(report)
    try:
        with anyio.move_on_after(2):
            await gone(*family)
        assert [identity for identity in family if alive(identity)] == []
    finally:
        for identity in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity, 9)
        await anyio.wait_all_tasks_blocked()
        gc.collect()  # so that what was not closed is told of this test and not of another


async def test_a_child_is_killed_when_its_caller_fails(report: Path) -> None:
    async def work() -> None:
        async with open_process(["sh", "-c", FAMILY, "sh", report], env=ENV):
            await _family(report)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    await gone(*await _family(report))


async def test_a_child_is_reaped_when_its_caller_leaves() -> None:
    async with open_process(["sleep", "1000"], env=ENV) as process:
        assert alive(process.pid)
    assert process.returncode == -9
    assert not Path(f"/proc/{process.pid}").exists()


async def test_what_a_child_leaves_running_does_not_survive_it(report: Path) -> None:
    script = FAMILY.replace("wait\n", "").replace("&\n", ">/dev/null 2>&1 &\n")
    assert (await run(["sh", "-c", script, "sh", report], env=ENV, seconds=SECONDS)).code == 0
    await gone(*await _family(report))


async def test_what_a_child_leaves_running_does_not_keep_its_caller_waiting(report: Path) -> None:
    # As ssh does that stays connected for the next git: the child has ended, its pipe stays open.
    script = FAMILY.replace("wait\n", "echo done\n")
    completed = await run(["sh", "-c", script, "sh", report], env=ENV, seconds=5)
    assert completed.stdout == b"done\n"


async def test_a_child_has_no_standard_input() -> None:
    completed = await run(["sh", "-c", "cat; readlink /proc/self/fd/0"], env=ENV, seconds=SECONDS)
    assert completed.stdout == b"/dev/null\n"


async def test_a_child_has_the_environment_that_was_composed_for_it_and_nothing_else() -> None:
    completed = await run(["/usr/bin/env"], env={"ONLY": "this"}, seconds=SECONDS)
    assert completed.stdout == b"ONLY=this\n"


async def test_a_child_has_a_session_of_its_own() -> None:
    script = "import os; print(os.getsid(0) == os.getpid())"
    completed = await run([sys.executable, "-I", "-c", script], env={}, seconds=SECONDS)
    assert completed.stdout == b"True\n"


async def test_a_child_inherits_no_descriptor_but_those_that_are_named(tmp_path: Path) -> None:
    named, other = (os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY) for name in ("named", "other"))
    os.set_inheritable(other, True)  # noqa: FBT003 - its only argument
    try:
        async with open_process(["ls", "/proc/self/fd"], env=ENV, pass_fds=[named]) as process:
            assert process.stdout is not None
            with anyio.fail_after(SECONDS):
                listed = b"".join([chunk async for chunk in process.stdout]).split()
    finally:
        os.close(named)
        os.close(other)
    assert str(named).encode() in listed
    assert str(other).encode() not in listed


async def test_a_child_runs_where_it_is_told(tmp_path: Path) -> None:
    assert (await run(["pwd"], env=ENV, seconds=SECONDS, cwd=tmp_path)).stdout.decode().strip() == str(tmp_path)


async def test_of_the_output_the_beginning_is_kept_and_of_the_errors_the_end() -> None:
    script = "seq 1 100000; seq 1 100000 >&2"
    completed = await run(["sh", "-c", script], env=ENV, seconds=SECONDS, limit=10)
    assert completed.stdout == b"1\n2\n3\n4\n5\n"
    assert completed.stderr == b"\n99999\n100000\n"[-10:]


async def test_a_child_that_writes_more_than_is_kept_is_not_held_up() -> None:
    script = "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 7"
    completed = await run(["sh", "-c", script], env=ENV, seconds=SECONDS, limit=1000)
    assert (completed.code, len(completed.stdout), len(completed.stderr)) == (7, 1000, 1000)


async def test_the_lines_of_the_errors_are_told_as_they_arrive() -> None:
    lines: list[str] = []
    completed = await run(
        ["sh", "-c", "echo one >&2; printf 'tw' >&2; echo o >&2; printf '\\377\\n' >&2"],
        env=ENV,
        seconds=SECONDS,
        on_error_line=lines.append,
    )
    assert lines == ["one", "two", "\ufffd"]
    assert completed.stderr == b"one\ntwo\n\xff\n"


async def test_a_last_line_of_the_errors_without_an_end_is_told_too() -> None:
    lines: list[str] = []
    await run(["sh", "-c", "printf 'fatal: no end' >&2"], env=ENV, seconds=SECONDS, on_error_line=lines.append)
    assert lines == ["fatal: no end"]


@pytest.mark.parametrize("command", ["no-executable-of-this-name", "/no/such/file", "/etc/passwd", "/"])
async def test_what_can_not_be_started_is_told_by_its_name(command: str) -> None:
    with pytest.raises(Failed) as caught:
        await run([command], env=ENV, seconds=SECONDS)
    assert f"`{command}` can't be started: " in caught.value.message


async def test_a_folder_that_is_not_there_is_not_taken_for_a_missing_executable(tmp_path: Path) -> None:
    with pytest.raises(Failed) as caught:
        await run(["true"], env=ENV, seconds=SECONDS, cwd=tmp_path / "gone")
    assert str(tmp_path / "gone") in caught.value.message


@pytest.mark.parametrize(
    ("completed", "said"),
    [
        (Completed(1, b"out", b" err \n"), "err"),
        (Completed(1, b"out\n", b" \n"), "out"),
        (Completed(2, b"", b""), "exit code 2"),
        (Completed(1, b"", b"\xff"), "\ufffd"),
    ],
)
def test_a_child_that_failed_is_quoted_with_the_best_that_it_said(completed: Completed, said: str) -> None:
    assert completed.error == said
