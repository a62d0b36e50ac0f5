"""Which templates do we know? What any process of the home has written, whole; what can't be read is left out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio
import msgspec
import pytest

from child import SECONDS, UNPRIVILEGED, python, run_python
from conftest import Listener
from dynamo_mcp.errors import Busy, InvalidName, NameTaken, TemplateNotFound
from dynamo_mcp.registry import NAMED, TRUSTED_SECONDS, Registry, check_name
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.types import Location, Template

pytestmark = pytest.mark.anyio

SCRIPT = """
import sys, pathlib, anyio
from dynamo_mcp.errors import NameTaken
from dynamo_mcp.registry import Registry
from dynamo_mcp.store import open_store
from dynamo_mcp.types import Location, Template

def template(name):
    path = pathlib.Path("/nowhere")
    return Template(name, sys.argv[2], Location("local", "/nowhere"), path, path, "0" * 64, "2026-01-01T00:00:00Z")

async def main():
    async with open_store(pathlib.Path(sys.argv[1]), lock_seconds=20) as store:
        registry = Registry(store)
        print("ready", flush=True)
        for line in sys.stdin:
            what, name = line.split()
            try:
                if what == "add":
                    async with registry.claim(name):
                        registry.save(template(name))
                elif what == "claim":
                    async with registry.claim(name):
                        print("claimed", flush=True)
                        sys.stdin.readline()
                        registry.save(template(name))
                elif what == "delete":
                    async with registry.hold(name):
                        registry.delete(name)
                print(" ".join(known.name for known in registry.all()), flush=True)
            except NameTaken:
                print("taken", flush=True)

