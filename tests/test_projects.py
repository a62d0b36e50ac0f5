"""Where projects go, what becomes of what is there already, and what is left when something fails."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import anyio
import msgspec
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, OutputRefused, RenderFailed, TargetExists
from dynamo_mcp.types import IfExists
from dynamo_mcp.views import Project
from homes import SECONDS, SLUG, Home, base_environments

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


# Where


@pytest.mark.parametrize("wanted", ["", " ", "\0", "a\0b", "~nobody-of-this-name/x", "\ud800", "x" * 5000])
async def test_what_is_no_folder_is_refused_in_words(home: Home, wanted: str) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(DynamoError) as raised:
            await dynamo.create_project("one", wanted)
    assert raised.value.hint


async def test_a_person_may_write_anywhere(home: Home, tmp_path: Path) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one")
        project = await dynamo.create_project("one", str(tmp_path / "any" / "where"))
    assert Path(project.path) == tmp_path / "any" / "where" / "made"


async def test_an_agents_create_outside_the_roots_makes_nothing(home: Home, tmp_path: Path) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(OutputRefused):
            await dynamo.create_project("one", str(tmp_path / "any" / "where"))
    assert not (tmp_path / "any").exists()


# What is there already


async def prepared(home: Home, dynamo: Dynamo) -> Path:
    """Register a template, and put a person's project where it will write."""
    await home.add(dynamo, "one", {f"{SLUG}/src/main.txt": "of the template", f"{SLUG}/new.txt": "new"})
    target = home.outputs / "made"
    (target / "src").mkdir(parents=True)
    (target / "src" / "main.txt").write_text("of a person")
    (target / "src" / "own.txt").write_text("own")
    (target / ".git").mkdir()
    (target / ".git" / "HEAD").write_text("ref")
    (target / "link").symlink_to("src/own.txt")
    (target / "src" / "own.txt").chmod(0o600)
    return target


async def test_an_existing_folder_is_refused_before_any_hook_runs(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", pre_gen_project="raise SystemExit('a hook ran')")
        (home.outputs / "made").mkdir()
        with pytest.raises(TargetExists) as raised:
            await dynamo.create_project("one", str(home.outputs))
        assert "`overwrite`" in raised.value.hint
        assert home.scratch == []
    assert list((home.outputs / "made").iterdir()) == []
    assert list((home.path / "projects").iterdir()) == []


@pytest.mark.parametrize("if_exists", ["error", "skip", "overwrite"])
async def test_what_is_there_and_is_no_folder_is_not_offered_to_be_kept_or_overwritten(
    home: Home, if_exists: IfExists
) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        (home.outputs / "made").touch()
        with pytest.raises(TargetExists, match="exists already, and is not a folder") as raised:
            await dynamo.create_project("one", str(home.outputs), if_exists=if_exists)
        preview = await dynamo.preview_project("one", str(home.outputs), if_exists=if_exists)
    assert "overwrite" not in raised.value.hint
    assert preview.problem == f"{raised.value.message}; {raised.value.hint}"


async def test_skip_keeps_what_is_there_and_adds_what_is_not(home: Home) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        project = await dynamo.create_project("one", str(home.outputs), if_exists="skip")
    assert (target / "src" / "main.txt").read_text() == "of a person"
    assert (target / "new.txt").read_text() == "new"
    assert project.kept == ("src/main.txt",)
    assert project.files == ("README.md", "new.txt")
    _kept(home, target)


async def test_overwrite_replaces_what_the_template_makes_and_keeps_the_rest(home: Home) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        project = await dynamo.create_project("one", str(home.outputs), if_exists="overwrite")
    assert (target / "src" / "main.txt").read_text() == "of the template"
    assert project.kept == ()
    assert project.files == ("README.md", "new.txt", "src/main.txt")
    _kept(home, target)


def _kept(home: Home, target: Path) -> None:
    assert (target / "src" / "own.txt").read_text() == "own"
    assert stat.S_IMODE((target / "src" / "own.txt").stat().st_mode) == 0o600
    assert (target / ".git" / "HEAD").read_text() == "ref"
    assert (target / "link").readlink() == Path("src/own.txt")
    assert home.made == ["made"]


@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
async def test_a_persons_private_folder_stays_private(home: Home, if_exists: IfExists) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        target.chmod(0o700)
        (target / "src").chmod(0o700)
        await dynamo.create_project("one", str(home.outputs), if_exists=if_exists)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (target, target / "src")] == [0o700, 0o700]


@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
async def test_an_overwritten_file_that_has_another_name_elsewhere_changes_here_only(
    home: Home, if_exists: IfExists
) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        os.link(target / "src" / "main.txt", home.root / "elsewhere")
        await dynamo.create_project("one", str(home.outputs), if_exists=if_exists)
    assert (home.root / "elsewhere").read_text() == "of a person"


