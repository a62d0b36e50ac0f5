"""Which secrets do all servers of one home share? One for each purpose, that only its owner reads."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.keys import BYTES, shared


def test_everybody_gets_the_same_key_of_a_home_and_another_for_another_purpose(tmp_path: Path) -> None:
    key = shared(tmp_path, "forms")
    assert len(key) == BYTES
    assert shared(tmp_path, "forms") == key
    assert len({key, shared(tmp_path, "other"), shared(tmp_path / "elsewhere", "forms")}) == 3


def test_those_who_need_it_first_at_once_all_get_the_one_that_stays(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: shared(tmp_path, "forms"), range(64)))
    assert keys == {shared(tmp_path, "forms")}
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["forms"]


def test_only_its_owner_can_read_a_key(tmp_path: Path) -> None:
    shared(tmp_path, "forms")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("keys", "keys/forms")]
    assert modes == [0o700, 0o600]


def test_a_key_that_is_damaged_is_told_with_what_to_do(tmp_path: Path) -> None:
    shared(tmp_path, "forms")
    (tmp_path / "keys" / "forms").write_bytes(b"short")
    with pytest.raises(StorageFailed) as raised:
        shared(tmp_path, "forms")
    assert str(raised.value).endswith("forms` is damaged\n\nhint: remove it, and another is made")
