"""When was a folder of the home used last, and is it in use? Noted seldom, never too late, and on nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from conftest import Listener
from dynamo_mcp.holds import Holds
from dynamo_mcp.store import Store
from dynamo_mcp.uses import LOCK, NOTED_SECONDS, RECENT_SECONDS, Uses, in_use

pytestmark = pytest.mark.anyio

NOW = 1_000_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(store: Store) -> Path:
    folder = store.home / "bases" / "0123456789abcdef"
    folder.mkdir()
    return folder


async def test_a_note_is_the_folder_s_own_time(store: Store, folder: Path) -> None:
    await Uses(store, Clock()).note(folder)
    assert folder.stat().st_mtime == NOW


async def test_one_note_is_enough_for_minutes_and_costs_nothing_meanwhile(
    store: Store, folder: Path, audited: list[Listener]
) -> None:
    clock = Clock()
    uses = Uses(store, clock)
    await uses.note(folder)
    events: list[str] = []
    audited.append(lambda event, _: events.append(event))
    clock.now += NOTED_SECONDS - 1
    await uses.note(folder)
    assert [event for event in events if event.startswith(("os.", "fcntl.", "open"))] == []
    clock.now += 1
    await uses.note(folder)
    assert folder.stat().st_mtime == clock.now
    assert NOTED_SECONDS < RECENT_SECONDS / 2


async def test_a_clock_that_was_set_back_is_no_reason_to_note_nothing(store: Store, folder: Path) -> None:
    clock = Clock()
    uses = Uses(store, clock)
    await uses.note(folder)
    clock.now -= 5000
    await uses.note(folder)
    assert folder.stat().st_mtime == clock.now


async def test_what_is_not_there_yet_is_noted_the_next_time(store: Store, folder: Path) -> None:
    uses = Uses(store, Clock())
    later = folder.with_name("fedcba9876543210")
    await uses.note(folder, later)
    later.mkdir()
    await uses.note(folder, later)
    assert later.stat().st_mtime == NOW


async def test_what_a_link_leads_to_is_not_noted(store: Store, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    before = outside.stat().st_mtime
    link = folder.with_name("fedcba9876543210")
    link.symlink_to(outside)
    await Uses(store, Clock()).note(link)
    assert outside.stat().st_mtime == before


async def test_a_note_is_made_under_the_lock_that_whoever_takes_folders_away_holds(
    store: Store, folder: Path, audited: list[Listener]
) -> None:
    held: list[bool] = []

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.utime" and os.fspath(arguments[0]) == str(folder):
            other = FileLock(store.home / "locks" / f"{LOCK}.lock", thread_local=False)
            with pytest.raises(Timeout):
                other.acquire(timeout=0)
            held.append(True)

    audited.append(listen)
    await Uses(store).note(folder)
    assert held == [True]


async def test_a_folder_is_in_use_as_long_as_any_server_says_so(store: Store, folder: Path) -> None:
    holds = Holds(store, lambda _: True)
    assert not in_use(store.home, folder)
    async with holds.using(folder):
        assert in_use(store.home, folder)
    assert not in_use(store.home, folder)