@pytest.mark.parametrize("if_exists", ["error", "skip", "overwrite"])
async def test_a_link_or_a_file_in_the_place_of_the_project_is_never_written_through(
    home: Home, if_exists: IfExists
) -> None:
    elsewhere = home.root / "elsewhere"
    elsewhere.mkdir()
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        (home.outputs / "l").symlink_to(elsewhere)
        (home.outputs / "f").write_text("x")
        for name in ("l", "f"):
            with pytest.raises(TargetExists):
                await dynamo.create_project("one", str(home.outputs), {"slug": name}, if_exists=if_exists)
    assert list(elsewhere.iterdir()) == []
    assert (home.outputs / "f").read_text() == "x"


@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
async def test_a_failed_create_leaves_an_existing_project_as_it_was(home: Home, if_exists: IfExists) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        await home.add(dynamo, "failing", {f"{SLUG}/src/main.txt": "z"}, post_gen_project="raise SystemExit(1)")
        with pytest.raises(DynamoError):
            await dynamo.create_project("failing", str(home.outputs), if_exists=if_exists)
        assert home.scratch == []
    assert (target / "src" / "main.txt").read_text() == "of a person"
    _kept(home, target)


async def test_of_two_creates_to_one_place_one_wins_and_the_other_is_told(home: Home) -> None:
    ended: list[str] = []
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project="import time; time.sleep(0.3)")

        async def create() -> None:
            try:
                await dynamo.create_project("one", str(home.outputs))
                ended.append("made")
            except TargetExists:
                ended.append("exists")

        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                tasks.start_soon(create)
        assert home.scratch == []
    assert sorted(ended) == ["exists", "made"]
    assert len(list((home.path / "projects").iterdir())) == 1


# Records


async def test_a_created_project_is_recorded_as_it_was_answered(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project="print('hooked')")
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "recorded"})
    record = home.path / "projects" / f"{project.id}.json"
    assert msgspec.json.decode(record.read_bytes(), type=Project) == project
    assert project.answers == {"slug": "recorded"}
    assert project.template == "one"
    assert project.hooks[0].output == "hooked\n"
    assert len(project.revision) == 64
    assert "publish" in project.seconds


# What a template makes that it should not


async def test_what_leaves_the_project_is_left_out_and_told(home: Home) -> None:
    hook = (
        "import os, pathlib\nos.symlink('/etc/passwd', 'absolute')\nos.symlink('../../x', 'climbing')\n"
        "os.symlink('README.md', 'fine')\npathlib.Path('../beside').write_text('x')\n"
    )
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        project = await dynamo.create_project("one", str(home.outputs))
    assert project.files == ("README.md", "fine")
    assert [line.partition(":")[0] for line in project.left_out] == ["absolute", "climbing", "../beside"]
    assert home.made == ["made"]


async def test_what_is_trusted_with_everything_may_link_out_and_make_as_much_as_it_likes(home: Home) -> None:
    hook = "import os\nos.symlink('/etc/passwd', 'absolute')\nfor n in range(20):\n  open(f'{n}', 'w').write('x' * 99)"
    async with home.open(person=True, output_files=9, output_bytes=999) as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        with pytest.raises(RenderFailed):
            await dynamo.create_project("one", str(home.outputs))
        project = await dynamo.create_project("one", str(home.outputs), trust="full")
    assert len(project.files) == 22
    assert project.left_out == ()
    assert (home.outputs / "made" / "absolute").readlink() == Path("/etc/passwd")


async def test_a_pipe_is_left_out_at_any_trust(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project="import os\nos.mkfifo('fifo')")
        project = await dynamo.create_project("one", str(home.outputs), trust="full")
    assert project.left_out == ("fifo: it is neither a file, a folder nor a link",)


async def test_a_hook_that_removes_its_project_is_the_templates_fault(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project="import os, shutil\nshutil.rmtree(os.getcwd())")
        with pytest.raises(RenderFailed):
            await dynamo.create_project("one", str(home.outputs))
        assert home.scratch == []
    assert home.made == []


async def test_a_project_of_too_many_files_is_refused_and_nothing_of_it_is_left(home: Home) -> None:
    async with home.open(output_files=50) as dynamo:
        await home.add(dynamo, "one", post_gen_project="for n in range(100): open(f'{n}', 'w').close()")
        with pytest.raises(RenderFailed, match="more than 50 files") as raised:
            await dynamo.create_project("one", str(home.outputs))
        assert "DYNAMO_MCP_OUTPUT_FILES" in raised.value.hint
        assert home.scratch == []
    assert home.made == []


async def test_a_failed_create_leaves_no_output_folder_that_was_not_there(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "failing", post_gen_project="raise SystemExit(1)")
        with pytest.raises(DynamoError):
            await dynamo.create_project("failing", str(home.outputs / "new" / "deep"))
    assert home.made == []
