"""Which user a renderer gets, what becomes of what that user runs, and what others can't read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from child import gone, python
from dynamo_mcp.sandbox.user import FIRST, LAST, available, claimed, mending, runs, sweep, unreadable

pytestmark = pytest.mark.anyio

PYTHON = Path(sys.executable)
root = pytest.mark.skipif(not available(), reason="only root can have other users")

NOBODIES = range(3_900_000_000, 3_900_000_400, 2)
"""Users that no renderer on this machine has: what they run is ended here."""

HOLDER = """
import os, subprocess, sys
import anyio
from pathlib import Path
from dynamo_mcp.sandbox.user import claimed

async def main():
    async with claimed(Path(sys.executable), Path(sys.argv[1])) as user:
        left = subprocess.Popen(["sleep", "600"], user=user.number, start_new_session=True)
        print(user.number, left.pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""

LOOKER = """
import sys
import anyio
from pathlib import Path
from dynamo_mcp.sandbox.user import sweep

looks = []
sys.addaudithook(lambda event, said: looks.append(said) if (event, said) == ("os.listdir", ("/proc",)) else None)
swept = anyio.run(sweep, Path(sys.executable), Path(sys.argv[1]))
print(len(looks), swept, flush=True)
"""


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "locks"
    yield folder
    for file in folder.glob("*") if folder.is_dir() else ():
        assert not runs(int(file.name))


def sleeping(**options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"], **options)


@root
async def test_every_renderer_has_a_user_of_its_own_that_nobody_else_is(locks: Path) -> None:
    async with claimed(PYTHON, locks) as one, claimed(PYTHON, locks) as two:
        assert one is not None
        assert two is not None
        assert one.number != two.number
        for user in (one, two):
            assert FIRST <= user.number < LAST
            assert not runs(user.number, user.number + 1)


@root
async def test_what_a_user_still_runs_is_ended_when_its_renderer_is(locks: Path) -> None:
    async with claimed(PYTHON, locks) as user:
        assert user is not None
        left, beside = sleeping(user=user.number, group=user.number, extra_groups=[]), sleeping()
        assert runs(user.number)
    try:
        assert left.wait(20) == -signal.SIGKILL
        assert beside.poll() is None
    finally:
        beside.kill()
        beside.wait()


@root
async def test_a_user_of_the_living_is_left_alone_and_that_of_the_dead_is_swept(locks: Path) -> None:
    async with python(HOLDER, locks) as holder:
        number, left = (int(word) for word in (await holder.line()).split())
        assert await sweep(PYTHON, locks) == []
        assert runs(number)
        await holder.kill()
        assert await sweep(PYTHON, locks) == [number]
        await gone(left)
    assert await sweep(PYTHON, locks) == []


@root
async def test_who_is_swept_is_found_among_all_who_had_a_renderer(locks: Path) -> None:
    locks.mkdir()
    for number in NOBODIES:
        (locks / str(number)).write_bytes(b"of dynamo-mcp\n")
    theirs = (NOBODIES[7], NOBODIES[-7])
    left = [sleeping(user=number, group=number, extra_groups=[]) for number in theirs]
    assert await sweep(PYTHON, locks) == list(theirs)
    assert [process.wait(20) for process in left] == [-signal.SIGKILL] * 2


@root
async def test_a_sweep_looks_at_the_processes_once_however_many_had_a_renderer(locks: Path) -> None:
    locks.mkdir()
    for number in NOBODIES:
        (locks / str(number)).write_bytes(b"of dynamo-mcp\n")
    async with python(LOOKER, locks) as looker:
        assert await looker.line() == "1 []"


@root
async def test_nobody_is_had_where_others_may_write_to_the_locks(locks: Path) -> None:
    locks.mkdir()
    locks.chmod(0o777)
    async with claimed(PYTHON, locks) as user:
        assert user is None


def reachable(folder: Path) -> Path:
    """Return a folder in one that others may enter; pytest's own is its user's alone."""
    (folder / "a" / "b" / "c").mkdir(parents=True)
    for path in (folder / "a" / "b" / "c", folder / "a" / "b", folder / "a"):
        path.chmod(0o755)
    return folder / "a"


def test_what_others_can_not_read_is_found_and_one_command_mends_it(tmp_path: Path) -> None:
    folder = reachable(tmp_path / "it is")
    above = unreadable([folder / "b" / "c"])
    assert set(above) <= set(folder.parents)
    (folder / "b").chmod(0o700)
    (folder / "b" / "c").chmod(0o711)
    (folder / "b" / "file").write_text("x")
    (folder / "b" / "file").chmod(0o600)
    wanted = [folder / "b" / "c", folder / "b" / "file", folder / "b" / "missing"]
    lacking = unreadable(wanted)
    assert set(lacking) - set(above) == {folder / "b", folder / "b" / "c", folder / "b" / "file"}
    command = mending(lacking, wanted)
    assert command.startswith("chmod o+x ")
    assert f" && chmod -R o+rX '{folder / 'b' / 'c'}' '{folder / 'b' / 'file'}'" in command
    # Only what is the test's own is changed.
    subprocess.run(["sh", "-c", mending(set(lacking) - set(above), wanted)], check=True, timeout=20)
    assert unreadable(wanted) == above
    assert os.stat(folder / "b").st_mode & 0o777 == 0o701
