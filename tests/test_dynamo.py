"""Whole operations over a real home: add, create, update, remove, and what they do to each other."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from conftest import Listener
from dynamo_mcp import summaries
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import (
    DynamoError,
    EnvironmentFailed,
    FetchFailed,
    InvalidAnswers,
    InvalidTemplate,
    NameTaken,
    Refused,
    StorageFailed,
    TemplateNotFound,
    UsageError,
)
from dynamo_mcp.project_views import Project
from dynamo_mcp.types import Trust
from homes import SECONDS, SLUG, Home, base_environments, processes_of, until, workers, write_template

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def waits_for(go: Path, started: str = "started") -> str:
    """Return a hook that goes on when a file is there; that something is there even the sandbox lets it see."""
    return (
        f"import os, time\nopen({started!r}, 'w').close()\nwhile not os.path.lexists({str(go)!r}): time.sleep(0.01)\n"
    )


def repository(folder: Path) -> str:
    """Make a Git repository of a template; return its address."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=m")
    return folder.as_uri()


def left(home: Home) -> dict[str, list[str]]:
    """Return what a home holds of templates."""
    return {
        folder: sorted(path.name for path in (home.path / folder).iterdir())
        for folder in ("templates", "checkouts", "venvs")
    }


TRUSTS: tuple[Trust, ...] = ("full", "contained", "inert")
CREATES = 24
NOTHING: dict[str, list[str]] = {"templates": [], "checkouts": [], "venvs": []}


# Environments


async def test_a_broken_environment_is_made_anew_by_the_next_create(home: Home) -> None:
    home.take_wheels()
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), {"slug": "before"})
    broken = list(home.path.rglob("site-packages/cookiecutter/generate.py"))
    assert len(broken) == 2
    for path in broken:
        path.unlink()
    async with home.open() as dynamo:
        await dynamo.create_project("one", str(home.outputs), {"slug": "after"})
        assert home.scratch == []
    whole = set(home.path.rglob("site-packages/cookiecutter/generate.py"))
    assert {path.relative_to(home.path).parts[0] for path in whole - set(broken)} == {"bases", "venvs"}
    assert home.made == ["after", "before"]


async def test_an_environment_that_vanished_is_made_anew_by_the_next_create(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        for path in (home.path / "venvs").iterdir():
            path.rename(home.root / path.name)
        await dynamo.create_project("one", str(home.outputs))
    assert home.made == ["made"]


# Add


async def test_of_two_adds_of_one_name_one_wins_and_the_other_is_told(home: Home) -> None:
    write_template(home.templates / "one")
    ended: list[str] = []
    async with home.open() as first, home.open() as second:

        async def add(dynamo: Dynamo) -> None:
            try:
                await dynamo.add_template(str(home.templates / "one"), name="wanted")
                ended.append("added")
            except NameTaken:
                ended.append("taken")

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for dynamo in (first, second, first):
                    tasks.start_soon(add, dynamo)
        assert [info.name for info in await second.list_templates()] == ["wanted"]
    assert sorted(ended) == ["added", "taken", "taken"]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system that is soon full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


@pytest.mark.parametrize("size", ["64k", "2m"])
async def test_an_add_on_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, size: str) -> None:
    home = Home(tmp_path, None)
    large = {f"{SLUG}/large.bin": bytes(256 << 10)} if size == "64k" else {}
    write_template(home.templates / "one", dict(large))
    with small_disk(home.path, size):
        async with home.open() as dynamo:
            with pytest.raises((StorageFailed, EnvironmentFailed, FetchFailed)) as raised:
                await dynamo.add_template(str(home.templates / "one"))
            assert "No space left on device" in raised.value.message
            assert left(home) == NOTHING
            assert home.scratch == []
            assert list((home.path / "bases").iterdir()) == []


async def test_an_add_that_fails_leaves_nothing(home: Home) -> None:
    folder = write_template(home.templates / "one")
    (folder / "cookiecutter.json").write_text("{")
    async with home.open() as dynamo:
        with pytest.raises(InvalidTemplate):
            await dynamo.add_template(str(folder))
        assert left(home) == NOTHING
        assert home.scratch == []
        write_template(folder)
        await dynamo.add_template(str(folder))


