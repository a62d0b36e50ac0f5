"""What would be made: told as a create would do it, without making it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.errors import HookFailed, InvalidAnswers, NotFound, OutputRefused, Refused
from dynamo_mcp.previews import REASONS
from dynamo_mcp.project_views import Preview
from dynamo_mcp.types import IfExists
from homes import SECONDS, SLUG, Home, base_environments, processes_of, until, workers

pytestmark = pytest.mark.anyio

TRACE = "import pathlib\npathlib.Path('trace').write_text('t')\nprint('the hook ran')\n"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def held(folder: Path) -> dict[str, tuple[int, str]]:
    """Return everything below a folder: its mode, and what it holds or leads to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = str(path.readlink()) if path.is_symlink() else "" if path.is_dir() else path.read_text("latin-1")
        found[str(path)] = (path.lstat().st_mode, inside)
    return found


def changes(preview: Preview) -> dict[str, str]:
    return {file.path: file.change for file in preview.files}


def kept(path: str) -> bool:
    """Tell whether a file is a server's own: what it works with, and what a template's later jobs need not compile."""
    return "/scratch/" in path or "/compiled/" in path


async def test_the_files_are_those_that_a_create_makes_and_nothing_is_made(home: Home) -> None:
    run = f"{SLUG}/run.sh"
    async with home.open() as dynamo:
        checkout = await home.add(dynamo, "one", {run: "#!/bin/sh\n", f"{SLUG}/src/{SLUG}.py": "é\n"})
        (checkout / run).chmod(0o755)
        (checkout / SLUG / "link").symlink_to("run.sh")
        before = held(home.root)
        preview = await dynamo.preview_project("one", str(home.outputs / "new" / "deep"), {"slug": "shells"})
        assert home.scratch == []
        after = held(home.root)
        assert {path: what for path, what in after.items() if not kept(path)} == {
            path: what for path, what in before.items() if not kept(path)
        }
        project = await dynamo.create_project("one", str(home.outputs / "new" / "deep"), {"slug": "shells"})
    assert preview.path == project.path
    assert preview.directory == "shells"
    assert (preview.exists, preview.problem, preview.more) == (False, None, 0)
    assert tuple(file.path for file in preview.files) == project.files
    assert preview.answers == project.answers
    assert (preview.trust, preview.tier, preview.mechanisms) == (project.trust, project.tier, project.mechanisms)
    for file in preview.files:
        made = Path(project.path) / file.path
        assert file.mode == f"{stat.S_IMODE(made.lstat().st_mode):04o}"
        assert file.bytes == (0 if made.is_symlink() else made.stat().st_size)
        assert file.link is None
    assert preview.bytes == sum(file.bytes for file in preview.files)
    assert set(changes(preview).values()) == {"new"}


async def test_a_default_of_the_operator_that_does_not_fit_is_told_where_it_would_count(home: Home) -> None:
    (home.root / "rc").write_text("default_context: {port: many}")
    async with home.open({"DYNAMO_MCP_USER_CONFIG": str(home.root / "rc")}) as dynamo:
        await home.add(dynamo, "one", configuration={"slug": "made", "port": 80})
        (note,) = (await dynamo.preview_project("one")).notes
        given = await dynamo.preview_project("one", variables={"port": 5})
        project = await dynamo.create_project("one", str(home.outputs), {"port": 5})
    assert note.startswith("user configuration: `port`")
    assert given.notes == project.notes == ()


