"""How is one thing on disk renamed, replaced or removed, and what is said when it can't be?"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from child import NOBODY, UNPRIVILEGED, run_python
from dynamo_mcp.disk import colliding, exchange, ignores_case, remove, rename_new, words
from dynamo_mcp.errors import StorageFailed


class TestRenaming:
    @pytest.mark.parametrize("full", [False, True])
    def test_not_even_an_empty_folder_is_renamed_over(self, full: bool, tmp_path: Path) -> None:
        (tmp_path / "staged").mkdir()
        (tmp_path / "target").mkdir()
        if full:
            (tmp_path / "target" / "theirs").touch()
        with pytest.raises(FileExistsError):
            rename_new(tmp_path / "staged", tmp_path / "target")
        assert (tmp_path / "staged").is_dir()

    def test_two_things_change_places(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("1")
        (tmp_path / "other").mkdir()
        assert exchange(tmp_path / "one", tmp_path / "other")
        assert (tmp_path / "one").is_dir()
        assert (tmp_path / "other").read_text() == "1"

    def test_what_can_not_change_places_stays(self, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("1")
        with pytest.raises(FileNotFoundError):
            exchange(tmp_path / "one", tmp_path / "other")
        assert (tmp_path / "one").read_text() == "1"


class TestRemoving:
    @pytest.fixture
    def anybody(self) -> Iterator[Path]:
        """A folder that the unprivileged user owns."""
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            if os.getuid() == 0:
                os.chown(folder, NOBODY, NOBODY)
            yield Path(folder)
            remove(Path(folder) / "top")

    @pytest.mark.parametrize("mode", [0o555, 0o500, 0o444, 0o000])
    def test_folders_without_write_bits_are_removed_by_who_owns_them(self, mode: int, anybody: Path) -> None:
        ended = run_python(
            f"""
            import sys, pathlib
            from dynamo_mcp.disk import remove
            {UNPRIVILEGED.replace(chr(10), chr(10) + " " * 12)}
            top = pathlib.Path(sys.argv[1]) / "top"
            inner = top / "outer" / "inner" / "innermost"
            inner.mkdir(parents=True)
            (inner / "file").touch()
            (inner.parent / "file").touch()
            (inner / "file").chmod(0o444)
            for folder in (inner, inner.parent, inner.parent.parent):
                folder.chmod({mode})
            remove(top)
            print(top.exists())
            """,
            anybody,
        )
        assert ended.stdout == "False\n", ended.stderr

    def test_a_link_is_removed_and_not_what_it_leads_to(self, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "file").touch()
        (tmp_path / "gone").mkdir()
        (tmp_path / "gone" / "link").symlink_to(tmp_path / "kept")
        (tmp_path / "link").symlink_to("kept")
        remove(tmp_path / "gone")
        remove(tmp_path / "link")
        assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {"kept", "kept/file"}

    def test_a_tree_that_is_deeper_than_any_path_is_removed(self, tmp_path: Path) -> None:
        # Deeper than Python calls, and than a process has descriptors.
        ended = run_python(
            """
            import os, pathlib, resource, sys
            from dynamo_mcp.disk import remove
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
            deep, new = (pathlib.Path(sys.argv[1], name) for name in ("deep", "new"))
            deep.mkdir()
            for _ in range(1_500):
                new.mkdir()
                (new / "file").touch()
                deep.rename(new / "deep")
                new.rename(deep)
            remove(deep)
            print(os.listdir(sys.argv[1]))
            """,
            tmp_path,
        )
        assert ended.stdout == "[]\n", ended.stderr

    def test_what_is_not_there_is_no_problem(self, tmp_path: Path) -> None:
        remove(tmp_path / "missing")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO])
def test_whatever_the_disk_says_is_told_with_the_path_and_what_to_do(code: int) -> None:
    with pytest.raises(StorageFailed) as caught, words("write", Path("/disk/file")):
        raise OSError(code, os.strerror(code))
    assert caught.value.message == f"Can't write at `/disk/file`: {os.strerror(code)}"
    assert caught.value.hint


class TestNames:
    def test_a_disk_of_linux_tells_names_apart_and_trying_leaves_nothing(self, tmp_path: Path) -> None:
        assert not ignores_case(tmp_path)
        assert os.listdir(tmp_path) == []

    def test_two_names_that_are_one_are_found(self) -> None:
        assert colliding(["a", "b", "A", "B"]) == ("a", "A")
        assert colliding(["straße", "STRASSE"]) == ("straße", "STRASSE")
        assert colliding(["\u00e9", "e\u0301"]) == ("\u00e9", "e\u0301")
        assert colliding(["a", "b"]) is None
