"""What do all catalogues hold now? Real files, and a real https host whose catalogue is kept until it expires."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from dynamo_mcp import catalogue, catalogue_form, catalogues
from dynamo_mcp.catalogues import Catalogues, Known
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import download
from dynamo_mcp.store import Store
from homes import until
from sources.repositories import Server

pytestmark = pytest.mark.anyio

BUNDLED = catalogue.entries()


def _content(*names: str, **changes: Any) -> str:
    rows = [
        {"name": name, "location": f"gh:team/{name}", "description": "Ours", "category": "own"} | changes
        for name in names
    ]
    return json.dumps({"version": 1, "entries": rows})


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


class Opened:
    """Catalogues over a home; `look` tells what other entries than the bundled there are, and the notes."""

    def __init__(self, settings: Settings, store: Store, tasks: anyio.abc.TaskGroup) -> None:
        self._settings, self._store, self._tasks = settings, store, tasks
        self.catalogues = self.open()

    def open(self, *origins: str, **changes: Any) -> Catalogues:
        settings = msgspec.structs.replace(self._settings, catalogues=origins, **changes)
        self.catalogues = Catalogues(settings, self._store, self._tasks, bundled=BUNDLED)
        return self.catalogues

    async def look(self) -> tuple[list[str], tuple[str, ...]]:
        with anyio.fail_after(30):
            known = await self.catalogues.known()
        assert [entry.name for entry in known.entries] == sorted({entry.name for entry in known.entries})
        return [entry.name for entry in known.entries if entry.catalogue != "bundled"], known.notes

    def kept(self, origin: str) -> Path:
        return self._store.home / "catalogues" / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"


@pytest.fixture
async def opened(settings: Settings, store: Store, trusting: dict[str, str]) -> AsyncIterator[Opened]:
    async with anyio.create_task_group() as tasks:
        yield Opened(msgspec.structs.replace(settings, passed=trusting, person=False), store, tasks)
        tasks.cancel_scope.cancel()


async def test_without_a_setting_there_is_the_bundled_one_and_nothing_is_made(opened: Opened, store: Store) -> None:
    opened.open()
    assert await opened.catalogues.known() == Known(BUNDLED)
    assert not (store.home / "catalogues").exists()


async def test_a_file_is_read_again_when_it_has_changed_and_only_then(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(_content("one"))
    opened.open(str(path))
    assert await opened.look() == (["one"], ())
    assert await opened.catalogues.known() is await opened.catalogues.known()
    path.write_text(_content("one", "two"))
    assert await opened.look() == (["one", "two"], ())


@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "unreadable", "no JSON", "too large"])
async def test_a_file_that_can_not_be_used_is_left_out_with_the_reason(
    opened: Opened, tmp_path: Path, what: str
) -> None:
    path, good = tmp_path / "own.json", tmp_path / "good.json"
    good.write_text(_content("good"))
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "unreadable":
            path.symlink_to(path)
        case "no JSON":
            path.write_text("x\x1b[2J")
        case "too large":
            path.write_text(" " * catalogue_form.MOST_BYTES + _content("one"))
    opened.open(str(path), str(good))
    names, (note,) = await opened.look()
    assert names == ["good"]
    assert note.startswith("a catalogue is left out: ")
    assert str(path) in note
    assert note.isprintable()


async def test_a_name_of_an_earlier_catalogue_is_not_taken_over(opened: Opened, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(_content("django", "ours"))
    second.write_text(_content("ours", "theirs", description="Theirs"))
    opened.open(str(first), str(second))
    names, notes = await opened.look()
    assert names == ["ours", "theirs"]
    known = {entry.name: entry for entry in (await opened.catalogues.known()).entries}
    assert known["django"].catalogue == "bundled"
    assert known["ours"].description == "Ours"
    assert notes == (
        f"`django` of `{first}` is left out: `bundled` has that name",
        f"`ours` of `{second}` is left out: `{first}` has that name",
    )
    first.write_text(_content(*(entry.name for entry in BUNDLED)))
    assert len((await opened.look())[1]) == 6  # five, and that there are more


async def test_what_an_address_gave_is_kept_until_it_expires(opened: Opened, server: Server) -> None:
    path = server.folder / "catalogue.json"
    path.write_text(_content("far"))
    origin = f"{server.url}/dumb/catalogue.json"
    opened.open(origin)
    assert await opened.look() == (["far"], ())
    path.write_text(_content("farther"))
    asked = len(server.paths)
    assert await opened.look() == (["far"], ())
    opened.open(origin)  # another process of the home
    assert await opened.look() == (["far"], ())
    assert len(server.paths) == asked
    long_ago = time.time() - 86_500
    os.utime(opened.kept(origin), (long_ago, long_ago))
    assert await opened.look() == (["farther"], ())


async def test_callers_at_once_ask_once(opened: Opened, server: Server) -> None:
    (server.folder / "catalogue.json").write_text(_content("far"))
    opened.open(f"{server.url}/dumb/catalogue.json")
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(opened.look)
    assert len(server.paths) == 2  # where it leads to, and what it holds


async def test_what_is_old_is_told_where_nothing_newer_can_be_had(opened: Opened, server: Server) -> None:
    path = server.folder / "catalogue.json"
    path.write_text(_content("far"))
    origin = f"{server.url}/dumb/catalogue.json"
    opened.open(origin)
    await opened.look()
    path.unlink()
    os.utime(opened.kept(origin), (1_800_000_000, 1_700_000_000))
    names, (note,) = await opened.look()
    assert names == ["far"]
    assert "2023-11-14 22:13 UTC" in note
    assert "the host answers 404" in note
    asked = len(server.paths)
    assert (await opened.look())[0] == ["far"]
    assert len(server.paths) == asked  # not at once again


async def test_a_server_gives_what_is_old_at_once_and_fetches_meanwhile(opened: Opened, server: Server) -> None:
    path = server.folder / "catalogue.json"
    path.write_text(_content("far"))
    origin = f"{server.url}/dumb/catalogue.json"
    opened.open(origin, serves=True)
    assert (await opened.look())[0] == ["far"]
    path.write_text(_content("farther"))
    os.utime(opened.kept(origin), (1_700_000_000, 1_700_000_000))
    assert (await opened.look())[0] == ["far"]
    with anyio.fail_after(30):
        while (await opened.look())[0] != ["farther"]:  # noqa: ASYNC110 - nobody else tells when it is there
            await anyio.sleep(0.01)


async def test_a_server_keeps_nobody_waiting_again_for_what_could_not_be_had(
    opened: Opened, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, origin = server.folder / "catalogue.json", f"{server.url}/dumb/catalogue.json"
    opened.open(origin, serves=True)
    assert "the host answers 404" in (await opened.look())[1][0]
    path.write_text(_content("far"))
    asked = len(server.paths)
    assert "the host answers 404" in (await opened.look())[1][0]
    assert len(server.paths) == asked
    monkeypatch.setattr(catalogues, "AGAIN_SECONDS", 0.0)
    assert (await opened.look())[0] == []
    with anyio.fail_after(30):
        while await opened.look() != (["far"], ()):  # noqa: ASYNC110 - nobody else tells when it is there
            await anyio.sleep(0.01)


async def test_a_home_that_takes_no_file_is_told_and_hinders_nothing(
    opened: Opened, server: Server, store: Store, tmp_path: Path
) -> None:
    (server.folder / "catalogue.json").write_text(_content("far"))
    (tmp_path / "own.json").write_text(_content("one"))
    (store.home / "catalogues").write_text("in the way")
    opened.open(f"{server.url}/dumb/catalogue.json", str(tmp_path / "own.json"))
    names, (note,) = await opened.look()
    assert names == ["one"]
    assert "can't be kept" in note


async def test_offline_nothing_is_asked_and_what_is_kept_is_told(opened: Opened, server: Server) -> None:
    (server.folder / "catalogue.json").write_text(_content("far"))
    origin = f"{server.url}/dumb/catalogue.json"
    opened.open(origin, offline=True)
    names, (note,) = await opened.look()
    assert (names, server.paths) == ([], [])
    assert "nothing is offline" in note
    opened.open(origin)
    await opened.look()
    os.utime(opened.kept(origin), (1_700_000_000, 1_700_000_000))
    asked = len(server.paths)
    opened.open(origin, offline=True)
    assert (await opened.look())[0] == ["far"]
    assert len(server.paths) == asked


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing", "the host answers 404"),
        ("endless/x", f"has more than {catalogue_form.MOST_BYTES} bytes"),
        ("page/x", "can't be used"),
        ("leads/x", "not https"),
    ],
)
async def test_an_address_that_gives_no_catalogue_is_left_out_and_nothing_of_it_is_kept(
    opened: Opened, server: Server, path: str, said: str
) -> None:
    server.leads = "http://127.0.0.1/{}"
    opened.open(f"{server.url}/{path}")
    names, (note,) = await opened.look()
    assert names == []
    assert said in note
    assert not opened.kept(f"{server.url}/{path}").exists()
    server.released.set()


async def test_a_redirect_to_this_machine_is_a_strangers_word(opened: Opened, server: Server) -> None:
    server.leads = "https://localhost:1/{}"
    opened.open(f"{server.url}/leads/x")
    _, (note,) = await opened.look()
    assert "not public" in note


async def test_a_host_that_says_nothing_keeps_nobody_waiting_for_long(
    opened: Opened, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogues, "SECONDS", 0.3)
    opened.open(f"{server.url}/silent/x")
    names, (note,) = await opened.look()
    server.released.set()
    assert names == []
    assert "did not answer within 0.3 seconds" in note


async def test_a_stranger_names_no_folder_of_this_machine(opened: Opened, server: Server) -> None:
    (server.folder / "catalogue.json").write_text(_content("far", location="/etc"))
    opened.open(f"{server.url}/dumb/catalogue.json")
    names, (note,) = await opened.look()
    assert names == []
    assert "another machine may not name" in note


async def test_what_is_kept_and_spoilt_is_fetched_again(opened: Opened, server: Server) -> None:
    (server.folder / "catalogue.json").write_text(_content("far"))
    origin = f"{server.url}/dumb/catalogue.json"
    opened.open(origin)
    await opened.look()
    opened.kept(origin).write_text("spoilt")
    assert await opened.look() == (["far"], ())
    shutil.rmtree(opened.kept(origin).parent)
    assert await opened.look() == (["far"], ())


async def test_a_caller_that_leaves_leaves_nothing_behind_and_the_next_one_is_served(
    opened: Opened, server: Server
) -> None:
    opened.open(f"{server.url}/silent/x", f"{server.url}/dumb/catalogue.json")
    (server.folder / "catalogue.json").write_text(_content("far"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(opened.look)
        with anyio.fail_after(30):
            await anyio.to_thread.run_sync(server.asked.wait, 30)
        # A connection that is left while it is being made is closed by the collector alone, which pytest tells of.
        await until(opened.kept(f"{server.url}/dumb/catalogue.json").exists)
        tasks.cancel_scope.cancel()
    server.released.set()
    assert (await opened.look())[0] == ["far"]
