"""Where projects go, what becomes of what is there already, and what is left when something fails."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from conftest import Listener
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, HookFailed, OutputRefused, RenderFailed, TargetExists
from dynamo_mcp.project_views import Project
from dynamo_mcp.types import IfExists
from homes import SECONDS, SLUG, Home, base_environments, write_template

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
            await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
        preview = await dynamo.preview_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
    assert "overwrite" not in raised.value.hint
    assert preview.problem == f"{raised.value.message}; {raised.value.hint}"


async def test_skip_keeps_what_is_there_and_adds_what_is_not(home: Home) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists="skip")
    assert (target / "src" / "main.txt").read_text() == "of a person"
    assert (target / "new.txt").read_text() == "new"
    assert project.kept == ("src/main.txt",)
    assert project.files == ("README.md", "new.txt")
    _kept(home, target)


async def test_overwrite_replaces_what_the_template_makes_and_keeps_the_rest(home: Home) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists="overwrite")
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
        await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (target, target / "src")] == [0o700, 0o700]


@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
async def test_an_overwritten_file_that_has_another_name_elsewhere_changes_here_only(
    home: Home, if_exists: IfExists
) -> None:
    async with home.open() as dynamo:
        target = await prepared(home, dynamo)
        os.link(target / "src" / "main.txt", home.root / "elsewhere")
        await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
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
            await dynamo.create_project("failing", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
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


HOOK_BESIDE = """
import os, pathlib
os.mkdir("../tools")
pathlib.Path("../tools/run").write_text(os.getcwd())
os.chmod("../tools/run", 0o755)
os.symlink(os.getcwd() + "/README.md", "../tools/link")
pathlib.Path("../package.json").write_text("of the template")
os.mkfifo("../fifo")
"""


async def test_what_a_hook_put_beside_its_project_is_there_where_it_is_trusted_with_everything(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project=HOOK_BESIDE)
        project = await dynamo.create_project("one", str(home.outputs), trust="full")
        assert home.scratch == []
    assert home.made == ["made", "package.json", "tools"]
    assert (home.outputs / "package.json").read_text() == "of the template"
    assert (home.outputs / "tools" / "run").read_text() == project.path
    assert stat.S_IMODE((home.outputs / "tools" / "run").stat().st_mode) == 0o755
    assert (home.outputs / "tools" / "link").read_text() == "made\n"
    assert project.files == ("README.md",)
    assert project.left_out == ("../fifo: it is neither a file, a folder nor a link",)
    assert project.notes == (
        "../tools/run: the path of the sandbox in it was replaced by that of the project",
        "../package.json: it is beside the project, where a hook put it",
        "../tools: it is beside the project, where a hook put it",
    )


@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
async def test_nothing_that_is_there_is_replaced_by_what_a_hook_put_beside_its_project(
    home: Home, if_exists: IfExists
) -> None:
    (home.outputs / "package.json").write_text("of a person")
    (home.outputs / "tools").mkdir()
    (home.outputs / "made").mkdir()
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project=HOOK_BESIDE)
        project = await dynamo.create_project(
            "one", str(home.outputs), {"slug": "made"}, trust="full", if_exists=if_exists
        )
    assert (home.outputs / "package.json").read_text() == "of a person"
    assert list((home.outputs / "tools").iterdir()) == []
    assert project.left_out[:2] == (
        "../package.json: it is outside the project, and there is one already",
        "../tools: it is outside the project, and there is one already",
    )
    assert project.notes == ()


async def test_a_failed_create_leaves_nothing_beside_its_project(home: Home, audited: list[Listener]) -> None:
    def come_first(event: str, arguments: tuple[Any, ...]) -> None:
        # Somebody makes the project's folder after everything was looked at.
        if event == "os.rename" and str(arguments[1]) == str(home.outputs / "package.json"):
            (home.outputs / "made").mkdir()

    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project=HOOK_BESIDE)
        audited.append(come_first)
        with pytest.raises(TargetExists):
            await dynamo.create_project("one", str(home.outputs), trust="full")
        assert home.scratch == []
    assert home.made == ["made"]
    assert list((home.path / "projects").iterdir()) == []


async def test_what_comes_while_a_project_is_published_is_not_replaced(home: Home, audited: list[Listener]) -> None:
    def come_first(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(arguments[1]) == str(home.outputs / "package.json"):
            (home.outputs / "package.json").write_text("of a person")

    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project=HOOK_BESIDE)
        audited.append(come_first)
        project = await dynamo.create_project("one", str(home.outputs), trust="full")
    assert (home.outputs / "package.json").read_text() == "of a person"
    assert project.left_out[1] == "../package.json: it is outside the project, and there is one already"
    assert home.made == ["made", "package.json", "tools"]


@pytest.mark.parametrize("if_exists", ["error", "overwrite"])
async def test_no_other_call_waits_while_a_project_is_written_and_published(
    home: Home, audited: list[Listener], if_exists: IfExists
) -> None:
    loop = threading.get_ident()
    on_loop: list[tuple[str, Any]] = []
    elsewhere: list[tuple[str, Any]] = []
    folders = (home.outputs, home.path / "projects", home.path / "targets")

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        written = event in {"os.mkdir", "os.rename", "os.link", "os.remove"} or (event == "open" and arguments[2] & 3)
        if written and any(str(argument).startswith(tuple(map(str, folders))) for argument in arguments):
            (on_loop if threading.get_ident() == loop else elsewhere).append((event, arguments))

    async with home.open() as dynamo:
        if if_exists == "error":
            await home.add(dynamo, "one")
        else:
            await prepared(home, dynamo)
        audited.append(listen)
        folder = home.outputs / "new" if if_exists == "error" else home.outputs
        await dynamo.create_project("one", str(folder), {"slug": "made"}, if_exists=if_exists)
    assert elsewhere
    assert on_loop == []


async def test_of_much_beside_a_project_it_is_told_how_much(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project="for n in range(15): open(f'../{n:02}', 'w').close()")
        contained = await dynamo.create_project("one", str(home.outputs))
        full = await dynamo.create_project("one", str(home.outputs / "other"), trust="full")
    assert len(contained.left_out) == 11
    assert contained.left_out[-1] == "and 5 more"
    assert full.notes[-2:] == (
        "../09: it is beside the project, where a hook put it",
        "and 5 more beside the project",
    )


async def test_a_pipe_is_left_out_at_any_trust(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project="import os\nos.mkfifo('fifo')")
        project = await dynamo.create_project("one", str(home.outputs), trust="full")
    assert project.left_out == ("fifo: it is neither a file, a folder nor a link",)


async def test_a_hook_may_set_the_set_gid_bit_which_gains_nothing_and_is_left_out_and_told(home: Home) -> None:
    hook = (
        "import os\nos.mkdir('shared')\nos.chmod('shared', 0o2775)\nopen('shared/file', 'w').close()\n"
        "os.chmod('shared/file', 0o3644)\nassert os.statvfs('.').f_flag & os.ST_NOSUID\n"
    )
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        project = await dynamo.create_project("one", str(home.outputs))
    assert project.left_out == (
        "shared/file: it is there without its set-gid bit",
        "shared/file: it is there without its sticky bit",
        "shared: it is there without its set-gid bit",
    )
    made = home.outputs / "made" / "shared"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made / "file")] == [0o775, 0o644]


async def test_only_its_user_reaches_what_a_renderer_makes(home: Home) -> None:
    (home.path / "scratch").mkdir()
    (home.path / "scratch").chmod(0o2777)
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs))
        (room,) = (home.path / "scratch").glob("*/renderer-*")
        assert stat.S_IMODE(room.stat().st_mode) == 0o700


@pytest.mark.parametrize("code", ["os.mkfifo('fifo')", "os.mknod('device', 0o60600)", "os.chmod('README.md', 0o4755)"])
async def test_a_hook_that_makes_what_the_sandbox_permits_nobody_fails_with_a_hint(home: Home, code: str) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=f"import os\n{code}")
        with pytest.raises(HookFailed) as raised:
            await dynamo.create_project("one", str(home.outputs))
    assert "nothing can be made set-uid, a FIFO, a socket or a device" in raised.value.hint


async def test_a_live_template_with_a_set_uid_file_fails_with_a_hint(home: Home) -> None:
    folder = write_template(home.templates / "one", {f"{SLUG}/run": "x"})
    (folder / SLUG / "run").chmod(0o4755)
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), name="one", live=True)
        with pytest.raises(RenderFailed, match="Operation not permitted") as raised:
            await dynamo.create_project("one", str(home.outputs))
    assert "nothing can be made set-uid" in raised.value.hint


async def test_a_hook_has_a_home_folder_to_write_to_of_which_the_next_one_sees_nothing(home: Home) -> None:
    hook = (
        "import pathlib\nfolder = pathlib.Path.home() / '.cache'\nfolder.mkdir()\n(folder / 'x').write_text('x')\n"
        "print(pathlib.Path.home() == pathlib.Path.cwd())\n"
    )
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        for folder in ("first", "second"):
            project = await dynamo.create_project("one", str(home.outputs / folder))
            assert project.hooks[0].output.strip() == "False"
            assert project.files == ("README.md",)


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
