"""What a server that was killed has left waiting."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from dynamo_mcp.sandbox import stuck

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 20


def waiting(log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True)
    with log.open("wb") as errors:
        return subprocess.Popen(["sleep", "600"], stderr=errors)


def test_what_a_dead_server_left_is_ended_and_nothing_of_one_that_lives(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    dead = waiting(scratch / "dead" / "renderer-1" / "log")
    living = waiting(scratch / "living" / "renderer-1" / "log")
    other = waiting(tmp_path / "scratch-of-another" / "gone" / "log")
    try:
        shutil.rmtree(scratch / "dead")
        shutil.rmtree(tmp_path / "scratch-of-another")
        stuck.sweep(scratch)
        assert dead.wait(SECONDS) == -signal.SIGKILL
        assert living.poll() is None
        assert other.poll() is None
    finally:
        for process in (dead, living, other):
            process.kill()
            process.wait()
