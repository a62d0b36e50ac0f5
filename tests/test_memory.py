"""How much memory is taken, and free?"""

from __future__ import annotations

import os
import subprocess
import sys

from dynamo_mcp.memory import free_bytes, taken_bytes

MEBIBYTE = 1 << 20
HOLDS = "held = bytearray(b'x') * (64 << 20); print('held', flush=True); input()"


def test_what_a_process_holds_is_told_while_it_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        taken = taken_bytes(process.pid)
        process.communicate(b"\n")
    assert taken is not None
    assert 64 * MEBIBYTE <= taken < 128 * MEBIBYTE
    assert taken_bytes(process.pid) is None


def test_some_memory_is_free_and_no_more_than_the_machine_has() -> None:
    assert 0 < free_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