async def test_an_add_that_fails_keeps_the_checkout_that_another_template_rests_on(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(EnvironmentFailed):
            await dynamo.add_template(
                str(home.templates / "one"), name="two", requirements=["no-such-package-of-anybody-at-all"]
            )
        await dynamo.create_project("one", str(home.outputs))
    assert home.made == ["made"]


async def test_only_a_person_can_say_how_much_of_a_template_may_run(home: Home) -> None:
    write_template(home.templates / "one")
    async with home.open() as dynamo:
        for trust in TRUSTS:
            with pytest.raises(UsageError, match="Only a person"):
                await dynamo.add_template(str(home.templates / "one"), trust=trust)
        assert left(home)["templates"] == []
        await dynamo.add_template(str(home.templates / "one"))
        for trust in TRUSTS:
            with pytest.raises(UsageError, match="Only a person"):
                await dynamo.create_project("one", str(home.outputs), trust=trust)
        assert (await dynamo.create_project("one", str(home.outputs))).trust == "contained"
    async with home.open(person=True) as dynamo:
        for trust in TRUSTS:
            project = await dynamo.create_project("one", str(home.outputs), {"slug": trust}, trust=trust)
            assert project.trust == trust


# Create


async def test_answers_that_do_not_fit_are_told_all_at_once_and_nothing_runs(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration={"slug": "made", "flag": True, "pick": ["a", "b"]})
    async with home.open() as dynamo:
        with pytest.raises(InvalidAnswers) as raised:
            await dynamo.create_project("one", str(home.outputs), {"slag": "x", "flag": 7, "pick": "c"})
        assert [problem.variable for problem in raised.value.problems] == ["slag", "flag", "pick"]
        assert list((home.path / "scratch").glob("*/renderer-*")) == []


async def test_what_only_a_job_finds_wrong_is_told_with_its_variable_and_what_is_allowed(home: Home) -> None:
    asked = {"slug": "made", "pick": ["{{ cookiecutter.slug }}-one", "{{ cookiecutter.slug }}-two"]}
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration=asked)
        with pytest.raises(InvalidAnswers) as raised:
            await dynamo.create_project("one", str(home.outputs), {"pick": "made-tow"})
        (problem,) = raised.value.problems
        assert (problem.variable, problem.given, problem.nearest) == ("pick", "made-tow", "made-two")
        assert problem.choices == ("made-one", "made-two")
        with pytest.raises(InvalidAnswers, match="not a plain folder name") as raised:
            await dynamo.create_project("one", str(home.outputs), {"slug": "a/b"})
        (problem,) = raised.value.problems
        assert (problem.variable, problem.given) == ("slug", "a/b")


