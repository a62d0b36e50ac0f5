"""How does a worker start? What is in the way is told in words, and nothing is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dynamo_mcp.confining import Confining
from dynamo_mcp.errors import Failed, StorageFailed
from dynamo_mcp.settings import load
from dynamo_mcp.starting import Starting
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.workers import Key

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "home", lock_seconds=1.0) as store:
        yield store


@pytest.fixture
def key(store: Store) -> Key:
    plain = store.home / "bases" / "plain"
    (plain / "lib" / "python3.12").mkdir(parents=True)
    return Key(plain, confined=False, live=None, template=None, full=True)


def starting(store: Store) -> Starting:
    settings = load(home=store.home)
    return Starting(settings, store, Confining(settings), store.home / "compiled")


async def test_a_disk_that_takes_nothing_is_told_in_words(store: Store, key: Key) -> None:
    store.scratch.rmdir()
    store.scratch.write_text("no folder")
    with pytest.raises(StorageFailed, match=r"Can't start a renderer at .*: Not a directory"):
        await starting(store).start(key)


async def test_a_python_that_is_gone_is_told_and_leaves_nothing(store: Store, key: Key) -> None:
    with pytest.raises(Failed, match="bin/python` can't be started: No such file or directory"):
        await starting(store).start(key)
    assert list(store.scratch.iterdir()) == []
