"""What of the home may go, and what goes first? Never what is in use, and never what can't be had again."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from child import python
from conftest import Listener
from dynamo_mcp import sources
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.parts import Parts, open_parts
from dynamo_mcp.progress import Progress, ignore
from dynamo_mcp.reclaiming import Reclaiming
from dynamo_mcp.recorded import packages_of
from dynamo_mcp.soundness import health
from dynamo_mcp.sources.mirrors import mirror_path
from dynamo_mcp.store import open_store
from dynamo_mcp.types import Location
from dynamo_mcp.views import Reclaimed
from homes import SECONDS, Home, base_environments, give, until, write_template
from wheels import publish

pytestmark = pytest.mark.anyio

HOUR = 3600.0
DAY = 24 * HOUR
GHOST = "ab" * 8

WAITS = """
import pathlib, time
pathlib.Path({begun!r}).touch()
deadline = time.monotonic() + {seconds}
while not pathlib.Path({go!r}).exists() and time.monotonic() < deadline:
    time.sleep(0.01)
"""
"""A hook of a template of one's own, which waits until it may go on."""

KILLED = """
import os, pathlib, signal, sys, anyio
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.settings import load

left = int(sys.argv[3])

def die(event, arguments):
    global left
    if event == sys.argv[2]:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with open_dynamo(load(home=pathlib.Path(sys.argv[1]), kept_days=1.0, person=True)) as dynamo:
        sys.addaudithook(die)
        print(len((await dynamo.reclaim()).removed), flush=True)

anyio.run(main)
"""
"""A command that reclaims, and is killed just before its nth call of one kind."""

CREATES = """
import pathlib, sys, anyio
from dynamo_mcp.dynamo import open_dynamo
from dynamo_mcp.settings import load

async def main():
    home, outputs = map(pathlib.Path, sys.argv[1:3])
    async with open_dynamo(load(home=home, person=True)) as dynamo:
        project = await dynamo.create_project("slow", str(outputs), {})
        print(project.path, flush=True)

anyio.run(main)
"""


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


class Opened:
    """A home that a person has opened."""

    def __init__(self, home: Home, parts: Parts) -> None:
        self.home = home
        self.parts = parts
        self.dynamo = Dynamo(parts)

    async def reclaim(self, *, at: float = 0.0, **limits: Any) -> Reclaimed:
        """Reclaim so many seconds from now, with these limits."""
        parts = self.parts
        reclaiming = Reclaiming(
            self.home.settings(**limits),
            parts.store,
            registry=parts.registry,
            environments=parts.environments,
            registration=parts.registration,
            clock=lambda: time.time() + at,
        )
        with anyio.fail_after(SECONDS):
            return await reclaiming.run()

    def environment(self, name: str) -> Path:
        return self.parts.environments.path(name, ())

    @property
    def environments(self) -> set[str]:
        return {path.name.rpartition("-")[0] for path in (self.home.path / "venvs").iterdir()}

    @property
    def bases(self) -> set[str]:
        return {path.name for path in (self.home.path / "bases").iterdir()}


@pytest.fixture
async def opened(home: Home) -> AsyncIterator[Opened]:
    async with open_parts(home.settings(person=True)) as parts:
        yield Opened(home, parts)


def aged(path: Path, seconds: float) -> Path:
    """Let something have been used last so long ago."""
    os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)
    return path


def copied(path: Path, name: str, seconds: float = 2 * HOUR) -> Path:
    """Put a copy by hard links beside a folder."""
    give(path, path.with_name(name))
    return aged(path.with_name(name), seconds)


def kinds(done: Reclaimed) -> list[str]:
    return sorted(each.kind for each in done.removed)