async def test_a_choice_between_booleans_can_be_answered_as_it_is_listed(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(
            dynamo,
            "one",
            {f"{SLUG}/pick": "{{ cookiecutter.pick }}"},
            configuration={"slug": "made", "pick": [True, False]},
        )
        (choice,) = [v for v in await dynamo.get_template_variables("one") if v.name == "pick"]
        assert choice.choices is not None
        for number, answer in enumerate(choice.choices):
            await dynamo.create_project("one", str(home.outputs), {"slug": f"p{number}", "pick": answer})
    assert [(home.outputs / f"p{number}" / "pick").read_text() for number in range(2)] == ["True", "False"]


async def test_many_creates_at_once_are_all_right_and_leave_nothing(home: Home) -> None:
    made: dict[int, Project] = {}
    async with home.open(concurrent_creates=4) as dynamo:
        for kind in range(3):
            content = f"{kind} {{{{cookiecutter.text}}}}"
            await home.add(dynamo, f"kind-{kind}", {f"{SLUG}/own": content}, configuration={"slug": "s", "text": "t"})

        async def create(number: int) -> None:
            answers = {"slug": f"p{number}", "text": f"{{{{ {number} }}}}"}
            made[number] = await dynamo.create_project(f"kind-{number % 3}", str(home.outputs), answers)

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(create, number)
        assert home.scratch == []
    for number in range(20):
        assert (home.outputs / f"p{number}" / "own").read_text() == f"{number % 3} {{{{ {number} }}}}"
        assert made[number].template == f"kind-{number % 3}"
    assert len({project.id for project in made.values()}) == 20
    assert list((home.path / "scratch").iterdir()) == []


# Remove


async def test_a_record_that_can_not_be_read_is_removed_by_a_person_and_by_no_program(home: Home) -> None:
    async with home.open() as program, home.open(person=True) as person:
        await home.add(program, "one")
        record = home.path / "templates" / "one.json"
        record.write_text("{")
        # What a person has said of it can't be read, either.
        with pytest.raises(Refused, match="maybe a person lets it run nothing") as refused:
            await program.remove_template("one")
        assert "`dynamo-mcp remove one`" in refused.value.hint
        assert record.exists()
        await until(lambda: program.damaged_records() == ("one",))
        assert "`one`, which could not be read, was removed" in await person.remove_template("one")
        assert not record.exists()
        await until(lambda: program.damaged_records() == ())
        with pytest.raises(TemplateNotFound):
            await person.remove_template("one")


@pytest.mark.parametrize("same_server", [True, False])
async def test_a_create_that_runs_while_its_template_is_removed_ends_well(
    home: Home,
    same_server: bool,
) -> None:
    made: list[Project] = []
    go = home.path / "venvs" / "go"
    async with home.open() as dynamo, home.open() as other:
        await home.add(
            dynamo, "waiting", {f"{SLUG}/late.txt": "{% include 'part.txt' %}", "templates/part.txt": "x"},
            pre_gen_project=waits_for(go),
        )  # fmt: skip

        async def create() -> None:
            made.append(await dynamo.create_project("waiting", str(home.outputs)))

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await until(lambda: running_in(home, "started"))
                said = await (dynamo if same_server else other).remove_template("waiting")
                assert "`waiting` was removed" in said
                go.touch()
        assert (home.outputs / "made" / "late.txt").read_text() == "x"
        go.unlink()
        with anyio.fail_after(SECONDS):
            await until(lambda: left(home) == NOTHING)
    assert [project.template for project in made] == ["waiting"]


def running_in(home: Home, name: str) -> bool:
    """Tell whether a job of this home has written a file of this name, seen through its process."""
    own = set(workers()) & set(processes_of(home.path / "bases"))
    return any(any(Path(f"/proc/{identity}/root/output").glob(f"*/*/{name}")) for identity in own)


async def test_what_is_listed_is_the_same_while_nothing_has_changed_and_not_a_call_longer(home: Home) -> None:
    folder = write_template(home.templates / "live")
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.add_template(str(folder), name="live", live=True)
        listed, schema = await dynamo.list_templates(), await dynamo.json_schema("one")
        assert await dynamo.list_templates() is listed
        assert await dynamo.json_schema("one") is schema
        (folder / "hooks").mkdir(exist_ok=True)
        (folder / "hooks" / "pre_gen_project.py").write_text("")
        live, one = await dynamo.list_templates()
        assert (live.hooks, one) == (("pre_gen_project.py",), listed[1])
        assert one is listed[1]
        (folder / "cookiecutter.json").rename(folder / "aside")
        assert [info.is_active for info in await dynamo.list_templates()] == [False, True]
        (folder / "aside").rename(folder / "cookiecutter.json")
        assert (await dynamo.list_templates())[0] == live
        Path(one.venv_path or "").rename(home.path / "aside")
        assert [info.venv_path for info in await dynamo.list_templates()] == [live.venv_path, None]
        await dynamo.remove_template("live")
        assert [info.name for info in await dynamo.list_templates()] == ["one"]


async def test_what_nobody_else_writes_is_looked_at_again_after_a_moment_and_after_each_change(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.open() as dynamo:
        monkeypatch.setattr(summaries, "TRUSTED_SECONDS", 0.0)
        await home.add(dynamo, "one")
        one = (await dynamo.list_templates())[0].venv_path
        assert one is not None
        Path(one).rename(home.path / "aside")
        assert [info.venv_path for info in await dynamo.list_templates()] == [None]
        (home.path / "aside").rename(one)
        monkeypatch.setattr(summaries, "TRUSTED_SECONDS", 600.0)
        assert [info.venv_path for info in await dynamo.list_templates()] == [one]
        Path(one).rename(home.path / "aside")
        assert [info.venv_path for info in await dynamo.list_templates()] == [one]
        await home.add(dynamo, "two")
        assert [info.venv_path is None for info in await dynamo.list_templates()] == [True, False]


async def test_no_other_call_waits_for_the_disk_while_a_template_is_added(home: Home, audited: list[Listener]) -> None:
    loop = threading.get_ident()
    on_loop: list[str] = []
    elsewhere: list[str] = []
    folders = [str(home.path / name) for name in ("templates", "checkouts", "bases", "venvs")]

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).startswith(tuple(folders)):
            (on_loop if threading.get_ident() == loop else elsewhere).append(str(arguments[1]))

    async with home.open() as dynamo:
        audited.append(listen)
        await home.add(dynamo, "one")
    assert {os.path.relpath(path, home.path).partition("/")[0] for path in elsewhere} >= {"templates", "checkouts"}
    assert on_loop == []


async def test_what_is_removed_is_not_found_and_its_projects_stay(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs))
        await dynamo.remove_template("one")
        with pytest.raises(TemplateNotFound):
            await dynamo.create_project("one", str(home.outputs), {"slug": "x"})
        with pytest.raises(TemplateNotFound):
            await dynamo.remove_template("one")
        assert left(home) == NOTHING
    assert home.made == ["made"]


