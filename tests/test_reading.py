"""Who reads a stranger's code? Small pieces a thread, large ones another process, with the same findings."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import anyio
import pytest

from conftest import Listener
from dynamo_mcp.findings import Findings, findings
from dynamo_mcp.reading import PIECE_BYTES, read

pytestmark = pytest.mark.anyio

NOTHING = Findings({}, {}, (), (), ("not read",))
HOOK = "import numpy, subprocess\nsubprocess.run(['git', 'init'])\n"


def write_hook(template: Path, code: str) -> None:
    (template / "hooks").mkdir()
    (template / "hooks" / "post_gen_project.py").write_text(code)


@pytest.fixture
def parsers(audited: list[Listener]) -> list[int]:
    """The thread of each parse of this process (PEP 578)."""
    threads: list[int] = []

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if event == "compile" and b"numpy" in (arguments[0] if isinstance(arguments[0], bytes) else b""):
            threads.append(threading.get_ident())

    audited.append(listen)
    return threads


async def found(template: Path) -> Findings:
    return await read(findings, template, template, {}, kind=Findings, otherwise=NOTHING)


async def test_what_is_small_is_parsed_in_a_thread(tmp_path: Path, parsers: list[int]) -> None:
    write_hook(tmp_path, HOOK)
    result = await found(tmp_path)
    assert [*result.uses] == ["numpy"]
    assert parsers
    assert threading.get_ident() not in parsers


async def test_what_is_large_is_parsed_by_another_process_with_the_same_findings(
    tmp_path: Path, parsers: list[int]
) -> None:
    write_hook(tmp_path, HOOK + "x = 1\n" * (PIECE_BYTES // 4))
    result = await found(tmp_path)
    assert parsers == []
    assert result == findings(tmp_path, tmp_path, {})
    assert [each.name for each in result.executables] == ["git"]


async def test_where_that_process_fails_it_is_told_what_was_not_read(tmp_path: Path) -> None:
    write_hook(tmp_path, "x = 1\n" * PIECE_BYTES)

    def lost(piece: int) -> Findings:  # of no module, so that no other process finds it
        return findings(tmp_path, tmp_path, {}, piece=piece)

    assert await read(lost, kind=Findings, otherwise=NOTHING) == NOTHING


async def test_a_caller_who_leaves_ends_that_process(tmp_path: Path) -> None:
    write_hook(tmp_path, HOOK + "x = 1\n" * (PIECE_BYTES // 4))
    before = children()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(found, tmp_path)
            with anyio.fail_after(20):
                while children() == before:
                    await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert children() == before


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
