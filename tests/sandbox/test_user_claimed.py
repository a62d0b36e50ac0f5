"""Who is a user of a renderer's own? Whoever leaves while one is claimed leaves its lock, too."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from dynamo_mcp.sandbox import CODE
from dynamo_mcp.sandbox.user import claimed, runs
from homes import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

PYTHON = Path(sys.executable)
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""One that others may run: that of the tests may be root's alone."""


class Leaving(type(Path())):  # type: ignore[misc]
    """A folder whose reader is cancelled as soon as it is looked at."""

    scope: anyio.CancelScope

    def lstat(self) -> os.stat_result:
        anyio.from_thread.run_sync(self.scope.cancel)
        status: os.stat_result = super().lstat()
        return status


def held(folder: Path) -> list[str]:
    """Return the users whose lock somebody holds."""
    found = []
    for path in folder.iterdir():
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                found.append(path.name)
    return found


async def test_a_start_that_is_cancelled_leaves_no_descriptor_and_its_user_can_be_claimed_again(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    before = os.listdir("/proc/self/fd")
    with anyio.CancelScope() as scope:
        leaving = Leaving(folder)
        leaving.scope = scope
        async with claimed(PYTHON, leaving):
            pytest.fail("nobody is there any more")
    assert scope.cancelled_caught
    assert os.listdir("/proc/self/fd") == before
    assert len(list(folder.iterdir())) == 1
    assert held(folder) == []
    async with claimed(PYTHON, folder) as user:
        assert user is not None
        assert held(folder) == [str(user.number)]
    assert held(folder) == []


async def test_a_process_whose_first_thread_has_ended_still_runs(tmp_path: Path) -> None:
    code = """
import ctypes, os, threading, time
def live():
    os.write(1, b'x')
    time.sleep(600)
threading.Thread(target=live).start()
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)
"""
    async with claimed(PYTHON, tmp_path / "locks") as user:
        assert user is not None
        assert not runs(user.number)
        living = subprocess.Popen(  # noqa: ASYNC220 - nothing else waits here
            [SYSTEM_PYTHON, "-I", "-S", "-c", code], user=user.number, stdout=subprocess.PIPE
        )
        with living:
            assert living.stdout is not None
            assert living.stdout.read(1) == b"x"
            await until(lambda: "State:\tZ" in Path(f"/proc/{living.pid}/status").read_text())
            try:
                assert runs(user.number)
                with pytest.raises(subprocess.TimeoutExpired):
                    living.wait(0)
                subprocess.run(  # noqa: ASYNC221 - it is quick
                    [PYTHON, "-I", "-S", "-B", CODE / "identity.py", str(user.number)], check=True, timeout=20
                )
                living.wait(20)
            finally:
                living.kill()
        assert not runs(user.number)
