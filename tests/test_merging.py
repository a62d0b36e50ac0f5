"""How a new project merges with one that is there: by links, and with what somebody writes meanwhile."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.merging import carry_over, link_tree


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_tree_is_linked_with_its_modes_links_and_empty_folders(tmp_path: Path) -> None:
    source, target = tmp_path / "project", tmp_path / "copy"
    source.mkdir()
    (source / "empty").mkdir(mode=0o750)
    (source / "file").write_text("x")
    (source / "link").symlink_to("/nowhere")
    source.chmod(0o710)
    link_tree(source, target)
    assert sorted(path.name for path in target.rglob("*")) == ["empty", "file", "link"]
    assert (target / "file").samefile(source / "file")
    assert (target / "link").readlink() == Path("/nowhere")
    assert (_mode(target), _mode(target / "empty")) == (0o710, 0o750)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a file system")
def test_what_is_mounted_inside_a_project_is_no_part_of_a_merge(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed, match="is mounted inside the project"):
        link_tree(tmp_path, small_disk / "copy")


def test_what_somebody_writes_during_a_merge_is_carried_over(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "folder").mkdir(parents=True)
    for name in ("same", "saved", "made"):
        (old / "folder" / name).write_text("before")
    link_tree(old, new)
    (new / "folder" / "made").unlink()
    (new / "folder" / "made").write_text("by the template")
    (old / "folder" / "written").write_text("meanwhile")
    (tmp_path / "saving").write_text("meanwhile")
    (tmp_path / "saving").replace(old / "folder" / "saved")
    carry_over(old, new, {"folder/made"})
    assert {path.name: path.read_text() for path in (new / "folder").iterdir()} == {
        "same": "before",
        "saved": "meanwhile",
        "made": "by the template",
        "written": "meanwhile",
    }