anyio.run(main)
"""


def _template(name: str, **changes: object) -> Template:
    path = Path("/nowhere")
    made = Template(name, "words", Location("local", "/nowhere"), path, path, "0" * 64, "2026-01-01T00:00:00Z")
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)


def _names(registry: Registry) -> list[str]:
    return [template.name for template in registry.all()]


async def test_what_is_saved_is_read_back_by_another(registry: Registry, store: Store) -> None:
    saved = _template(
        "web",
        location=Location("git", "https://example.org/x", "main", "a/b"),
        path=Path("/größe/文件"),
        requirements=("a>=1",),
        trust="full",
        tags=("x",),
    )
    registry.save(saved)
    assert registry.get("web") == Registry(store).get("web") == saved


async def test_templates_are_sorted_by_name(registry: Registry) -> None:
    for name in ("b", "a.child", "a", "10", "9"):
        registry.save(_template(name))
    assert _names(registry) == sorted(["b", "a.child", "a", "10", "9"])


async def test_a_template_that_is_deleted_is_not_known_and_may_be_deleted_again(registry: Registry) -> None:
    registry.save(_template("web"))
    registry.get("web")
    registry.delete("web")
    registry.delete("web")
    assert _names(registry) == []


def _settle(registry: Registry, store: Store) -> None:
    """Have the folder of the records as it is long after a change, and looked at."""
    then = time.time_ns() - 10_000_000_001
    os.utime(store.home / "templates", ns=(then, then))
    registry.all()


class TestManyRecords:
    async def test_no_record_is_looked_at_as_long_as_none_was_put_there_or_removed(
        self, registry: Registry, store: Store, audited: list[Listener]
    ) -> None:
        for name in ("a", "b"):
            registry.save(_template(name))
        _settle(registry, store)
        looked: list[object] = []
        audited.append(lambda event, arguments: looked.append(arguments) if event == "os.scandir" else None)
        before = registry.all()
        assert all(registry.all() is before for _ in range(10))
        assert len(looked) <= 1  # it may be as old as it may be
        registry.save(_template("c"))
        assert _names(registry) == ["a", "b", "c"]
        assert looked

    async def test_each_of_many_changes_in_a_row_is_seen_at_once(self, registry: Registry, store: Store) -> None:
        other = Registry(store)  # as another process has one
        for number in range(200):
            other.save(_template("web", description=str(number)))
            assert [template.description for template in registry.all()] == [str(number)]
            other.delete("web")
            assert _names(registry) == []

    async def test_a_change_of_a_folder_that_was_settled_is_seen_at_once(
        self, registry: Registry, store: Store
    ) -> None:
        other = Registry(store)
        other.save(_template("web"))
        for description in ("one", "two"):
            _settle(registry, store)
            other.save(_template("web", description=description))
            assert [template.description for template in registry.all()] == [description]

    async def test_a_record_that_is_edited_in_place_is_seen_by_name_at_once_and_among_all_soon(
        self, registry: Registry, store: Store
    ) -> None:
        registry.save(_template("web"))
        _settle(registry, store)
        path = store.home / "templates" / "web.json"
        path.write_text(path.read_text().replace("words", "others"))
        assert registry.get("web").description == "others"
        with anyio.fail_after(TRUSTED_SECONDS + SECONDS):
            while registry.all()[0].description != "others":  # noqa: ASYNC110 - nobody is told
                await anyio.sleep(0.05)

    async def test_where_the_disk_keeps_whole_seconds_each_change_is_seen_at_once(
        self, registry: Registry, store: Store
    ) -> None:
        folder, other = store.home / "templates", Registry(store)
        now = int(time.time())
        for name in ("a", "b", "c"):
            other.save(_template(name))
            os.utime(folder, (now, now))
            assert name in _names(registry)


async def test_a_record_that_can_not_be_read_is_told_wherever_its_name_is_asked_for(
    registry: Registry, store: Store
) -> None:
    registry.save(_template("web"))
    registry.save(_template("whole"))
    record = store.home / "templates" / "web.json"
    record.write_text('{"name": "web", ')
    assert _names(registry) == ["whole"]
    assert registry.damaged() == ("web",)
    with pytest.raises(TemplateNotFound) as told:
        registry.get("web")
    assert told.value.message == f"The record of the template `web` can't be read: `{record}`"
    assert told.value.hint == "add the template again under that name, or remove it in a shell: `dynamo-mcp remove web`"
    assert [registry.is_damaged(name) for name in ("web", "whole", "neither", "../web")] == [True, False, False, False]
    async with registry.claim("web"):
        registry.save(_template("web"))
    assert not registry.is_damaged("web")
    with pytest.raises(TemplateNotFound, match="removed or mended meanwhile"):
        async with registry.hold_damaged("web"):
            pytest.fail("a whole record was held to be removed")
    assert registry.damaged() == ()
    assert registry.get("web").name == "web"


class TestNames:
    @pytest.mark.parametrize("name", ["a", "0", "web-service", "a.b_c-d", "x" * 40, "projects", "my-project", "a.json"])
    def test_a_name_may_be_this(self, name: str) -> None:
        assert check_name(name) == name

    @pytest.mark.parametrize(
        "name",
        ["", "A", "-a", ".a", "_a", "x" * 41, "a b", "a/b", "../a", "a\n", "é", "a\0", "٣", "project", "a:b", "~"],
    )
    async def test_a_name_may_not_be_this(self, name: str, registry: Registry) -> None:
        with pytest.raises(InvalidName) as caught:
            check_name(name)
        assert f"`{name}`" in caught.value.message
        with pytest.raises(InvalidName):
            async with registry.claim(name):
                pass

    @pytest.mark.parametrize("name", ["../templates/web", "/etc/passwd", "web.json", "WEB", "web\n", "\0", "x" * 5000])
    async def test_whatever_is_asked_for_is_never_a_path(self, name: str, registry: Registry) -> None:
        registry.save(_template("web"))
        with pytest.raises(TemplateNotFound):
            registry.get(name)

    async def test_a_template_that_is_not_there_is_told_with_the_nearest(self, registry: Registry) -> None:
        for name in ("web-service", "web-server", "package"):
            registry.save(_template(name))
        with pytest.raises(TemplateNotFound) as caught:
            registry.get("web-servise")
        assert caught.value.message == "There is no template `web-servise`"
        assert caught.value.hint == "did you mean `web-service` or `web-server`?"

    async def test_a_template_near_to_none_is_told_with_all(self, registry: Registry) -> None:
        registry.save(_template("web"))
        with pytest.raises(TemplateNotFound) as caught:
            registry.get("zzz")
        assert caught.value.hint == "known are `web`"

    async def test_of_many_templates_some_are_told_and_how_many_more_there_are(self, registry: Registry) -> None:
        for number in range(NAMED + 2):
            registry.save(_template(f"web{number:02}"))
        with pytest.raises(TemplateNotFound) as caught:
            registry.get("zzz")
        assert caught.value.hint.endswith("`web19` and 2 more")

    async def test_without_any_template_it_is_told_how_to_add_one(self, registry: Registry) -> None:
        with pytest.raises(TemplateNotFound) as caught:
            registry.get("web")
        assert caught.value.hint == "no template is registered yet: add one with `add_template`"


class TestBrokenRecords:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b"\xff",
            b'{"name": "\xff"}',
            b'{"name": "broken", "unknown": 1}',
            b'{"name": "broken", "description": "", "location": {"kind": "local", "address": "/"}, "path": 5}',
        ],
    )
    async def test_a_record_that_is_nonsense_is_left_out(
        self, content: bytes, registry: Registry, store: Store
    ) -> None:
        registry.save(_template("fine"))
        (store.home / "templates" / "broken.json").write_bytes(content)
        for _ in range(2):
            assert _names(registry) == ["fine"]
            with pytest.raises(TemplateNotFound):
                registry.get("broken")

    async def test_a_record_that_names_another_template_is_left_out(self, registry: Registry, store: Store) -> None:
        registry.save(_template("fine"))
        (store.home / "templates" / "fine.json").rename(store.home / "templates" / "other.json")
        assert _names(registry) == []

    async def test_a_record_whose_name_may_not_be_is_left_out(self, registry: Registry) -> None:
        registry.save(_template("Bad Name"))
        assert _names(registry) == []

    async def test_what_is_no_file_is_left_out(self, registry: Registry, store: Store) -> None:
        registry.save(_template("fine"))
        (store.home / "templates" / "folder.json").mkdir()
        (store.home / "templates" / "loop.json").symlink_to("loop.json")
        (store.home / "templates" / "notes.txt").touch()
        assert _names(registry) == ["fine"]

    async def test_a_record_that_is_mended_is_known_again(self, registry: Registry, store: Store) -> None:
        registry.save(_template("web"))
        path = store.home / "templates" / "web.json"
        whole = path.read_bytes()
        path.write_bytes(whole[:-10])
        assert _names(registry) == []
        path.write_bytes(whole)
        assert _names(registry) == ["web"]

    async def test_a_broken_record_may_be_replaced_by_adding_it_again(self, registry: Registry, store: Store) -> None:
        (store.home / "templates" / "web.json").write_text("{")
        async with registry.claim("web"):
            registry.save(_template("web"))
        assert _names(registry) == ["web"]

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can make a record that another may not read")
    def test_a_record_that_may_not_be_read_is_left_out(self) -> None:
        ended = run_python(
            f"""
            import os, pathlib, tempfile, anyio
            from dynamo_mcp.registry import Registry
            from dynamo_mcp.store import open_store
            anyio.run(anyio.sleep, 0)
            {UNPRIVILEGED.replace(chr(10), chr(10) + " " * 12)}
            async def main():
                with tempfile.TemporaryDirectory(dir="/tmp") as folder:
                    async with open_store(pathlib.Path(folder), lock_seconds=1) as store:
                        path = store.home / "templates" / "web.json"
                        path.touch(mode=0)
                        print(Registry(store).all())
            anyio.run(main)
            """
        )
        assert ended.stdout == "()\n", ended.stderr


class TestTwoProcesses:
    async def test_what_another_process_adds_and_removes_is_seen_at_once(self, tmp_path: Path) -> None:
        async with open_store(tmp_path, lock_seconds=SECONDS) as store, python(SCRIPT, tmp_path, "other") as other:
            registry = Registry(store)
            assert await other.line() == "ready"
            assert _names(registry) == []
            await other.tell("add web")
            assert await other.line() == "web"
            assert registry.get("web").description == "other"
            registry.save(_template("web", description="mine"))
            assert registry.get("web").description == "mine"
            await other.tell("delete web")
            await other.line()
            assert _names(registry) == []
            assert await other.end() == 0

    async def test_of_two_processes_that_add_one_name_one_is_told_that_it_is_taken(self, tmp_path: Path) -> None:
        async with python(SCRIPT, tmp_path, "one") as one, python(SCRIPT, tmp_path, "other") as other:
            await one.line()
            await other.line()
            await one.tell("claim web")
            assert await one.line() == "claimed"
            await other.tell("add web")
            await one.tell()
            assert await one.line() == "web"
            assert await other.line() == "taken"
            assert (await one.end(), await other.end()) == (0, 0)

    async def test_a_name_that_another_process_holds_for_too_long_is_told(self, tmp_path: Path) -> None:
        async with open_store(tmp_path, lock_seconds=0.2) as store, python(SCRIPT, tmp_path, "other") as other:
            await other.line()
            await other.tell("claim web")
            await other.line()
            with anyio.fail_after(SECONDS), pytest.raises(Busy, match="template-web"):
                async with Registry(store).claim("web"):
                    pass
            await other.tell()
            await other.line()
            assert await other.end() == 0


async def test_a_name_that_is_taken_is_told_with_where_that_template_is_from(registry: Registry) -> None:
    registry.save(_template("web"))
    with pytest.raises(NameTaken, match="`web` already, from `/nowhere`"):
        async with registry.claim("web"):
            pass


async def test_a_name_is_free_again_when_adding_failed(registry: Registry) -> None:
    async def fail() -> None:
        async with registry.claim("web"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with anyio.fail_after(SECONDS):
        async with registry.claim("web"):
            pass


async def test_what_is_not_registered_can_not_be_held(registry: Registry) -> None:
    with pytest.raises(TemplateNotFound):
        async with registry.hold("web"):
            pass


async def test_what_is_held_is_what_is_registered_now(registry: Registry, store: Store) -> None:
    registry.save(_template("web"))
    registry.get("web")
    Registry(store).save(_template("web", description="newer"))
    async with registry.hold("web") as template:
        assert template.description == "newer"
