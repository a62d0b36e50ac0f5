"""Who is a user of a renderer's own? Whoever leaves while one is claimed leaves its lock, too."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from dynamo_mcp.sandbox.user import claimed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

PYTHON = Path(sys.executable)


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