async def test_hooks_are_named_but_do_not_run_unless_asked(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", pre_gen_project=TRACE, post_gen_project=TRACE.replace("trace", "later"))
        off = await dynamo.preview_project("one", str(home.outputs))
        on = await dynamo.preview_project("one", str(home.outputs), hooks=True)
        assert home.scratch == []
    assert off.hooks == on.hooks == ("post_gen_project.py", "pre_gen_project.py")
    assert (off.ran, list(changes(off))) == ((), ["README.md"])
    assert [run.output for run in on.ran] == ["the hook ran\n"] * 2
    assert list(changes(on)) == ["README.md", "later", "trace"]
    assert home.made == []


async def test_the_hook_that_makes_the_template_runs_even_so(home: Home) -> None:
    make = "import os\nos.makedirs('{{cookiecutter.slug}}')\nopen('{{cookiecutter.slug}}/made', 'w').close()\n"
    async with home.open() as dynamo:
        folder = home.templates / "self-made"
        (folder / "hooks").mkdir(parents=True)
        (folder / "cookiecutter.json").write_text('{"slug": "s"}')
        (folder / "hooks" / "pre_prompt.py").write_text(make)
        await dynamo.add_template(str(folder), name="self-made")
        preview = await dynamo.preview_project("self-made")
    assert list(changes(preview)) == ["made"]
    assert [run.hook for run in preview.ran] == ["pre_prompt.py"]


async def test_a_failing_hook_that_was_asked_for_is_told_and_leaves_nothing(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project="raise SystemExit('no')")
        with pytest.raises(HookFailed):
            await dynamo.preview_project("one", str(home.outputs), hooks=True)
        assert home.scratch == []
    assert home.made == []


async def test_answers_and_folders_are_checked_as_for_a_create(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(InvalidAnswers, match="did you mean `slug`"):
            await dynamo.preview_project("one", variables={"slog": "x"})
        with pytest.raises(OutputRefused):
            await dynamo.preview_project("one", str(home.root / "elsewhere"))
    assert not (home.root / "elsewhere").exists()


PLACES = """
import os, pathlib, tempfile
here = os.getcwd()
pathlib.Path("place.txt").write_text(here + "\\n")
pathlib.Path("place.bin").write_bytes(b"\\0" + here.encode())
pathlib.Path("temporary.txt").write_text(tempfile.gettempdir())
os.symlink(here + "/place.txt", "link")
print("made", here)
"""


@pytest.mark.parametrize("if_exists", ["error", "skip", "overwrite"])
async def test_what_hooks_wrote_of_their_place_is_shown_as_a_create_leaves_it(home: Home, if_exists: IfExists) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=PLACES)
        options: dict[str, Any] = {"output_dir": str(home.outputs), "if_exists": if_exists}
        options["variables"] = {"slug": "made"}
        if if_exists != "error":
            (home.outputs / "made").mkdir()
            (home.outputs / "made" / "place.txt").write_text("old\n")
        preview = await dynamo.preview_project("one", **options, file="place.txt", diff=True, hooks=True)
        project = await dynamo.create_project("one", **options)
        again = await dynamo.preview_project("one", **{**options, "if_exists": "overwrite"}, hooks=True)
    assert preview.notes == project.notes
    assert [note.partition(":")[0] for note in preview.notes] == [
        "place.bin",
        *(["place.txt"] if if_exists != "skip" else []),
        "temporary.txt",
    ]
    assert preview.left_out == project.left_out == ()
    assert [run.output for run in preview.ran] == [run.output for run in project.hooks] == [f"made {project.path}\n"]
    assert preview.text is not None
    assert preview.text.text == f"{project.path}\n"
    assert (preview.diff or "").count(f"+{project.path}\n") == (1 if if_exists == "overwrite" else 0)
    for file in preview.files:
        made = Path(project.path) / file.path
        if file.change != "kept":
            assert file.bytes == (0 if made.is_symlink() else made.stat().st_size)
            assert file.link == (str(made.readlink()) if made.is_symlink() else None)
    assert changes(again)["link"] == "same"
    assert changes(again)["place.txt"] == ("changed" if if_exists == "skip" else "same")


# Against what is there


def existing(home: Home) -> Path:
    """Make a person's project where a create would write, with links that lead out of it."""
    target = home.outputs / "made"
    (target / "src").mkdir(parents=True)
    (target / "README.md").write_text("made\n")
    (target / "src" / "main.py").write_text("one\ntwo\nthree")
    (target / "logo.png").write_bytes(b"\0old")
    (target / "run.sh").write_text("#!/bin/sh\n")
    (target / "own.txt").write_text("own")
    outside = home.root / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the secret\n")
    (target / "to-a-file").symlink_to(outside / "secret")
    (target / "to-a-folder").symlink_to(outside)
    (target / "folder").mkdir()
    return target


COMPARED: dict[str, str | bytes] = {
    f"{SLUG}/src/main.py": "one\n2\nthree\n",
    f"{SLUG}/logo.png": b"\0new",
    f"{SLUG}/run.sh": "#!/bin/sh\n",
    f"{SLUG}/new.txt": "new\n",
    f"{SLUG}/to-a-file": "mine\n",
    f"{SLUG}/to-a-folder/secret": "mine\n",
    f"{SLUG}/own.txt/new": "not a file\n",
    f"{SLUG}/folder": "not a folder\n",
}


@pytest.mark.parametrize("if_exists", ["error", "skip", "overwrite"])
async def test_each_file_says_what_a_create_would_do_with_it(home: Home, if_exists: IfExists) -> None:
    async with home.open() as dynamo:
        checkout = await home.add(dynamo, "one", COMPARED)
        (checkout / SLUG / "run.sh").chmod(0o755)
        target = existing(home)
        before = held(home.root / "outside") | held(target)
        preview = await dynamo.preview_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
        assert held(home.root / "outside") | held(target) == before
        said = changes(preview)
        if if_exists != "error":
            project = await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
            kept = {path for path in said if said[path] == "kept"}
            assert kept <= {path for path in said if any((path + "/").startswith(f"{held}/") for held in project.kept)}
            assert (target / "to-a-folder").is_symlink()
            assert (target / "own.txt").read_text() == "own"
            assert set(project.files) <= {path for path in said if said[path] in {"new", "changed", "same"}}
            assert {path for path in said if said[path] in {"new", "changed"}} <= set(project.files)
    replaced = "kept" if if_exists == "skip" else "changed"
    assert said == {
        "README.md": "same",
        "folder": "kept",
        "logo.png": replaced,
        "new.txt": "new",
        "own.txt/new": "kept",
        "run.sh": replaced,
        "src/main.py": replaced,
        "to-a-file": replaced,
        "to-a-folder/secret": "kept",
    }
    assert preview.exists
    assert (preview.problem is None) == (if_exists != "error")
    if preview.problem is not None:
        assert "exists already" in preview.problem


async def test_a_diff_is_what_changes_in_text_files_and_follows_no_link(home: Home) -> None:
    async with home.open() as dynamo:
        checkout = await home.add(dynamo, "one", COMPARED)
        (checkout / SLUG / "run.sh").chmod(0o755)
        existing(home)
        preview = await dynamo.preview_project("one", str(home.outputs), {"slug": "made"}, diff=True)
        without = await dynamo.preview_project("one", str(home.outputs), {"slug": "made"})
    assert preview.diff == (
        "diff a/run.sh b/run.sh\n"
        "old mode 100644\n"
        "new mode 100755\n"
        "diff a/src/main.py b/src/main.py\n"
        "--- a/src/main.py\n"
        "+++ b/src/main.py\n"
        "@@ -1,3 +1,3 @@\n"
        " one\n"
        "-two\n"
        "-three\n"
        "\\ No newline at end of file\n"
        "+2\n"
        "+three\n"
    )
    assert preview.not_compared == ("logo.png: it is binary", "to-a-file: it is a link, or not a file, on one side")
    assert not preview.diff_cut
    assert without.diff is None


async def test_a_target_that_is_a_link_is_not_followed(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        elsewhere = home.root / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "README.md").write_text("secret\n")
        (home.outputs / "made").symlink_to(elsewhere)
        preview = await dynamo.preview_project(
            "one", str(home.outputs), {"slug": "made"}, if_exists="overwrite", diff=True
        )
    assert changes(preview) == {"README.md": "new"}
    assert preview.diff == ""
    assert "is not a folder" in (preview.problem or "")


# Bounds


async def test_one_file_is_shown_and_what_is_no_text_is_said_to_be_none(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", {f"{SLUG}/b": b"\x89PNG\0"})
        show: Callable[[str], Any] = lambda name: dynamo.preview_project("one", file=name)  # noqa: E731 - it is short
        readme = (await show("./README.md")).text
        assert (readme.path, readme.text, readme.binary, readme.cut) == ("README.md", "made\n", False, False)
        binary = (await show("b")).text
        assert (binary.text, binary.binary) == (None, True)
        for name in ("README", "../one", "/etc/passwd", "nowhere\n"):
            with pytest.raises(NotFound, match="would have no file"):
                await show(name)
        assert home.scratch == []


async def test_huge_files_many_files_and_long_diffs_are_bounded(home: Home) -> None:
    lines = "".join(f"line {number} é\n" for number in range(50_000))
    hook = "for n in range(700): open(f'f{n:03}', 'w').close()"
    files: dict[str, str | bytes] = {f"{SLUG}/big.txt": lines, f"{SLUG}/huge.txt": "x" * (2 << 20)}
    async with home.open() as dynamo:
        await home.add(dynamo, "one", files, post_gen_project=hook)
        target = home.outputs / "made"
        target.mkdir()
        (target / "big.txt").write_text(lines.replace("line", "row"))
        (target / "huge.txt").write_text("y" * (2 << 20))
        preview = await dynamo.preview_project(
            "one", str(home.outputs), {"slug": "made"}, file="big.txt", diff=True, hooks=True
        )
        assert home.scratch == []
    assert (len(preview.files), preview.more) == (500, 203)
    assert preview.text is not None
    assert preview.text.cut
    assert lines.startswith(preview.text.text or "-")
    assert len((preview.text.text or "").encode()) in {65535, 65536}
    assert preview.diff_cut
    assert 60_000 < len((preview.diff or "").encode()) <= 65536
    assert preview.not_compared == ("huge.txt: it has more than 1048576 bytes",)


async def test_of_many_files_that_are_not_in_a_diff_so_many_are_told_and_the_others_counted(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", {f"{SLUG}/b{number:03}": b"\0new" for number in range(REASONS + 7)})
        (home.outputs / "made").mkdir()
        for number in range(REASONS + 7):
            (home.outputs / "made" / f"b{number:03}").write_bytes(b"\0old")
        preview = await dynamo.preview_project("one", str(home.outputs), {"slug": "made"}, diff=True)
    assert len(preview.not_compared) == REASONS + 1
    assert preview.not_compared[-2:] == (f"b{REASONS - 1:03}: it is binary", "and 7 more")


# Confinement


async def test_hooks_never_run_unconfined_for_a_preview(home: Home) -> None:
    (home.root / "bin").mkdir()
    escape = f"open({str(home.root / 'escaped')!r}, 'w').close()"
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project=TRACE)
        await home.add(dynamo, "bad", post_gen_project=escape)
        confined = await dynamo.preview_project("one", hooks=True, trust="full")
        assert (confined.tier, confined.trust) == ("strong", "contained")
        with pytest.raises(HookFailed):
            await dynamo.preview_project("bad", hooks=True, trust="full")
    async with home.open({"PATH": str(home.root / "bin")}, person=True) as dynamo:
        with pytest.raises(Refused, match="no preview runs them otherwise"):
            await dynamo.preview_project("bad", hooks=True, trust="full")
        preview = await dynamo.preview_project("bad", trust="full")
        assert (preview.tier, preview.ran) == ("none", ())
        inert = await dynamo.preview_project("bad", hooks=True, trust="inert")
        assert (inert.tier, inert.hooks, inert.ran) == ("reduced", (), ())
        assert home.scratch == []
    assert not (home.root / "escaped").exists()


async def test_a_caller_that_leaves_leaves_nothing_behind(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project="import time\ntime.sleep(600)")
    async with home.open() as dynamo:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:

                async def look() -> None:
                    await dynamo.preview_project("one", str(home.outputs), hooks=True)

                tasks.start_soon(look)
                await until(lambda: set(workers()) & set(processes_of(home.path)))
                tasks.cancel_scope.cancel()
        await until(lambda: not processes_of(home.path), 10)
        assert home.scratch == []
    assert home.made == []


async def test_what_would_be_left_out_is_told(home: Home) -> None:
    hook = "import os\nos.symlink('/etc/passwd', 'absolute')\nos.symlink('README.md', 'fine')\nos.mkfifo('fifo')\n"
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook.replace("os.mkfifo('fifo')\n", ""))
        preview = await dynamo.preview_project("one", hooks=True)
    assert [line.partition(":")[0] for line in preview.left_out] == ["absolute"]
    assert {file.path: file.link for file in preview.files} == {"README.md": None, "fine": "README.md"}
    assert os.path.lexists(home.path / "outputs" / "made") is False


async def test_folders_that_would_be_empty_are_shown(home: Home) -> None:
    async with home.open() as dynamo:
        checkout = await home.add(dynamo, "one")
        (checkout / SLUG / "logs" / "old").mkdir(parents=True)
        preview = await dynamo.preview_project("one", str(home.outputs))
    assert preview.empty_folders == ("logs/old",)
