"""How do things appear all at once? Whole or not at all, also when the server is killed in the middle."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import anyio
import msgspec
import pytest

from child import SECONDS, UNPRIVILEGED, python, run_python
from dynamo_mcp.errors import Busy, StorageFailed
from dynamo_mcp.store import FOLDERS, HIDDEN, Store, open_store, sweep

pytestmark = pytest.mark.anyio

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a file system")

SERVER = """
import sys, pathlib, anyio
from dynamo_mcp.store import open_store

async def main():
    async with open_store(pathlib.Path(sys.argv[1]), lock_seconds=20) as store:
        print(store.scratch, flush=True)
        for command in sys.stdin:
            exec(command)
            print("done", flush=True)

anyio.run(main)
"""
"""A server of a home, which runs the lines that it is told."""

KILLED_AT_RENAME = """
import os, pathlib, signal, sys, anyio
from dynamo_mcp.store import open_store

left = int(sys.argv[3])

def die(event, arguments):
    global left
    if event == "os.rename":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    home, target = map(pathlib.Path, sys.argv[1:3])
    async with open_store(home, lock_seconds=20) as store:
        if sys.argv[4] == "write":
            sys.addaudithook(die)
            store.write(target, b"new" * 1000)
        async with store.staged(beside=target.parent) as staged:
            staged.mkdir()
            (staged / "file").write_text("new")
            sys.addaudithook(die)
            getattr(store, sys.argv[4])(staged, target)

anyio.run(main)
"""
"""A server that is killed just before its nth rename."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _dead_scratch(home: Path, name: str = "d" * 32) -> Path:
    scratch = home / "scratch" / name
    scratch.mkdir(parents=True)
    (home / "locks").mkdir(exist_ok=True)
    return scratch


def _journal(scratch: Path, *entries: dict[str, str]) -> None:
    (scratch / "journal").write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries))


class TestOpening:
    async def test_a_home_has_all_its_folders(self, home: Path) -> None:
        async with open_store(home, lock_seconds=1):
            assert set(FOLDERS) <= _everything(home)

    async def test_nothing_of_a_server_is_left_when_it_ends(self, home: Path) -> None:
        async with open_store(home, lock_seconds=1) as store:
            (store.scratch / "folder").mkdir()
        assert _everything(home) == set(FOLDERS)

    async def test_a_home_that_is_a_file_is_told(self, home: Path) -> None:
        home.write_text("")
        with pytest.raises(StorageFailed, match=re.escape(f"Can't use the home folder at `{home}`")):
            async with open_store(home, lock_seconds=1):
                pass

    def test_a_home_that_can_not_be_written_is_told_with_what_to_do(self) -> None:
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            Path(folder).chmod(0o755)
            ended = run_python(
                f"""
                import sys, pathlib, anyio
                from dynamo_mcp.errors import StorageFailed
                from dynamo_mcp.store import open_store
                anyio.run(anyio.sleep, 0)
                {UNPRIVILEGED.replace(chr(10), chr(10) + " " * 16)}
                async def main():
                    try:
                        async with open_store(pathlib.Path(sys.argv[1]) / "home", lock_seconds=1):
                            print("opened")
                    except StorageFailed as error:
                        print(error)
                anyio.run(main)
                """,
                folder,
            )
        if os.getuid() == 0:
            assert f"Can't use the home folder at `{folder}/home`: Permission denied" in ended.stdout, ended.stderr
            assert (
                "hint: see that this folder can be made and written, or choose another with `DYNAMO_MCP_HOME`"
                in ended.stdout
            )


