"""Who has to be told what changed? Whoever listens, at once, whichever process changed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest

from child import python
from conftest import Listener
from dynamo_mcp.news import News
from dynamo_mcp.registry import Registry
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location, Template

pytestmark = pytest.mark.anyio

SOON = 4.0
"""Seconds within which whoever listens must have been told, on a busy machine too."""

WRITER = """
import pathlib, sys
for line in sys.stdin:
    source, target = line.split()
    pathlib.Path(source).rename(target)
    print("done", flush=True)
"""


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)


@pytest.fixture
def live(tmp_path: Path) -> Template:
    folder = tmp_path / "live"
    folder.mkdir()
    (folder / "cookiecutter.json").write_text('{"first": "x"}')
    return _template("live", folder, live=True)


def _template(name: str, path: Path = Path("/nowhere"), *, live: bool = False) -> Template:
    location = Location("local", str(path), live=live)
    return Template(name, "words", location, path, path, "0" * 64, "2026-01-01T00:00:00Z")


def _news(registry: Registry, store: Store) -> News:
    return News(registry, store.home / "templates")


async def _told(found: AsyncIterator[frozenset[str]]) -> set[str]:
    with anyio.fail_after(SOON):
        return set(await anext(found))


async def _settled(found: AsyncIterator[frozenset[str]], registry: Registry) -> None:
    """Return when the watcher watches: what it tells of a probe proves it."""
    registry.save(_template("probe"))
    assert await _told(found) == {"probe"}


async def test_a_template_that_another_process_adds_is_told(registry: Registry, store: Store, tmp_path: Path) -> None:
    record = msgspec.json.encode(_template("web"), enc_hook=str)
    (tmp_path / "record").write_bytes(record)
    async with python(WRITER) as writer, _news(registry, store).open() as found:
        await _settled(found, registry)
        await writer.tell(f"{tmp_path}/record {store.home}/templates/web.json")
        assert await writer.line() == "done"
        assert await _told(found) == {"web"}


async def test_a_template_that_is_changed_is_told(registry: Registry, store: Store) -> None:
    registry.save(_template("web"))
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        registry.save(msgspec.structs.replace(_template("web"), description="other words"))
        assert await _told(found) == {"web"}


async def test_a_template_that_is_removed_is_told(registry: Registry, store: Store) -> None:
    registry.save(_template("web"))
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        registry.delete("web")
        assert await _told(found) == {"web"}


async def test_an_edit_of_a_live_template_s_questions_is_told(registry: Registry, store: Store, live: Template) -> None:
    registry.save(live)
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        (live.path / "cookiecutter.json").write_text('{"first": "x", "second": "y"}')
        assert await _told(found) == {"live"}


async def test_an_edit_of_a_template_that_became_live_meanwhile_is_told(
    registry: Registry, store: Store, live: Template
) -> None:
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        registry.save(live)
        assert await _told(found) == {"live"}
        (live.path / "cookiecutter.json").write_text('{"second": "y"}')
        assert await _told(found) == {"live"}


async def test_a_live_template_whose_folder_goes_and_comes_back_is_told_both_times(
    registry: Registry, store: Store, live: Template
) -> None:
    registry.save(live)
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        live.path.rename(live.path.with_name("aside"))
        assert await _told(found) == {"live"}
        live.path.with_name("aside").rename(live.path)
        assert await _told(found) == {"live"}
        (live.path / "cookiecutter.json").write_text('{"second": "y"}')
        assert await _told(found) == {"live"}


async def test_what_is_no_question_of_a_live_template_is_not_told(
    registry: Registry, store: Store, live: Template
) -> None:
    registry.save(live)
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        (live.path / "README.md").write_text("x")
        (store.home / "templates" / "notes.txt").write_text("x")
        (store.home / "templates" / "broken.json").write_text("{")
        registry.save(_template("web"))
        assert await _told(found) == {"web"}


async def test_what_was_registered_before_is_not_told(registry: Registry, store: Store) -> None:
    registry.save(_template("before"))
    async with _news(registry, store).open() as found:
        registry.save(_template("after"))
        assert await _told(found) == {"after"}


async def test_what_changed_between_the_beginning_and_the_watching_is_told(registry: Registry, store: Store) -> None:
    news = _news(registry, store)
    registry.save(_template("between"))
    async with news.open() as found:
        assert await _told(found) == {"between"}


async def test_of_many_records_those_are_looked_at_that_have_changed(
    registry: Registry, store: Store, audited: list[Listener]
) -> None:
    for name in ("a", "b", "c"):
        registry.save(_template(name))
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        looked: list[str] = []
        audited.append(lambda event, _arguments: looked.append(event) if event == "os.scandir" else None)
        for attempt in range(20):
            looked.clear()
            registry.save(msgspec.structs.replace(_template("b"), description=str(attempt)))
            assert await _told(found) == {"b"}
            if not looked:  # it was not time to look at all again
                break
        assert not looked


async def test_what_the_watcher_does_not_tell_is_told_all_the_same_while_others_change(
    registry: Registry, store: Store, live: Template
) -> None:
    registry.save(live)
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        live.path.rename(live.path.with_name("aside"))  # of which no file of a watched folder tells
        told: set[str] = set()
        with anyio.fail_after(SOON):
            while "live" not in told:
                registry.save(msgspec.structs.replace(_template("web"), description=str(len(told))))
                registry.delete("web")
                told |= await _told(found)


async def test_a_record_that_can_not_be_read_does_not_end_the_news(registry: Registry, store: Store) -> None:
    async with _news(registry, store).open() as found:
        await _settled(found, registry)
        (store.home / "templates" / "broken.json").write_bytes(b'{"name": "\xff"}')
        registry.save(_template("web"))
        assert await _told(found) == {"web"}


async def test_two_listeners_are_both_told(registry: Registry, store: Store) -> None:
    async with _news(registry, store).open() as one, _news(registry, store).open() as other:
        registry.save(_template("web"))
        assert await _told(one) == await _told(other) == {"web"}


async def test_a_listener_who_leaves_while_waiting_leaves_at_once(registry: Registry, store: Store) -> None:
    with anyio.fail_after(SOON), anyio.CancelScope() as scope:
        async with _news(registry, store).open() as found:
            await _settled(found, registry)
            scope.cancel()
            await anext(found)
    assert scope.cancelled_caught
