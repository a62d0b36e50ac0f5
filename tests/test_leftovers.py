"""Which small files of the home has nobody any use for? Locks that nobody holds, and notes on what is gone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from child import SECONDS, python
from conftest import Listener
from dynamo_mcp.generations import Generations
from dynamo_mcp.leftovers import forget
from dynamo_mcp.store import Store

pytestmark = pytest.mark.anyio

HOUR = 3600.0

COUNTS = """
import sys, pathlib, anyio
from dynamo_mcp.store import open_store

async def main():
    home, counter = map(pathlib.Path, sys.argv[1:3])
    async with open_store(home, lock_seconds=30) as store:
        for _ in range(int(sys.argv[3])):
            async with store.lock("counter"):
                number = int(counter.read_text())
                await anyio.sleep(0.002)  # another who had the lock too would count from the same number
                counter.write_text(str(number + 1))
    print("done", flush=True)

anyio.run(main)
"""
"""Counts in a file, under a lock, so often."""


async def _forget(store: Store, *, at: float | None = None) -> None:
    now = time.time() if at is None else at
    await forget(store, recent=now - HOUR, old=now - 30 * 24 * HOUR)


def _aged(path: Path, seconds: float = 2 * HOUR, content: bytes = b"") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - seconds,) * 2)
    return path


class TestLists:
    """What bases hold, with hashes: it is needed for as long as the base may have to be made again."""

    def _list(self, store: Store, digit: str, seconds: float = 2 * HOUR) -> Path:
        return _aged(store.home / "requirements" / f"{digit * 16}.txt", seconds, b"cookiecutter==2.7.1")

    async def _forget(self, store: Store, *needed: str) -> None:
        now = time.time()
        bases = {store.home / "bases" / (digit * 16) for digit in needed}
        await forget(store, recent=now - HOUR, old=now - 30 * 24 * HOUR, needed=bases)

    async def test_that_of_a_base_that_nobody_needs_and_that_is_gone_goes(self, store: Store) -> None:
        gone, there, needed, cloned, young = (self._list(store, digit) for digit in "abcde")
        (store.home / "bases" / there.stem).mkdir(parents=True)
        (store.home / "venvs" / f"web-{cloned.stem}").mkdir(parents=True)
        os.utime(young)
        mine = _aged(store.home / "requirements" / "mine.txt")
        await self._forget(store, "c")
        assert not gone.exists()
        assert all(path.exists() for path in (there, needed, cloned, young, mine))

    async def test_one_serves_all_bases_that_were_made_for_the_same(self, store: Store) -> None:
        needed, there, gone = (self._list(store, digit) for digit in "abc")
        for path, newest in ((needed, "1"), (there, "2"), (gone, "3")):
            Generations(store).add(path.stem, newest * 16)
        (store.home / "bases" / ("2" * 16)).mkdir(parents=True)
        await self._forget(store, "1")
        assert needed.exists()
        assert there.exists()
        assert sorted(path.name for path in gone.parent.glob(f"{gone.stem}.*")) == []
        assert Generations(store).newest(gone.stem) == gone.stem

    async def test_that_of_a_base_that_is_being_made_stays(self, store: Store) -> None:
        making = self._list(store, "a")
        async with store.lock(f"base-{making.stem}"):
            await self._forget(store)
            assert making.exists()
        await self._forget(store)
        assert not making.exists()

    async def test_all_stay_where_it_is_not_known_what_is_needed(self, store: Store) -> None:
        gone = self._list(store, "a")
        await _forget(store)
        assert gone.exists()


class TestLocks:
    async def test_a_lock_that_nobody_holds_goes_and_one_that_is_held_stays(self, store: Store) -> None:
        free = _aged(store.home / "locks" / "venv-old.lock")
        young = _aged(store.home / "locks" / "venv-new.lock", 0)
        async with store.lock("venv-held"):
            held = store.home / "locks" / "venv-held.lock"
            os.utime(held, (0, 0))
            await _forget(store)
            assert not free.exists()
            assert young.exists()
            assert held.exists()

    async def test_a_server_s_own_lock_stays_while_it_lives(self, store: Store) -> None:
        own = store.home / "locks" / f"scratch-{store.scratch.name}.lock"
        os.utime(own, (0, 0))
        await _forget(store)
        assert own.exists()

    async def test_what_is_no_lock_of_ours_stays(self, store: Store, tmp_path: Path) -> None:
        outside = _aged(tmp_path / "outside.lock")
        link = store.home / "locks" / "link.lock"
        link.symlink_to(outside)
        note = _aged(store.home / "locks" / "note.txt")
        await _forget(store)
        assert outside.exists()
        assert link.is_symlink()
        assert note.exists()

    async def test_locks_exclude_each_other_while_their_files_are_removed_again_and_again(
        self, store: Store, tmp_path: Path
    ) -> None:
        counter, times = tmp_path / "counter", 100
        counter.write_text("0")
        async with (
            python(COUNTS, store.home, counter, str(times)) as one,
            python(COUNTS, store.home, counter, str(times)) as other,
        ):
            deadline = time.monotonic() + SECONDS
            while int(counter.read_text() or 0) < 2 * times - 1 and time.monotonic() < deadline:
                await _forget(store, at=time.time() + 2 * HOUR)
            assert (await one.line(), await other.line()) == ("done", "done")
        assert int(counter.read_text()) == 2 * times


class TestReleased:
    async def test_the_note_on_what_is_gone_goes(self, store: Store) -> None:
        (store.home / "checkouts" / "there").mkdir()
        gone, there = (_aged(store.home / "released" / name) for name in ("gone", "there"))
        await _forget(store)
        assert not gone.exists()
        assert there.exists()


class TestTargets:
    def _record(self, store: Store, folder: Path, seconds: float = 2 * HOUR, *, inode: int | None = None) -> Path:
        made = {
            "path": str(folder),
            "folder": folder.stat().st_ino if inode is None else inode,
            "template": "web",
            "address": "/srv/web",
        }
        name = f"{len(list((store.home / 'targets').iterdir())):064x}.json"
        return _aged(store.home / "targets" / name, seconds, msgspec.json.encode(made))

    async def test_a_record_of_a_folder_that_is_there_stays_however_old(self, store: Store, tmp_path: Path) -> None:
        record = self._record(store, tmp_path, 1000 * 24 * HOUR)
        await _forget(store)
        assert record.exists()

    async def test_a_record_of_a_folder_that_is_gone_or_another_one_goes(self, store: Store, tmp_path: Path) -> None:
        gone = self._record(store, tmp_path / "gone", inode=1)
        another = self._record(store, tmp_path, inode=1)
        torn = _aged(store.home / "targets" / f"{'f' * 64}.json", content=b'{"pa')
        young = self._record(store, tmp_path / "gone", 0, inode=1)
        await _forget(store)
        assert not any(record.exists() for record in (gone, another, torn))
        assert young.exists()

    async def test_a_record_of_a_folder_on_a_disk_that_is_away_waits_for_it_for_long(
        self, store: Store, tmp_path: Path
    ) -> None:
        away = tmp_path / "disk" / "projects" / "web"
        waiting = self._record(store, away, inode=1)
        old = self._record(store, away, 31 * 24 * HOUR, inode=1)
        await _forget(store)
        assert waiting.exists()
        assert not old.exists()

    async def test_a_record_that_a_create_writes_meanwhile_stays(
        self, store: Store, tmp_path: Path, audited: list[Listener]
    ) -> None:
        record = self._record(store, tmp_path / "gone", inode=1)
        waits = anyio.Event()

        def listen(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "fcntl.flock" and Path(f"/proc/self/fd/{arguments[0]}").readlink().name == "target-00.lock":
                waits.set()

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks, store.lock("target-00"):
                audited.append(listen)
                tasks.start_soon(_forget, store)
                await waits.wait()
                record.write_bytes(record.read_bytes())
        assert record.exists()


async def test_what_an_address_gave_long_ago_goes_and_what_is_not_ours_stays(store: Store) -> None:
    month = 31 * 24 * HOUR
    old = _aged(store.home / "catalogues" / f"{'a' * 32}.json", month)
    young = _aged(store.home / "catalogues" / f"{'b' * 32}.json", 29 * 24 * HOUR)
    other = _aged(store.home / "catalogues" / "mine.json", month)
    await _forget(store)
    assert not old.exists()
    assert young.exists()
    assert other.exists()