class TestStaging:
    async def test_what_is_staged_and_not_published_is_removed(self, store: Store) -> None:
        async with store.staged() as staged:
            staged.mkdir()
            (staged / "file").touch()
        assert list(store.scratch.iterdir()) == []

    async def test_what_is_staged_is_removed_on_an_error(self, store: Store) -> None:
        async def work() -> None:
            async with store.staged() as staged:
                staged.mkdir()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await work()
        assert list(store.scratch.iterdir()) == []

    async def test_what_is_staged_is_removed_when_the_caller_is_cancelled(self, store: Store) -> None:
        with anyio.fail_after(SECONDS), anyio.CancelScope() as scope:
            async with store.staged() as staged:
                staged.mkdir()
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert list(store.scratch.iterdir()) == []

    async def test_what_is_staged_and_never_made_is_no_problem(self, store: Store) -> None:
        async with store.staged() as staged:
            assert not staged.exists()

    async def test_what_is_published_stays(self, store: Store, tmp_path: Path) -> None:
        async with store.staged() as staged:
            staged.mkdir()
            (staged / "file").write_text("x")
            store.publish(staged, tmp_path / "target")
        assert (tmp_path / "target" / "file").read_text() == "x"

    @pytest.mark.parametrize("kind", ["folder", "full folder", "file", "link to nothing"])
    async def test_nothing_is_published_over_what_is_there(self, kind: str, store: Store, tmp_path: Path) -> None:
        target = tmp_path / "target"
        if kind == "file":
            target.write_text("mine")
        elif kind == "link to nothing":
            target.symlink_to("nowhere")
        else:
            target.mkdir()
        if kind == "full folder":
            (target / "file").write_text("mine")
        before = target.lstat()
        async with store.staged() as staged:
            staged.mkdir()
            with pytest.raises(FileExistsError, match=re.escape(str(target))):
                store.publish(staged, target)
        assert target.lstat() == before

    async def test_what_can_not_be_published_is_told_in_words(self, store: Store, tmp_path: Path) -> None:
        async with store.staged() as staged:
            staged.mkdir()
            with pytest.raises(StorageFailed, match="Can't publish at"):
                store.publish(staged, tmp_path / "missing" / "target")

    @needs_root
    async def test_a_folder_for_another_file_system_is_staged_beside_its_target_and_journalled_first(
        self, store: Store, small_disk: Path
    ) -> None:
        async with store.staged(beside=small_disk) as staged:
            assert staged.parent == small_disk
            assert staged.name.startswith(HIDDEN)
            assert [str(staged) in path.read_text() for path in store.scratch.iterdir()] == [True]
            staged.mkdir()
            store.publish(staged, small_disk / "target")
        assert _everything(small_disk) == {"target"}

    @pytest.mark.parametrize("published", [False, True])
    async def test_what_is_no_longer_beside_its_target_is_no_longer_in_the_journal(
        self, published: bool, store: Store, tmp_path: Path
    ) -> None:
        async with store.staged(beside=tmp_path) as staged:
            staged.mkdir()
            if published:
                store.publish(staged, tmp_path / "target")
        assert list(store.scratch.iterdir()) == []

    @needs_root
    async def test_what_can_not_be_removed_stays_in_the_journal(self, store: Store, tmp_path: Path) -> None:
        async with store.staged(beside=tmp_path) as staged:
            staged.mkdir()
            await anyio.run_process(["mount", "-t", "tmpfs", "none", str(staged)])
        try:
            assert [str(staged) in path.read_text() for path in store.scratch.iterdir()] == [True]
        finally:
            await anyio.run_process(["umount", str(staged)])

    @needs_root
    async def test_what_is_staged_on_another_file_system_is_removed_too(self, store: Store, small_disk: Path) -> None:
        async with store.staged(beside=small_disk) as staged:
            staged.mkdir()
        assert _everything(small_disk) == set()

    async def test_a_folder_that_is_gone_is_told_in_words(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(StorageFailed, match="gone"):
            async with store.staged(beside=tmp_path / "gone"):
                pass


class TestSwapping:
    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        target = tmp_path / "projects" / "target"
        target.mkdir(parents=True)
        (target / "file").write_text("old")
        return target

    async def test_the_new_is_in_the_place_of_the_old_and_nothing_else_is_left(
        self, store: Store, target: Path
    ) -> None:
        async with store.staged() as staged:
            staged.mkdir()
            (staged / "file").write_text("new")
            store.swap(staged, target)
        assert (target / "file").read_text() == "new"
        assert _everything(target.parent) == {"target", "target/file"}

    async def test_what_can_not_be_swapped_leaves_the_old_as_it_was(self, store: Store, target: Path) -> None:
        with pytest.raises(StorageFailed, match="Can't replace"):
            store.swap(store.scratch / "never made", target)
        assert (target / "file").read_text() == "old"
        assert _everything(target.parent) == {"target", "target/file"}

    async def test_a_server_killed_in_the_middle_of_a_swap_loses_nothing(self, home: Path, target: Path) -> None:
        ended = run_python(KILLED_AT_RENAME, home, target, "1", "swap")
        assert ended.returncode == -9, ended.stderr
        assert target.exists()
        async with open_store(home, lock_seconds=1):
            assert (target / "file").read_text() == "old"
            assert _everything(target.parent) == {"target", "target/file"}
        assert _everything(home) == set(FOLDERS)

    async def test_a_server_killed_just_after_a_swap_leaves_the_new(self, home: Path, target: Path) -> None:
        scratch = _dead_scratch(home)
        old = target.with_name(f"{HIDDEN}1")
        old.mkdir()
        _journal(scratch, {"path": str(old), "restores": str(target)})
        sweep(home)
        assert (target / "file").read_text() == "old"
        assert not old.exists()

    async def test_a_folder_whose_name_is_not_utf8_can_be_swapped_or_is_told_in_words(
        self, store: Store, tmp_path: Path
    ) -> None:
        target = tmp_path / os.fsdecode(b"caf\xe9") / "project"
        target.mkdir(parents=True)
        async with store.staged() as staged:
            staged.mkdir()
            (staged / "file").write_text("new")
            try:
                store.swap(staged, target)
            except StorageFailed:
                return
        assert (target / "file").read_text() == "new"


class TestKilling:
    @pytest.mark.parametrize("disk", ["same", pytest.param("other", marks=needs_root)])
    def test_a_server_killed_before_it_published_leaves_nothing(
        self, disk: str, home: Path, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        folder: Path = tmp_path if disk == "same" else request.getfixturevalue("small_disk")
        ended = run_python(KILLED_AT_RENAME, home, folder / "target", "1", "publish")
        assert ended.returncode == -9, ended.stderr
        assert not (folder / "target").exists()
        sweep(home)
        assert _everything(home) == set(FOLDERS)
        assert disk == "same" or _everything(folder) == set()

    def test_a_server_killed_while_it_wrote_a_record_leaves_the_old_one(self, home: Path) -> None:
        record = home / "templates" / "web.json"
        record.parent.mkdir(parents=True)
        record.write_text("old")
        ended = run_python(KILLED_AT_RENAME, home, record, "1", "write")
        assert ended.returncode == -9, ended.stderr
        sweep(home)
        assert record.read_text() == "old"
        assert _everything(home) == {*FOLDERS, "templates/web.json"}


class TestSweeping:
    async def test_what_a_living_server_holds_stays(self, home: Path) -> None:
        async with python(SERVER, home) as server:
            scratch = Path((await server.line()).strip())
            assert sweep(home) == []
            assert scratch.is_dir()
            assert await server.end() == 0
        assert not scratch.exists()

    async def test_what_a_killed_server_held_is_removed_by_the_next(self, home: Path) -> None:
        async with python(SERVER, home) as server:
            scratch = Path((await server.line()).strip())
            (scratch / "half" / "made").mkdir(parents=True)
            await server.kill()
        async with open_store(home, lock_seconds=1) as store:
            assert not scratch.exists()
            assert list((home / "scratch").iterdir()) == [store.scratch]
        assert _everything(home) == set(FOLDERS)

    def test_the_names_of_what_was_removed_are_returned(self, home: Path) -> None:
        _dead_scratch(home, "a" * 32)
        _dead_scratch(home, "b" * 32)
        assert sweep(home) == ["a" * 32, "b" * 32]
        assert sweep(home) == []

    async def test_two_servers_that_open_one_home_at_once_both_work(self, home: Path) -> None:
        for number in range(20):
            _dead_scratch(home, f"{number:032}")
        async with python(SERVER, home) as one, python(SERVER, home) as other:
            scratches = {(await one.line()).strip(), (await other.line()).strip()}
            assert {str(path) for path in (home / "scratch").iterdir()} == scratches
            assert (await one.end(), await other.end()) == (0, 0)

    def test_a_hidden_sibling_that_the_journal_names_is_removed(self, home: Path, tmp_path: Path) -> None:
        sibling = tmp_path / f"{HIDDEN}1"
        (sibling / "folder").mkdir(parents=True)
        _journal(_dead_scratch(home), {"path": str(sibling)})
        sweep(home)
        assert not sibling.exists()

    @pytest.mark.parametrize("name", ["project", ".git", f"x{HIDDEN}", f"{HIDDEN}1/..", f"{HIDDEN}1/inner", "."])
    @pytest.mark.parametrize("restores", [False, True])
    def test_a_journal_line_that_names_something_else_is_never_followed(
        self, name: str, restores: bool, home: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "projects"
        (folder / f"{HIDDEN}1" / "inner").mkdir(parents=True)
        (folder / name).mkdir(exist_ok=True)
        before = _everything(folder)
        entry = {"path": f"{folder}/{name}"} | ({"restores": f"{folder}/elsewhere"} if restores else {})
        _journal(_dead_scratch(home), entry)
        sweep(home)
        assert _everything(folder) == before

    def test_a_hidden_folder_becomes_again_only_what_lies_beside_it(self, home: Path, tmp_path: Path) -> None:
        hidden = tmp_path / "projects" / f"{HIDDEN}1"
        hidden.mkdir(parents=True)
        _journal(_dead_scratch(home), {"path": str(hidden), "restores": str(tmp_path / "elsewhere")})
        sweep(home)
        assert not (tmp_path / "elsewhere").exists()

    @pytest.mark.parametrize(
        "line",
        [b'{"path": "/tmp/.dynamo', b"", b"\x00\x00\x00\x00", b'{"path": "\xff"}', b'{"path": 5}', b"[]", b"\xff"],
    )
    def test_a_line_that_a_dying_server_did_not_finish_does_not_stop_the_sweep(
        self, line: bytes, home: Path, tmp_path: Path
    ) -> None:
        sibling = tmp_path / f"{HIDDEN}1"
        sibling.mkdir()
        scratch = _dead_scratch(home)
        (scratch / "journal").write_bytes(line + b"\n" + msgspec.json.encode({"path": str(sibling)}) + b"\n")
        sweep(home)
        assert not sibling.exists()
        assert not scratch.exists()

    def test_a_file_that_strayed_into_scratch_does_not_stop_the_sweep(self, home: Path) -> None:
        _dead_scratch(home)
        (home / "scratch" / "stray").touch()
        sweep(home)
        assert list((home / "scratch").iterdir()) == []


class TestDiscarding:
    async def test_what_is_discarded_is_gone_at_once_and_from_the_disk(self, store: Store) -> None:
        venv = store.home / "venvs" / "web"
        (venv / "lib").mkdir(parents=True)
        await store.discard(venv)
        assert not venv.exists()
        assert list(store.scratch.iterdir()) == []

    async def test_what_is_not_there_can_be_discarded(self, store: Store) -> None:
        await store.discard(store.home / "venvs" / "missing")


class TestWriting:
    async def test_a_record_is_written_over_the_old_one(self, store: Store) -> None:
        record = store.home / "templates" / "web.json"
        store.write(record, b"old")
        store.write(record, b"new")
        assert record.read_bytes() == b"new"
        assert list(store.scratch.iterdir()) == []

    async def test_a_record_that_can_not_be_written_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(StorageFailed, match="Can't write at"):
            store.write(store.home / "missing" / "web.json", b"new")
        assert list(store.scratch.iterdir()) == []

    @needs_root
    async def test_a_full_disk_is_told_and_the_old_record_stays(self, small_disk: Path) -> None:
        home = small_disk / "home"
        async with open_store(home, lock_seconds=1) as store:
            record = home / "templates" / "web.json"
            store.write(record, b"old")
            with pytest.raises(StorageFailed) as caught:
                store.write(record, b"new" * 100_000)
            assert "No space left on device" in caught.value.message
            assert "free some space" in caught.value.hint
            assert record.read_bytes() == b"old"
            assert list(store.scratch.iterdir()) == []

    @needs_root
    async def test_a_full_disk_is_told_when_something_is_to_be_staged_or_swapped(
        self, store: Store, small_disk: Path
    ) -> None:
        async with open_store(small_disk / "home", lock_seconds=1) as full:
            with pytest.raises(OSError, match="No space"):
                (small_disk / "filler").write_bytes(bytes(1 << 20))
            with pytest.raises(StorageFailed, match="No space left on device"):
                async with full.staged(beside=store.home):
                    pass


class TestLocking:
    async def test_a_lock_that_another_process_holds_for_too_long_is_told(self, home: Path) -> None:
        holder = SERVER.replace(
            "        for command in sys.stdin:\n",
            "        async with store.lock('base-x'):\n"
            "            print('held', flush=True)\n"
            "            sys.stdin.readline()\n"
            "        print('released', flush=True)\n"
            "        for command in sys.stdin:\n",
        )
        async with python(holder, home) as server, open_store(home, lock_seconds=0.2) as store:
            await server.line()
            assert await server.line() == "held"
            with anyio.fail_after(SECONDS), pytest.raises(Busy, match=r"`base-x` for more than 0\.2 seconds"):
                async with store.lock("base-x"):
                    pass
            async with store.lock("base-y"):
                pass
            await server.tell()
            assert await server.line() == "released"
            async with store.lock("base-x"):
                pass
            assert await server.end() == 0

    async def test_a_lock_that_another_task_holds_is_waited_for(self, store: Store) -> None:
        order: list[str] = []
        held = anyio.Event()

        async def first() -> None:
            async with store.lock("x"):
                held.set()
                await anyio.lowlevel.checkpoint()
                order.append("first")

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first)
                await held.wait()
                async with store.lock("x"):
                    order.append("second")
        assert order == ["first", "second"]

    async def test_a_lock_is_free_again_after_an_error_and_a_cancel(self, store: Store) -> None:
        async def fail() -> None:
            async with store.lock("x"):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        with anyio.CancelScope() as scope:
            async with store.lock("x"):
                scope.cancel()
                await anyio.sleep_forever()
        with anyio.fail_after(SECONDS):
            async with store.lock("x"):
                pass

    async def test_a_lock_whose_holder_was_killed_is_free(self, home: Path) -> None:
        holder = SERVER.replace(
            "        for command",
            "        held = store.lock('x')\n        await held.__aenter__()\n        for command",
        )
        async with python(holder, home) as server, open_store(home, lock_seconds=SECONDS) as store:
            await server.line()
            await server.tell("pass")
            await server.line()
            with anyio.move_on_after(0.1):
                async with store.lock("x"):
                    pytest.fail("the lock is not held")
            await server.kill()
            with anyio.fail_after(SECONDS):
                async with store.lock("x"):
                    pass