async def test_removing_one_of_two_templates_of_the_same_content_keeps_the_other(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.add_template(str(home.templates / "one"), name="two")
        await dynamo.remove_template("one")
        await dynamo.create_project("two", str(home.outputs))
    assert home.made == ["made"]


# Update


async def test_an_update_tells_which_variables_came_went_and_changed(home: Home) -> None:
    folder = write_template(
        home.templates / "one", configuration={"slug": "made", "old": "1", "same": "s", "other": "a"}
    )
    async with home.open() as dynamo:
        info = await dynamo.add_template(repository(folder), name="one")
        (before,) = left(home)["checkouts"]
        write_template(folder, configuration={"slug": "made", "same": "s", "other": "b", "new": "2"})
        (folder / SLUG / "README.md").write_text("{{ cookiecutter.new }}")
        commit(folder)
        change = await dynamo.update_template("one")
        assert change.changed
        assert change.from_revision == info.revision != change.to_revision == change.template.revision
        assert change.variables_added == ("new",)
        assert change.variables_removed == ("old",)
        assert change.variables_changed == ("other",)
        assert before not in left(home)["checkouts"]
        assert len(left(home)["checkouts"]) == len(left(home)["venvs"]) == 1
        await dynamo.create_project("one", str(home.outputs))
        again = await dynamo.update_template("one")
        assert not again.changed
        assert (again.variables_added, again.variables_removed, again.variables_changed) == ((), (), ())
    assert (home.outputs / "made" / "README.md").read_text() == "2"


async def test_an_update_tells_how_variables_hooks_and_requirements_differ(home: Home) -> None:
    before = {"slug": "made", "other": "a", "pick": ["x", "y"], "flag": "text", "gone": "1"}
    after = {"slug": "made", "other": "b", "pick": ["x", "z"], "flag": True}
    folder = write_template(home.templates / "one", configuration=before, pre_gen_project="1", post_gen_project="1")
    async with home.open() as dynamo:
        await dynamo.add_template(repository(folder), name="one")
        (folder / "hooks" / "pre_gen_project.py").unlink()
        write_template(folder, {"hooks/beside.py": ""}, configuration=after, post_gen_project="2")
        commit(folder)
        change = await dynamo.update_template("one")
        again = await dynamo.update_template("one", force=True)
    assert [(each.name, each.differs) for each in change.variable_changes] == [
        ("other", ("default",)),
        ("pick", ("choices",)),
        ("flag", ("default", "choices", "type")),
    ]
    other, pick, flag = change.variable_changes
    assert (other.before.default, other.after.default) == ("a", "b")
    assert (pick.before.choices, pick.after.choices) == (("x", "y"), ("x", "z"))
    assert (flag.before.type, flag.after.type) == ("string", "boolean")
    assert change.hooks_added == ("beside.py",)
    assert change.hooks_removed == ("pre_gen_project.py",)
    assert change.hooks_changed == ("post_gen_project.py",)
    assert (change.requirements_added, change.requirements_removed) == ((), ())
    assert (again.variable_changes, again.hooks_added, again.hooks_removed, again.hooks_changed) == ((), (), (), ())


async def test_several_revisions_of_one_template_are_registered_under_different_names(home: Home) -> None:
    folder = write_template(home.templates / "one", {f"{SLUG}/version": "1"})
    async with home.open() as dynamo:
        address = repository(folder)
        first = await dynamo.add_template(address, name="first")
        assert first.revision is not None
        write_template(folder, {f"{SLUG}/version": "2"})
        commit(folder)
        await dynamo.add_template(address, name="newest")
        await dynamo.add_template(address, name="pinned", checkout=first.revision)
        for name in ("first", "newest", "pinned"):
            await dynamo.create_project(name, str(home.outputs), {"slug": name})
        assert not (await dynamo.update_template("pinned")).changed
        await dynamo.update_template("first")
        await dynamo.create_project("first", str(home.outputs), {"slug": "updated"})
    made = {name: (home.outputs / name / "version").read_text() for name in home.made}
    assert made == {"first": "1", "newest": "2", "pinned": "1", "updated": "2"}


async def test_an_update_of_a_live_template_tells_what_changed(home: Home) -> None:
    folder = write_template(home.templates / "one", configuration={"slug": "made", "old": "1"})
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), name="one", live=True)
        write_template(folder, configuration={"slug": "made", "new": "2"})
        change = await dynamo.update_template("one")
    assert change.changed
    assert (change.variables_added, change.variables_removed) == (("new",), ("old",))


