"""How does a tree leave the sandbox? Whole where it may, refused or left out where it may not, and through no link."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Listener
from dynamo_mcp.copying import DEPTH, REASONS, Copied, Limits, copy_tree, leave_strays
from dynamo_mcp.errors import RenderFailed
from dynamo_mcp.merging import link_tree
from dynamo_mcp.types import IfExists

PLENTY = Limits(bytes=1 << 30, entries=100_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "rendered"
    source.mkdir()
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What lies outside of every project."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    return secret


def _paths(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestADiskThatIgnoresCase:
    def test_names_that_are_one_there_are_refused_and_named(self, source: Path, target: Path) -> None:
        (source / "docs").mkdir()
        (source / "docs" / "Readme").touch()
        (source / "docs" / "README").touch()
        with pytest.raises(RenderFailed, match="`docs/README` and `docs/Readme` are one name") as caught:
            copy_tree(source, target, limits=PLENTY, one_case=True)
        assert "`output_dir`" in caught.value.hint
        assert copy_tree(source, target, limits=PLENTY, if_exists="overwrite").files == ["docs/README", "docs/Readme"]

    def test_names_that_are_two_there_are_copied(self, source: Path, target: Path) -> None:
        (source / "README").touch()
        (source / "readme.md").touch()
        assert copy_tree(source, target, limits=PLENTY, one_case=True).files == ["README", "readme.md"]


class TestWhatIsTaken:
    def test_files_and_folders_come_whole(self, source: Path, target: Path) -> None:
        (source / "a" / "b").mkdir(parents=True)
        (source / "a" / "b" / "file").write_bytes(bytes(range(256)) * 20_000)
        (source / "empty file").touch()
        copied = copy_tree(source, target, limits=PLENTY)
        assert copied.files == ["a/b/file", "empty file"]
        assert (target / "a" / "b" / "file").read_bytes() == bytes(range(256)) * 20_000
        assert (copied.bytes, copied.entries, copied.left_out, copied.kept) == (256 * 20_000, 4, [], [])

    def test_empty_folders_are_kept(self, source: Path, target: Path) -> None:
        (source / "a" / "empty").mkdir(parents=True)
        copied = copy_tree(source, target, limits=PLENTY)
        assert (target / "a" / "empty").is_dir()
        assert (copied.files, copied.empty) == ([], ["a/empty"])

    @pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o640, 0o777, 0o444])
    def test_modes_are_kept(self, mode: int, source: Path, target: Path) -> None:
        (source / "file").touch()
        (source / "file").chmod(mode)
        (source / "folder").mkdir()
        (source / "folder").chmod(mode | 0o700)
        copy_tree(source, target, limits=PLENTY)
        assert (_mode(target / "file"), _mode(target / "folder")) == (mode, mode | 0o700)

    def test_no_mode_locks_the_owner_out(self, source: Path, target: Path) -> None:
        (source / "folder").mkdir()
        (source / "folder" / "file").touch()
        (source / "folder" / "file").chmod(0o000)
        (source / "folder").chmod(0o000)
        source.chmod(0o000)
        copy_tree(source, target, limits=PLENTY)
        assert _mode(target) == _mode(target / "folder") == 0o700
        assert _mode(target / "folder" / "file") == 0o400

    @pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1755, 0o7777])
    def test_set_uid_set_gid_and_sticky_bits_are_dropped_and_told(self, mode: int, source: Path, target: Path) -> None:
        (source / "file").touch()
        (source / "file").chmod(mode)
        (source / "folder").mkdir()
        (source / "folder").chmod(mode)
        source.chmod(mode)
        copied = copy_tree(source, target, limits=PLENTY)
        assert _mode(target / "file") == _mode(target / "folder") == _mode(target) == mode & 0o777
        bits = [name for bit, name in ((0o4000, "set-uid"), (0o2000, "set-gid"), (0o1000, "sticky")) if mode & bit]
        assert copied.left_out == [
            f"{path}: it is there without its {bit} bit" for path in ("file", "folder", ".") for bit in bits
        ]

    @pytest.mark.parametrize("name", ["größe", "文件", "🎉", "-rf", "a b", "\\", "x" * 255, "é" * 127, "a'\"$`", "..."])
    def test_names_that_people_use_are_kept(self, name: str, source: Path, target: Path) -> None:
        (source / name).write_text("x")
        copied = copy_tree(source, target, limits=PLENTY)
        assert copied.files == [name]
        assert (target / name).read_text() == "x"

    def test_two_names_of_one_file_become_two_files(self, source: Path, target: Path) -> None:
        (source / "one").write_text("x")
        (source / "other").hardlink_to(source / "one")
        copy_tree(source, target, limits=PLENTY)
        assert (target / "one").stat().st_nlink == 1


class TestLinks:
    @pytest.mark.parametrize(
        ("link", "destination"),
        [
            ("link", "file"),
            ("link", "./folder//file"),
            ("link", "missing"),
            ("folder/link", "../file"),
            ("folder/deeper/link", "../../file"),
            ("folder/link", "./../folder/file"),
            ("link", "."),
            ("folder/link", ".."),
            ("link", "..."),
            ("link", "..file"),
        ],
    )
    def test_a_link_that_stays_inside_is_kept_as_it_is(
        self, link: str, destination: str, source: Path, target: Path
    ) -> None:
        (source / "folder" / "deeper").mkdir(parents=True)
        (source / link).symlink_to(destination)
        copied = copy_tree(source, target, limits=PLENTY)
        assert os.readlink(target / link) == destination  # noqa: PTH115 - as it is, not normalised
        assert copied.files == [link]
        assert copied.left_out == []

    @pytest.mark.parametrize(
        ("link", "destination"),
        [
            ("link", "/etc/passwd"),
            ("link", "//etc/passwd"),
            ("link", ".."),
            ("link", "../secret/key"),
            ("link", "./../secret/key"),
            ("folder/link", "../../secret/key"),
            ("folder/link", ".././../secret/key"),
            ("folder/link", "..//..//secret/key"),
            ("link", "folder/../../secret/key"),
            ("folder/link", "../behind/../../secret/key"),
            ("link", "behind/.."),
        ],
    )
    def test_a_link_that_may_leave_is_left_out_with_where_it_leads(
        self, link: str, destination: str, source: Path, target: Path, secret: Path
    ) -> None:
        (source / "folder").mkdir()
        (source / "behind").symlink_to("folder")
        (source / link).symlink_to(destination)
        copied = copy_tree(source, target, limits=PLENTY)
        assert not os.path.lexists(target / link)
        assert copied.left_out == [f"{link}: it is a link that leaves the project, to `{destination}`"]
        assert secret.exists()

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["l", "a/l", "a/b/l", "m", "a/m", "a/b/m"]),
                st.lists(st.sampled_from(["..", ".", "a", "b", "l", "m", ""]), min_size=1, max_size=6),
            ),
            max_size=6,
            unique_by=lambda pair: pair[0],
        )
    )
    def test_no_chain_of_links_leads_out_of_the_project(
        self, tmp_path_factory: pytest.TempPathFactory, links: list[tuple[str, list[str]]]
    ) -> None:
        folder = tmp_path_factory.mktemp("links")
        (folder / "source" / "a" / "b").mkdir(parents=True)
        for link, parts in links:
            destination = "/".join(parts).lstrip("/")
            if destination:
                (folder / "source" / link).symlink_to(destination)
        copied = copy_tree(folder / "source", folder / "target", limits=PLENTY)
        for link in copied.files:
            assert Path(os.path.realpath(folder / "target" / link)).is_relative_to(folder / "target")

    def test_a_folder_that_is_a_link_is_not_entered(self, source: Path, target: Path, secret: Path) -> None:
        (source / "folder").symlink_to(secret)
        copied = copy_tree(source, target, limits=PLENTY)
        assert _paths(target) == []
        assert len(copied.left_out) == 1


class TestStrangers:
    """What a template that still runs could do between two looks at a name."""

    def test_a_project_that_is_a_link_is_refused(self, tmp_path: Path, target: Path, secret: Path) -> None:
        (tmp_path / "rendered").symlink_to(secret)
        with pytest.raises(RenderFailed, match=r"directory|symbolic"):
            copy_tree(tmp_path / "rendered", target, limits=PLENTY)
        assert _paths(target) == []

    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_no_link_on_the_way_to_a_project_is_followed_either(
        self, depth: int, tmp_path: Path, target: Path, secret: Path
    ) -> None:
        names = ("output", "job", "project")
        (secret / Path(*names[depth + 1 :])).mkdir(parents=True, exist_ok=True)
        (secret / Path(*names[depth + 1 :]) / "key").write_text("secret")
        trusted = tmp_path / "root"
        (trusted / Path(*names[:depth])).mkdir(parents=True)
        (trusted / Path(*names[: depth + 1])).symlink_to(secret)
        project = trusted / Path(*names)
        assert (project / "key").read_text() == "secret"
        with pytest.raises(RenderFailed, match="replaced its own project folder"):
            copy_tree(project, target, limits=PLENTY, within=trusted)
        assert _paths(target) == []
        beside = [] if depth < 2 else ["../project: it is outside the project"]
        copied = Copied()
        leave_strays(project.parent, "another", copied, within=trusted)
        assert copied.left_out == beside

    def test_a_link_on_the_way_to_what_is_trusted_is_followed(self, tmp_path: Path, source: Path, target: Path) -> None:
        (source / "output" / "project").mkdir(parents=True)
        (tmp_path / "trusted").symlink_to(source)
        copy_tree(tmp_path / "trusted" / "output" / "project", target, limits=PLENTY, within=tmp_path / "trusted")
        assert target.is_dir()

    @pytest.mark.parametrize("kind", ["folder", "file"])
    def test_what_becomes_a_link_after_it_was_looked_at_is_refused(
        self, kind: str, source: Path, target: Path, secret: Path, audited: list[Listener]
    ) -> None:
        if kind == "folder":
            (source / "name").mkdir()
            (source / "name" / "key").write_text("public")
        else:
            (source / "name").write_text("public")
        swapped: list[str] = []

        def swap(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and arguments[0] == "name" and not swapped:
                swapped.append("name")
                (source / "name").rename(source.parent / "aside")
                (source / "name").symlink_to(secret if kind == "folder" else secret / "key")

        audited.append(swap)
        with pytest.raises(OSError, match=r"directory|symbolic"):
            copy_tree(source, target, limits=PLENTY)
        assert swapped
        assert all("secret" not in path.read_text() for path in target.rglob("key"))

    def test_what_becomes_a_pipe_after_it_was_looked_at_is_left_out_without_waiting(
        self, source: Path, target: Path, audited: list[Listener]
    ) -> None:
        (source / "name").write_text("public")

        def swap(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and arguments[0] == "name" and (source / "name").is_file():
                (source / "name").unlink()
                os.mkfifo(source / "name")

        audited.append(swap)
        copied = copy_tree(source, target, limits=PLENTY)
        assert copied.left_out == ["name: it changed while it was copied"]
        assert _paths(target) == []

    def test_what_vanishes_after_it_was_looked_at_is_told(
        self, source: Path, target: Path, audited: list[Listener]
    ) -> None:
        (source / "name").write_text("public")

        def vanish(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and arguments[0] == "name":
                (source / "name").unlink(missing_ok=True)

        audited.append(vanish)
        with pytest.raises(FileNotFoundError):
            copy_tree(source, target, limits=PLENTY)


class TestWhatIsLeftOut:
    def _make_socket(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            # Bound by a short name: a socket's path may have 108 bytes.
            here = os.open(path.parent, os.O_RDONLY)
            made.bind(f"/proc/self/fd/{here}/{path.name}")
            os.close(here)

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda _self, path: os.mkfifo(path), id="pipe"),
            pytest.param(_make_socket, id="socket"),
            pytest.param(
                lambda _self, path: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5)),
                id="device",
                marks=pytest.mark.skipif(os.getuid() != 0, reason="only root may make a device"),
            ),
        ],
    )
    def test_what_is_no_file_folder_or_link_is_left_out(
        self, make: Callable[[object, Path], None], source: Path, target: Path
    ) -> None:
        make(self, source / "strange")
        (source / "file").touch()
        copied = copy_tree(source, target, limits=PLENTY)
        assert _paths(target) == copied.files == ["file"]
        assert copied.left_out == ["strange: it is neither a file, a folder nor a link"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            (b"a\nb", "control characters"),
            (b"a\x1b[31mb", "control characters"),
            (b"a\x7f", "control characters"),
            (b"caf\xe9", "not UTF-8"),
        ],
    )
    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_a_name_that_no_project_should_have_is_left_out_with_the_reason(
        self, name: bytes, reason: str, kind: str, source: Path, target: Path
    ) -> None:
        path = source / os.fsdecode(name)
        if kind == "file":
            path.touch()
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("x")
        copied = copy_tree(source, target, limits=PLENTY)
        assert _paths(target) == []
        assert [text for text in copied.left_out if reason in text] == copied.left_out != []

    @pytest.mark.parametrize("name", [b"a\nb", b"a\x1b[31mb", b"caf\xe9"])
    def test_what_was_left_out_is_told_in_text_that_can_be_written_and_shown(
        self, name: bytes, source: Path, target: Path
    ) -> None:
        (source / os.fsdecode(name)).mkdir()
        (source / "link").symlink_to(os.fsdecode(b"/" + name))
        for text in copy_tree(source, target, limits=PLENTY).left_out:
            text.encode()
            assert text.isprintable()

    def test_a_hundred_reasons_are_told_and_the_others_counted(self, source: Path, target: Path) -> None:
        for number in range(REASONS + 50):
            (source / f"{number:03}").symlink_to("/etc")
        copied = copy_tree(source, target, limits=PLENTY)
        assert len(copied.told) == REASONS + 1
        assert copied.told[-1] == "and 50 more"


class TestLimits:
    def test_as_many_bytes_as_are_allowed_are_copied_and_not_one_more(self, source: Path, tmp_path: Path) -> None:
        (source / "a").write_bytes(bytes(600))
        (source / "b").write_bytes(bytes(400))
        assert copy_tree(source, tmp_path / "1", limits=Limits(bytes=1000, entries=10)).bytes == 1000
        with pytest.raises(RenderFailed, match="more than 999 bytes"):
            copy_tree(source, tmp_path / "2", limits=Limits(bytes=999, entries=10))

    def test_a_file_with_a_hole_counts_as_long_as_it_is(self, source: Path, target: Path) -> None:
        with (source / "hole").open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(RenderFailed, match="bytes"):
            copy_tree(source, target, limits=Limits(bytes=1 << 20, entries=10))

    def test_as_many_entries_as_are_allowed_are_copied_and_not_one_more(self, source: Path, tmp_path: Path) -> None:
        (source / "folder").mkdir()
        (source / "folder" / "file").touch()
        (source / "link").symlink_to("folder")
        assert copy_tree(source, tmp_path / "1", limits=Limits(bytes=10, entries=3)).entries == 3
        with pytest.raises(RenderFailed, match="more than 2 files"):
            copy_tree(source, tmp_path / "2", limits=Limits(bytes=10, entries=2))

    def test_what_is_left_out_counts_too(self, source: Path, target: Path) -> None:
        for number in range(3):
            (source / f"{number}").symlink_to("/etc")
        with pytest.raises(RenderFailed, match="more than 2 files"):
            copy_tree(source, target, limits=Limits(bytes=10, entries=2))

    @pytest.mark.parametrize("depth", [DEPTH, DEPTH + 1])
    def test_a_project_is_nested_as_deeply_as_is_allowed_and_no_deeper(
        self, depth: int, source: Path, target: Path
    ) -> None:
        source.joinpath(*["d"] * depth).mkdir(parents=True)
        if depth > DEPTH:
            with pytest.raises(RenderFailed, match="nested more than"):
                copy_tree(source, target, limits=PLENTY)
        else:
            copy_tree(source, target, limits=PLENTY)
            assert target.joinpath(*["d"] * depth).is_dir()


class TestMerging:
    @pytest.fixture
    def existing(self, target: Path) -> Path:
        (target / "folder").mkdir(parents=True)
        (target / "folder" / "mine").write_text("mine")
        (target / "shared").write_text("mine")
        return target

    @pytest.fixture(autouse=True)
    def _rendered(self, source: Path) -> None:
        (source / "folder").mkdir()
        (source / "folder" / "new").write_text("new")
        (source / "shared").write_text("new")

    def test_skip_keeps_what_is_there_and_adds_what_is_not(self, source: Path, existing: Path) -> None:
        copied = copy_tree(source, existing, limits=PLENTY, if_exists="skip")
        assert (existing / "shared").read_text() == "mine"
        assert (copied.files, copied.kept) == (["folder/new"], ["shared"])
        assert _paths(existing) == ["folder", "folder/mine", "folder/new", "shared"]

    def test_overwrite_replaces_what_the_template_makes_and_nothing_else(self, source: Path, existing: Path) -> None:
        copied = copy_tree(source, existing, limits=PLENTY, if_exists="overwrite")
        assert (existing / "shared").read_text() == "new"
        assert (existing / "folder" / "mine").read_text() == "mine"
        assert (copied.files, copied.kept) == (["folder/new", "shared"], [])

    def test_error_copies_into_nothing_that_exists(self, source: Path, existing: Path) -> None:
        with pytest.raises(FileExistsError):
            copy_tree(source, existing, limits=PLENTY)
        assert (existing / "shared").read_text() == "mine"

    @pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
    def test_a_link_that_is_there_is_not_written_through(
        self, if_exists: IfExists, source: Path, target: Path, secret: Path
    ) -> None:
        target.mkdir()
        (target / "shared").symlink_to(secret / "key")
        (target / "folder").symlink_to(secret)
        copied = copy_tree(source, target, limits=PLENTY, if_exists=if_exists)
        assert (secret / "key").read_text() == "secret"
        assert _paths(secret) == ["key"]
        assert (target / "shared").is_symlink() == (if_exists == "skip")
        assert (target / "folder").is_symlink()
        assert copied.kept == (["folder", "shared"] if if_exists == "skip" else ["folder"])

    @pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
    def test_a_folder_of_a_person_is_never_removed_for_a_file(
        self, if_exists: IfExists, source: Path, target: Path
    ) -> None:
        (target / "shared").mkdir(parents=True)
        (target / "shared" / "mine").write_text("mine")
        copied = copy_tree(source, target, limits=PLENTY, if_exists=if_exists)
        assert (target / "shared" / "mine").read_text() == "mine"
        assert copied.kept == ["shared"]

    @pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
    def test_a_file_of_a_person_is_never_removed_for_a_folder(
        self, if_exists: IfExists, source: Path, target: Path
    ) -> None:
        target.mkdir()
        (target / "folder").write_text("mine")
        copied = copy_tree(source, target, limits=PLENTY, if_exists=if_exists)
        assert (target / "folder").read_text() == "mine"
        assert (copied.files, copied.kept) == (["shared"], ["folder"])

    def test_skip_leaves_the_modes_of_folders_that_are_there_as_they_were(self, source: Path, existing: Path) -> None:
        (existing / "folder").chmod(0o700)
        existing.chmod(0o700)
        (source / "folder").chmod(0o777)
        source.chmod(0o777)
        copy_tree(source, existing, limits=PLENTY, if_exists="skip")
        assert _mode(existing / "folder") == _mode(existing) == 0o700

    @pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
    def test_a_merge_changes_nothing_of_the_project_until_it_is_swapped_in(
        self, if_exists: IfExists, source: Path, existing: Path, tmp_path: Path
    ) -> None:
        (existing / "shared").chmod(0o600)
        merged = tmp_path / "merged"
        link_tree(existing, merged)
        copy_tree(source, merged, limits=PLENTY, if_exists=if_exists)
        assert _paths(existing) == ["folder", "folder/mine", "shared"]
        assert (existing / "shared").read_text() == "mine"
        assert _mode(existing / "shared") == 0o600


class TestDisks:
    @pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a file system")
    def test_a_full_disk_is_told_as_it_is(self, source: Path, small_disk: Path) -> None:
        (source / "file").write_bytes(bytes(1 << 20))
        with pytest.raises(OSError, match="No space left"):
            copy_tree(source, small_disk / "copy", limits=PLENTY)
