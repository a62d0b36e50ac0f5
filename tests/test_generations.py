"""Which of the bases that were made for the same is used? The newest, in every process; the others are known."""

from __future__ import annotations

import pytest

from dynamo_mcp.generations import Generations
from dynamo_mcp.store import Store

pytestmark = pytest.mark.anyio

DIGEST, SECOND, THIRD = "0" * 16, "1" * 16, "2" * 16


async def test_the_first_has_its_digest_for_a_key_and_is_superseded_by_none(store: Store) -> None:
    assert Generations(store).newest(DIGEST) == DIGEST
    assert Generations(store).superseded() == set()


async def test_what_was_added_last_is_used_by_everybody(store: Store) -> None:
    other = Generations(store)
    (store.home / "bases" / DIGEST).mkdir()
    Generations(store).add(DIGEST, SECOND)
    assert other.newest(DIGEST) == SECOND
    assert other.superseded() == {DIGEST}
    assert other.newest(THIRD) == THIRD


async def test_what_is_gone_with_all_its_clones_is_forgotten(store: Store) -> None:
    generations = Generations(store)
    generations.add(DIGEST, SECOND)
    assert generations.superseded() == set()
    (store.home / "venvs" / f"web-{SECOND}").mkdir()
    generations.add(DIGEST, THIRD)
    assert generations.keys(DIGEST) == [SECOND, THIRD]


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"../../elsewhere\n", b"a b c"])
async def test_a_damaged_list_is_none(store: Store, content: bytes) -> None:
    (store.home / "requirements" / f"{DIGEST}.keys").write_bytes(content)
    assert Generations(store).keys(DIGEST) == [DIGEST]