async def test_a_create_that_runs_while_its_template_is_updated_goes_on_with_the_old_revision(home: Home) -> None:
    made: list[Project] = []
    go = home.path / "venvs" / "go"
    late = {f"{SLUG}/late.txt": "{% include 'part.txt' %}", "templates/part.txt": "old"}
    async with home.open() as dynamo:
        await home.add(dynamo, "waiting", late, pre_gen_project=waits_for(go))
        old = (await dynamo.template_info("waiting")).digest
        before = left(home)

        async def create() -> None:
            made.append(await dynamo.create_project("waiting", str(home.outputs)))

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await until(lambda: running_in(home, "started"))
                write_template(home.templates / "waiting", {**late, "templates/part.txt": "new"}, pre_gen_project="")
                assert (await dynamo.update_template("waiting")).from_revision == old
                await dynamo.create_project("waiting", str(home.outputs), {"slug": "newer"})
                go.touch()
        go.unlink()
        with anyio.fail_after(SECONDS):
            await until(lambda: len(left(home)["checkouts"]) == 1)
        assert left(home)["checkouts"] != before["checkouts"]
    assert {name: (home.outputs / name / "late.txt").read_text() for name in home.made} == {
        "made": "old",
        "newer": "new",
    }
    assert len(made) == 1


@pytest.mark.parametrize("fault", ["gone", "configuration", "package"])
async def test_an_update_that_fails_leaves_the_old_one_working(home: Home, fault: str) -> None:
    folder = write_template(home.templates / "one")
    async with home.open() as dynamo:
        await dynamo.add_template(repository(folder), name="one")
        record = (home.path / "templates" / "one.json").read_bytes()
        before = left(home)
        match fault:
            case "gone":
                folder.rename(home.root / "moved")
            case "configuration":
                (folder / "cookiecutter.json").write_text("{")
                commit(folder)
            case _:
                write_template(folder, configuration={"slug": "made", "_extensions": ["nobody_knows_this.Extension"]})
                commit(folder)
        with pytest.raises(DynamoError):
            await dynamo.update_template("one")
        assert (home.path / "templates" / "one.json").read_bytes() == record
        assert left(home) == before
        assert home.scratch == []
        await dynamo.create_project("one", str(home.outputs))
    assert home.made == ["made"]