def _all_of(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Return what is in a folder: all but when it was looked at."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (s.st_ino, s.st_mode, s.st_nlink, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()}


def _du(*folders: Path) -> int:
    """Return what du says that folders take together, in bytes."""
    said = subprocess.run(["du", "-scB1", *folders], check=True, capture_output=True, timeout=SECONDS)
    return int(said.stdout.splitlines()[-1].split()[0])


class TestWhatNothingLeadsTo:
    async def test_a_checkout_that_no_record_names_goes_and_one_that_a_record_names_stays_however_old(
        self, opened: Opened
    ) -> None:
        checkout = aged(await opened.home.add(opened.dynamo, "web"), 1000 * DAY)
        orphan = copied(checkout, "0" * 32)
        done = await opened.reclaim(kept_days=1.0, kept_bytes=1, kept_environments=1)
        assert not orphan.exists()
        assert [(each.kind, each.name) for each in done.removed] == [("checkout", "0" * 32)]
        assert done.bytes == done.removed[0].bytes > 0
        assert checkout.is_dir()

    async def test_what_was_made_within_the_last_hour_stays(self, opened: Opened) -> None:
        orphan = copied(await opened.home.add(opened.dynamo, "web"), "0" * 32, HOUR - 60)
        assert (await opened.reclaim()).removed == ()
        assert orphan.is_dir()

    async def test_what_an_add_has_fetched_stays_until_its_record_is_written(self, opened: Opened) -> None:
        checkout = await opened.home.add(opened.dynamo, "web")
        await opened.dynamo.remove_template("web")
        folder = opened.home.templates / "web"
        location = sources.parse(str(folder), settings=opened.parts.settings)
        progress = Progress(("fetch",), ignore)

        async def fetch() -> Path:
            tree = await sources.fetch(
                location, store=opened.parts.store, settings=opened.parts.settings, progress=progress
            )
            return tree.path

        assert await fetch() == checkout
        aged(checkout, 2 * HOUR)  # a server was killed between the two
        assert await fetch() == checkout  # and this one has the same content
        assert (await opened.reclaim()).removed == ()
        assert checkout.is_dir()

    async def test_a_mirror_stays_for_as_long_as_a_template_is_of_its_repository_and_then_as_what_is_not_used(
        self, opened: Opened
    ) -> None:
        await opened.home.add(opened.dynamo, "web")
        location = Location("git", "https://host.invalid/me/web.git")
        template = opened.parts.registry.get("web")
        opened.parts.registry.save(msgspec.structs.replace(template, location=location))
        mirror = mirror_path(location, opened.home.path)
        other = mirror_path(msgspec.structs.replace(location, address="git@host.invalid:gone"), opened.home.path)
        assert mirror is not None
        assert other is not None
        for path in (mirror, other):
            (path / "objects").mkdir(parents=True)
            (path / "objects" / "pack").write_bytes(bytes(9000))
            aged(path, 2 * HOUR)
        done = await opened.reclaim()
        assert [(each.kind, each.name, each.why) for each in done.removed] == [
            ("mirror", other.name, "nothing leads to it")
        ]
        assert done.bytes >= 9000
        assert mirror.is_dir()
        assert "mirror" in kinds(await opened.reclaim(at=40 * DAY))
        assert not mirror.exists()

    async def test_nothing_is_an_orphan_while_a_record_can_not_be_read(self, opened: Opened) -> None:
        checkout = await opened.home.add(opened.dynamo, "web")
        record = opened.home.path / "templates" / "web.json"
        record.write_text(record.read_text().replace('"name"', '"title"'))  # as another release may write it
        for path in (checkout, opened.environment("web"), *(opened.home.path / "bases").iterdir()):
            aged(path, 2 * HOUR)
        done = await opened.reclaim()
        assert done.removed == ()
        assert done.notes == ("checkouts and bases stay, since the records of `web` can't be read",)

    async def test_an_environment_of_a_template_that_there_is_not_goes(self, opened: Opened) -> None:
        await opened.home.add(opened.dynamo, "web")
        copied(opened.environment("web"), f"ghost-{GHOST}")
        done = await opened.reclaim()
        assert kinds(done) == ["environment"]
        assert opened.environments == {"web"}

    async def test_in_whose_place_others_were_made_anew_goes_an_hour_after_its_last_use(self, opened: Opened) -> None:
        opened.home.take_wheels()
        await opened.home.add(opened.dynamo, "web")
        old, (old_base,) = opened.environment("web"), opened.bases
        await opened.dynamo.update_template("web", force=True)
        new, (new_base,) = opened.environment("web"), opened.bases - {old_base}
        assert kinds(await opened.reclaim()) == []
        await opened.parts.environments.note()  # renderers may be idle still that were started from it
        aged(old, 2 * HOUR)
        aged(opened.home.path / "bases" / old_base, 2 * HOUR)
        await opened.parts.environments.note()
        assert kinds(await opened.reclaim()) == ["base", "environment"]
        assert (opened.bases, new.exists(), old.exists()) == ({new_base}, True, False)
        await opened.dynamo.update_template("web", force=True)
        (keys,) = (opened.home.path / "requirements").glob("*.keys")
        assert old_base not in keys.read_text().split()

    async def test_spares_of_a_base_that_is_gone_go(self, opened: Opened) -> None:
        spares = opened.home.path / "spares" / GHOST
        spares.mkdir(parents=True)
        aged(spares, 2 * HOUR)
        assert kinds(await opened.reclaim()) == ["spares"]
        assert not spares.exists()

    async def test_what_has_no_name_of_ours_stays(self, opened: Opened) -> None:
        mine = [opened.home.path / kind / "mine" for kind in ("checkouts", "venvs", "bases", "compiled", "outputs")]
        for path in mine:
            path.mkdir()
            aged(path, 1000 * DAY)
        assert (await opened.reclaim(kept_days=1.0, kept_bytes=1)).removed == ()
        assert all(path.is_dir() for path in mine)


class TestLimits:
    async def test_an_environment_that_is_not_used_for_long_goes_and_is_made_again_at_its_next_use(
        self, opened: Opened, audited: list[Listener]
    ) -> None:
        await opened.home.add(opened.dynamo, "web")
        assert (await opened.reclaim(at=29 * DAY)).removed == ()
        done = await opened.reclaim(at=31 * DAY)
        assert [(each.kind, each.why) for each in done.removed if each.kind != "compiled"] == [
            ("environment", "not used for 31 days")
        ]
        assert opened.environments == set()
        (info,) = await opened.dynamo.list_templates()
        assert info.is_active
        assert info.venv_path is None
        run: list[str] = []
        audited.append(lambda event, said: run.append(str(said[0])) if event == "subprocess.Popen" else None)
        await opened.dynamo.create_project("web", str(opened.home.outputs))
        assert opened.home.made == ["made"]
        assert health(opened.environment("web")) is None
        assert [name for name in run if name.endswith("/uv")] == []

    async def test_of_more_environments_than_are_kept_the_least_recently_used_go(self, opened: Opened) -> None:
        for days, name in enumerate(("one", "two", "three", "four"), start=1):
            await opened.home.add(opened.dynamo, name)
            aged(opened.environment(name), days * DAY)
        done = await opened.reclaim(kept_environments=2)
        assert opened.environments == {"one", "two"}
        assert [each.why for each in done.removed] == ["more than 2 environments"] * 2
        assert done.kept.environments == 2

    async def test_what_is_used_stays_though_it_is_more_than_is_kept(self, opened: Opened) -> None:
        for name in ("one", "two"):
            await opened.home.add(opened.dynamo, name)
        assert (await opened.reclaim(kept_environments=1, kept_bytes=1)).removed == ()
        assert opened.environments == {"one", "two"}

    async def test_beyond_a_sum_of_bytes_there_goes_all_but_what_templates_can_not_be_used_without(
        self, opened: Opened
    ) -> None:
        checkout = await opened.home.add(opened.dynamo, "web")
        (base,) = (opened.home.path / "bases").iterdir()
        copied(base, GHOST, 3 * HOUR)
        done = await opened.reclaim(at=2 * HOUR, kept_bytes=1)
        assert kinds(done) in (["base", "compiled", "environment"], ["base", "environment"])
        assert opened.bases == {base.name}
        assert checkout.is_dir()
        (note,) = done.notes
        assert "more than the 1 of `DYNAMO_MCP_KEPT_BYTES`" in note

    async def test_no_more_goes_than_brings_the_bytes_within_their_limit(self, opened: Opened) -> None:
        for days, name in enumerate(("one", "two", "three"), start=1):
            await opened.home.add(opened.dynamo, name)
            aged(opened.environment(name), days * DAY)
        kept = (await opened.reclaim()).kept
        done = await opened.reclaim(kept_bytes=kept.bytes - 1)
        assert opened.environments == {"one", "two"}
        assert done.kept.bytes < kept.bytes
        assert done.notes == ()
        assert (await opened.reclaim(kept_bytes=kept.bytes)).kept == done.kept

    async def test_an_environment_takes_what_du_says_that_it_takes_besides_its_base(self, opened: Opened) -> None:
        (base,) = (opened.home.path / "bases").iterdir()
        none = (await opened.reclaim()).kept
        await opened.home.add(opened.dynamo, "web")
        linked = (await opened.reclaim()).kept
        said = _du(base, opened.environment("web")) - _du(base)
        # Compiled code of the template, and folders that have another size here, are not as exact.
        assert abs((linked.bytes - none.bytes) - said) < 200_000
        # Where there are no hard links between two file systems, say, it takes as much as its base.
        shutil.rmtree(opened.environment("web"))
        give(base, opened.environment("web"), shared=False)
        copied = (await opened.reclaim()).kept
        assert copied.bytes - none.bytes > 10_000_000

    async def test_one_in_which_somebody_has_installed_something_stays(self, opened: Opened) -> None:
        await opened.home.add(opened.dynamo, "web")
        (packages_of(opened.environment("web")) / "mine.py").touch()
        done = await opened.reclaim(at=100 * DAY, kept_bytes=1)
        assert "environment" not in kinds(done)
        assert opened.environments == {"web"}

    async def test_a_base_that_no_template_needs_goes_after_the_last_clone_of_it(self, opened: Opened) -> None:
        await opened.home.add(opened.dynamo, "web")
        (base,) = (opened.home.path / "bases").iterdir()
        copied(base, GHOST, 40 * DAY)
        clone = copied(opened.environment("web"), f"web-{GHOST}", 20 * DAY)  # of another Python's server, say
        assert (await opened.reclaim()).removed == ()
        spare = opened.home.path / "spares" / GHOST / "1"
        spare.mkdir(parents=True)
        aged(clone, 40 * DAY)
        assert kinds(await opened.reclaim()) == ["base", "environment"]
        assert opened.bases == {base.name}
        assert not spare.parent.exists()

    async def test_the_list_of_what_a_base_held_goes_after_it_and_that_of_a_template_stays(
        self, opened: Opened
    ) -> None:
        await opened.home.add(opened.dynamo, "web")
        (base,) = (opened.home.path / "bases").iterdir()
        lists = opened.home.path / "requirements"
        lists.mkdir(exist_ok=True)
        own, other = (lists / f"{key}.txt" for key in (base.name, GHOST))
        for path in (own, other):
            path.write_text("cookiecutter==2.7.1")
            aged(path, 40 * DAY)
        copied(base, GHOST, 40 * DAY)
        assert kinds(await opened.reclaim()) == ["base"]
        await opened.reclaim()
        assert list(lists.iterdir()) == [own]

    async def test_compiled_code_that_is_not_used_for_long_goes(self, opened: Opened) -> None:
        old, new = (opened.home.path / "compiled" / (digit * 64) for digit in "ab")
        for path in (old, new):
            path.write_bytes(b"x" * 10_000)
        aged(old, 31 * DAY)
        assert kinds(await opened.reclaim()) == ["compiled"]
        assert not old.exists()
        assert new.exists()


async def test_files_of_packages_go_when_they_are_not_used_for_long(opened: Opened) -> None:
    packages = opened.home.path / "packages"
    old, new, said, mine = (packages / name for name in ("a" * 64, "b" * 64, f"{'c' * 64}.json", "mine"))
    for path in (old, new, said, mine):
        path.write_bytes(b"x" * 10_000)
        aged(path, 0 if path is new else 31 * DAY)
    done = await opened.reclaim()
    assert [(each.kind, each.name) for each in done.removed] == [("package", old.name), ("package", said.name)]
    assert sorted(path.name for path in packages.iterdir()) == [new.name, "mine"]


async def test_wheels_that_no_base_holds_go_when_they_are_not_used_for_long_and_others_stay(home: Home) -> None:
    home.take_wheels()
    index = publish(home.root / "index", "only_here", {"only_here.py": ""})
    own = {"UV_INDEX": index, "UV_OFFLINE": ""}
    async with open_parts(home.settings(own, person=True)) as parts:
        opened = Opened(home, parts)
        folder = write_template(home.templates / "web")
        await opened.dynamo.add_template(str(folder), name="web", requirements=["only-here"])
        assert len(opened.bases) == 2
        await opened.dynamo.remove_template("web")
        assert kinds(await opened.reclaim(at=31 * DAY)) == ["base"]
        assert kinds(await opened.reclaim()) == []
        done = await opened.reclaim(at=31 * DAY)
        assert [(each.kind, each.name) for each in done.removed] == [("wheel", "only-here")]
        # Nothing that another template needs has to be fetched again.
        await home.add(opened.dynamo, "other")
        assert await parts.environments.lacks(()) is None


class TestInUse:
    async def _slow(self, opened: Opened) -> tuple[Path, Path]:
        begun, go = opened.home.root / "begun", opened.home.root / "go"
        hook = WAITS.format(begun=str(begun), go=str(go), seconds=SECONDS)
        folder = write_template(opened.home.templates / "slow", post_gen_project=hook)
        await opened.dynamo.add_template(str(folder), name="slow", trust="full")
        return begun, go

    async def test_what_a_create_runs_from_stays(self, opened: Opened) -> None:
        begun, go = await self._slow(opened)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opened.dynamo.create_project, "slow", str(opened.home.outputs))
            await until(begun.exists)
            done = await opened.reclaim(at=100 * DAY, kept_bytes=1, kept_environments=1)
            assert "environment" not in kinds(done)
            assert "base" not in kinds(done)
            go.touch()
        assert opened.home.made == ["made"]
        assert "environment" in kinds(await opened.reclaim(at=100 * DAY))

    async def test_what_another_process_creates_from_stays(self, opened: Opened) -> None:
        begun, go = await self._slow(opened)
        async with python(CREATES, opened.home.path, opened.home.outputs) as other:
            await until(begun.exists)
            await opened.dynamo.remove_template("slow")
            for path in (opened.environment("slow"), *(opened.home.path / "checkouts").iterdir()):
                aged(path, 100 * DAY)
            assert {"environment", "checkout"}.isdisjoint(kinds(await opened.reclaim(at=100 * DAY)))
            go.touch()
            assert await other.line() == str(opened.home.outputs / "made")
        await opened.reclaim()
        assert opened.environments == set()
        assert list((opened.home.path / "checkouts").iterdir()) == []

    async def test_what_is_noted_at_the_last_moment_stays(self, opened: Opened, audited: list[Listener]) -> None:
        await opened.home.add(opened.dynamo, "web")
        environment = aged(opened.environment("web"), 40 * DAY)

        def use(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "fcntl.flock" and Path(f"/proc/self/fd/{arguments[0]}").readlink().name == "uses.lock":
                os.utime(environment)

        audited.append(use)
        done = await opened.reclaim()
        audited.clear()
        assert "environment" not in kinds(done)
        assert environment.is_dir()

    async def test_a_base_that_renderers_run_from_is_noted_while_they_are_idle(self, opened: Opened) -> None:
        await opened.home.add(opened.dynamo, "web")
        (base,) = (opened.home.path / "bases").iterdir()
        aged(base, 40 * DAY)
        opened.parts.environments._uses._noted.clear()  # noqa: SLF001 - ten minutes have passed
        await opened.parts.environments.note()
        assert time.time() - base.stat().st_mtime < HOUR


class TestOtherPlaces:
    async def test_what_a_link_in_the_home_leads_to_is_neither_removed_nor_changed(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        for name in ("0" * 32, GHOST, f"ghost-{GHOST}"):
            (outside / name / "folder").mkdir(parents=True)
            (outside / name / "folder" / "file").write_text("mine")
            aged(outside / name, 1000 * DAY)
        (base,) = (opened.home.path / "bases").iterdir()
        copied(base, GHOST, 1000 * DAY)
        before = _all_of(outside)
        checkouts = opened.home.path / "checkouts"
        for link, target in (
            (checkouts / ("1" * 32), outside / ("0" * 32)),
            (opened.home.path / "venvs" / f"ghost-{GHOST}", outside),
            (opened.home.path / "bases" / ("cd" * 8), outside),
            (opened.home.path / "compiled" / ("a" * 64), outside / GHOST / "folder" / "file"),
            (opened.home.path / "spares", outside),
        ):
            shutil.rmtree(link, ignore_errors=True)  # an empty folder of the home
            link.symlink_to(target)
            aged(link, 1000 * DAY)
        orphan = checkouts / ("2" * 32)
        orphan.mkdir()
        (orphan / "away").symlink_to(outside)
        (orphan / "up").symlink_to("../..")
        aged(orphan, 1000 * DAY)
        assert kinds(await opened.reclaim(at=100 * DAY, kept_bytes=1)) == ["base", "checkout"]
        assert _all_of(outside) == before

    async def test_a_folder_of_the_home_that_is_a_link_is_left_alone(self, opened: Opened, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        (outside / ("0" * 32)).mkdir(parents=True)
        aged(outside / ("0" * 32), 1000 * DAY)
        (opened.home.path / "checkouts").rmdir()
        (opened.home.path / "checkouts").symlink_to(outside)
        assert (await opened.reclaim()).removed == ()
        assert (outside / ("0" * 32)).is_dir()


class TestWhenItEnds:
    @pytest.mark.parametrize(("event", "number"), [("os.rename", 1), ("os.rename", 2), ("os.remove", 300)])
    async def test_what_a_killed_process_has_not_reclaimed_is_whole(self, event: str, number: int, home: Home) -> None:
        async with home.open(person=True) as dynamo:
            for name in ("one", "two"):
                await home.add(dynamo, name)
        for path in (home.path / "venvs").iterdir():
            aged(path, 40 * DAY)
        copied(home.checkout("one"), "0" * 32)
        async with python(KILLED, home.path, event, str(number)) as child:
            with anyio.fail_after(SECONDS):
                assert await child.process.wait() == -9
        environments = list((home.path / "venvs").iterdir())
        assert environments
        assert [health(environment) for environment in environments] == [None] * len(environments)
        async with open_store(home.path, lock_seconds=20) as store:
            assert list((home.path / "scratch").iterdir()) == [store.scratch]
        async with home.open(person=True) as dynamo:
            await dynamo.reclaim()
            await dynamo.create_project("one", str(home.outputs))
        assert home.made == ["made"]
        assert not (home.path / "checkouts" / ("0" * 32)).exists()

    async def test_one_that_is_cancelled_leaves_nothing_half_done(self, opened: Opened) -> None:
        for name in ("one", "two"):
            await opened.home.add(opened.dynamo, name)
            aged(opened.environment(name), 40 * DAY)
        with anyio.fail_after(SECONDS), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def cancel() -> None:
                    await until(lambda: len(opened.environments) < 2)
                    scope.cancel()

                tasks.start_soon(cancel)
                await opened.reclaim()
        assert {health(path) for path in (opened.home.path / "venvs").iterdir()} <= {None}
        assert [name for name in opened.home.scratch if "renderer-" not in name] == []

    async def test_two_processes_reclaim_the_same_home_at_once(self, home: Home) -> None:
        async with home.open(person=True) as dynamo:
            for name in ("one", "two", "three"):
                await home.add(dynamo, name)
        for path in (home.path / "venvs").iterdir():
            aged(path, 40 * DAY)
        async with (
            python(KILLED, home.path, "never", "1") as one,
            python(KILLED, home.path, "never", "1") as other,
        ):
            said = int(await one.line()) + int(await other.line())
            assert await one.end() == await other.end() == 0
        assert said == 3
        assert list((home.path / "venvs").iterdir()) == []


class TestWatching:
    async def test_a_server_reclaims_after_its_start_and_when_templates_change(self, opened: Opened) -> None:
        checkout = await opened.home.add(opened.dynamo, "web")
        orphan = copied(checkout, "0" * 32)
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await opened.parts.reclaiming.watch(first=0.0, look=0.01, again=DAY)

            tasks.start_soon(watch)
            await until(lambda: not orphan.exists())
            orphan = copied(checkout, "1" * 32)
            await opened.dynamo.remove_template("web")
            await until(lambda: not orphan.exists())
            tasks.cancel_scope.cancel()

    async def test_a_server_goes_on_though_it_can_not_reclaim_and_says_so(
        self, opened: Opened, caplog: pytest.LogCaptureFixture
    ) -> None:
        checkout = await opened.home.add(opened.dynamo, "web")
        templates = opened.home.path / "templates"
        orphan = copied(checkout, "0" * 32)
        shutil.move(templates, opened.home.root / "away")
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await opened.parts.reclaiming.watch(first=0.0, look=0.01, again=0.02)

            tasks.start_soon(watch)
            await until(lambda: "Nothing was reclaimed, or not all: Can't read the records" in caplog.text)
            shutil.move(opened.home.root / "away", templates)
            await until(lambda: not orphan.exists())
            tasks.cancel_scope.cancel()
        assert checkout.is_dir()