@pytest.mark.parametrize("same_server", [True, False])
async def test_a_create_that_runs_while_its_template_is_made_anew_goes_on_in_the_old_environment(
    home: Home, same_server: bool
) -> None:
    home.take_wheels()
    go = home.path / "venvs" / "go"
    # What a hook has not loaded yet, and what it starts, it has from its environment.
    later = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import arrow'], check=True)\nimport arrow\n"
    made: list[Project] = []
    async with home.open() as dynamo, home.open() as other:
        await home.add(dynamo, "waiting", pre_gen_project=waits_for(go) + later, post_gen_project=later)
        before = left(home)["venvs"]

        async def create() -> None:
            made.append(await dynamo.create_project("waiting", str(home.outputs)))

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await until(lambda: running_in(home, "started"))
                await (dynamo if same_server else other).update_template("waiting", force=True)
                go.touch()
        assert set(left(home)["venvs"]) > {*before, "go"}  # what is new lies beside it
        await (other if same_server else dynamo).create_project("waiting", str(home.outputs), {"slug": "newer"})
        go.unlink()
    assert home.made == ["made", "newer"]
    assert len(made) == 1


async def test_whose_environment_vanishes_meanwhile_the_template_is_not_blamed(home: Home) -> None:
    go = home.path / "venvs" / "go"
    async with home.open() as dynamo:
        await home.add(dynamo, "waiting", pre_gen_project=waits_for(go) + "raise SystemExit(1)")
        (environment,) = (home.path / "venvs").iterdir()
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:

                async def create() -> None:
                    with pytest.raises(EnvironmentFailed, match="gone or replaced while it was used") as raised:
                        await dynamo.create_project("waiting", str(home.outputs))
                    assert raised.value.hint == "try again"

                tasks.start_soon(create)
                await until(lambda: running_in(home, "started"))
                environment.rename(home.root / "elsewhere")
                go.touch()
    assert home.made == []


async def test_creates_of_one_server_end_well_while_another_makes_their_template_anew_again_and_again(
    home: Home,
) -> None:
    home.take_wheels()
    later = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import arrow'], check=True)\nimport arrow\n"
    async with home.open() as dynamo, home.open() as other:
        await home.add(dynamo, "one", pre_gen_project=later, post_gen_project=later)
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:

                async def renew() -> None:
                    while True:
                        await other.update_template("one", force=True)

                async def create(first: int) -> None:
                    for number in range(first, CREATES, 3):
                        await dynamo.create_project("one", str(home.outputs), {"slug": f"p{number:02}"})

                tasks.start_soon(renew)
                async with anyio.create_task_group() as creating:
                    for first in range(3):
                        creating.start_soon(create, first)
                tasks.cancel_scope.cancel()
    assert home.made == [f"p{number:02}" for number in range(CREATES)]


async def test_a_forced_update_that_fails_leaves_the_old_one_working(home: Home) -> None:
    # Nothing is cached and nothing can be fetched, so no environment can be made anew.
    async with home.open({"UV_OFFLINE": "1"}) as dynamo:
        await home.add(dynamo, "one")
        await home.add(dynamo, "neighbour")
        await dynamo.create_project("one", str(home.outputs), {"slug": "before"})
        with pytest.raises(EnvironmentFailed):
            await dynamo.update_template("one", force=True)
        await dynamo.create_project("neighbour", str(home.outputs), {"slug": "neighbour"})
        await dynamo.create_project("one", str(home.outputs), {"slug": "after"})
    assert home.made == ["after", "before", "neighbour"]


async def test_a_raised_trust_ends_when_the_template_changes(home: Home) -> None:
    folder = write_template(home.templates / "one")
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="one", trust="full")
        assert (await dynamo.update_template("one")).template.trust == "full"
        (folder / SLUG / "README.md").write_text("changed")
        assert (await dynamo.update_template("one")).template.trust == "contained"
