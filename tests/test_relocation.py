"""What becomes of the sandbox's own path in what a hook wrote: a project knows its place, or says where it does not."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest

from dynamo_mcp.copying import CHUNK_BYTES, Limits, copy_tree
from dynamo_mcp.relocation import NOTES, REPAIRED_BYTES, Move, repair
from dynamo_mcp.types import HookRun, IfExists, Trust
from homes import SLUG, Home, base_environments

HOOK = """
import json, os, pathlib, sqlite3, tempfile
here = os.getcwd()
pathlib.Path("place.txt").write_text(here + "\\n" + here + "/src\\n", newline="")
pathlib.Path("deep").mkdir()
pathlib.Path("deep/run").write_text("#!" + here + "/bin/python\\n")
os.chmod("deep/run", 0o555)
pathlib.Path("place.json").write_text(json.dumps({"root": here}))
pathlib.Path("place.bin").write_bytes(b"\\0" + here.encode())
pathlib.Path("temporary.txt").write_text(tempfile.gettempdir())
pathlib.Path("other.txt").write_text("/output/other")
os.symlink(here + "/place.txt", "deep/link")
print("made", here)
"""


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


@pytest.mark.anyio
@pytest.mark.parametrize("if_exists", ["error", "overwrite"])
async def test_what_a_hook_wrote_of_its_place_is_the_place_of_the_project(home: Home, if_exists: IfExists) -> None:
    if if_exists == "overwrite":
        (home.outputs / "made").mkdir()
        (home.outputs / "made" / "place.txt").write_text("old")
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=HOOK)
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "made"}, if_exists=if_exists)
    made = home.outputs / "made"
    assert (made / "place.txt").read_text() == f"{made}\n{made}/src\n"
    assert (made / "deep" / "run").read_text() == f"#!{made}/bin/python\n"
    assert stat.S_IMODE((made / "deep" / "run").stat().st_mode) == 0o555
    assert json.loads((made / "place.json").read_text()) == {"root": str(made)}
    assert (made / "other.txt").read_text() == "/output/other"
    assert (made / "deep" / "link").readlink() == Path("../place.txt")
    assert project.hooks[0].output == f"made {made}\n"
    told = dict(note.split(": ", 1) for note in project.notes)
    replaced = "the path of the sandbox in it was replaced by that of the project"
    assert told == {
        "deep/run": replaced,
        "place.bin": "it holds the path of the sandbox that it was made in, and is not UTF-8 text",
        "place.json": replaced,
        "place.txt": replaced,
        "temporary.txt": "it holds a path of the sandbox that could not be replaced, and is gone",
    }
    assert project.left_out == ()


@pytest.mark.anyio
async def test_a_virtual_environment_that_a_hook_made_works_where_the_project_is(home: Home) -> None:
    hook = "import subprocess, sys\n"
    hook += "subprocess.run([sys._base_executable, '-m', 'venv', '--without-pip', '.venv'], check=True)"
    async with home.open() as dynamo:
        await home.add(
            dynamo, "one", {f"{SLUG}/run.sh": ". .venv/bin/activate && echo $VIRTUAL_ENV"}, post_gen_project=hook
        )
        await dynamo.create_project("one", str(home.outputs))
    said = await anyio.run_process(["sh", "run.sh"], cwd=home.outputs / "made")
    assert said.stdout.decode() == f"{home.outputs}/made/.venv\n"


PLENTY = 1 << 30
MOVE = Move("/output/0123456789abcdef", "/somewhere/else", "made")


@pytest.mark.anyio
async def test_a_path_is_replaced_however_it_is_written_or_its_file_is_told(home: Home) -> None:
    hook = """import json, os, pathlib, urllib.parse
here = os.getcwd()
text = {"url": pathlib.Path.cwd().as_uri() + "/a%20b", "part": "?at=" + urllib.parse.quote(here, safe="")}
pathlib.Path("place.json").write_text(json.dumps({"root": here, **text}).replace("/", chr(92) + "/"))
pathlib.Path("place.txt").write_text(text["url"])
pathlib.Path("part.txt").write_text(text["part"])
pathlib.Path("little.txt").write_bytes(here.encode("utf-16-le"))
pathlib.Path("big.txt").write_bytes(here.encode("utf-16-be"))
pathlib.Path("reversed.txt").write_text(here.replace("/", ":"))
"""
    outputs = home.outputs / "some where, è"
    made = outputs / "made"
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        project = await dynamo.create_project("one", str(outputs))
    part = "?at=" + quote(str(made), safe="")
    assert json.loads((made / "place.json").read_text()) == {
        "root": str(made),
        "url": made.as_uri() + "/a%20b",
        "part": part,
    }
    assert (made / "place.json").read_text().count("\\/") > 10
    assert (made / "place.txt").read_text() == made.as_uri() + "/a%20b"
    assert (made / "part.txt").read_text() == part
    told = dict(note.split(": ", 1) for note in project.notes)
    for name in ("place.json", "place.txt", "part.txt"):
        assert told[name] == "the path of the sandbox in it was replaced by that of the project"
    for name in ("little.txt", "big.txt"):
        assert told[name].endswith("and is not UTF-8 text")
    assert told["reversed.txt"] == "it holds a path of the sandbox that could not be replaced, and is gone"


@pytest.mark.parametrize(
    "spelled", [b"file:/output/%s/x", b"%%2foutput%%2f%s", b"/output/%s", b"file:\\/\\/\\/output\\/%s"]
)
def test_nothing_of_the_sandbox_stays_in_a_path(spelled: bytes) -> None:
    repaired = MOVE.repaired(spelled % MOVE.mark)
    assert repaired.endswith((b"/x", b"else"))
    assert MOVE.mark not in repaired
    assert b"output" not in repaired


@pytest.mark.parametrize("before", [0, 7, CHUNK_BYTES - 30, CHUNK_BYTES - 3, CHUNK_BYTES, 2 * CHUNK_BYTES - 9])
def test_a_path_is_found_wherever_in_a_file_it_is(tmp_path: Path, before: int) -> None:
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide" / "file").write_bytes(b"x" * before + MOVE.made.encode("utf-16-be") + b"y" * 50)
    assert copy_tree(tmp_path / "wide", tmp_path / "w", limits=Limits(1 << 30, 10), move=MOVE).marked == ["file"]
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").write_bytes(b"x" * before + b"/output/0123456789abcdef/made" + b"y" * 50)
    copied = copy_tree(tmp_path / "made", tmp_path / "copy", limits=Limits(1 << 30, 10), move=MOVE)
    assert copied.marked == ["file"]
    repair(tmp_path / "copy", copied.marked, MOVE, PLENTY)
    assert (tmp_path / "copy" / "file").read_bytes() == b"x" * before + b"/somewhere/else/made" + b"y" * 50


def test_a_file_that_is_too_large_is_left_as_it_is_and_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"/output/0123456789abcdef" + b"x" * REPAIRED_BYTES)
    (note,) = repair(tmp_path, ["large"], MOVE, PLENTY)
    assert (
        note == f"large: it holds the path of the sandbox that it was made in, and has more than {REPAIRED_BYTES} bytes"
    )
    assert (tmp_path / "large").read_bytes().startswith(b"/output/0123456789abcdef")


def test_of_many_files_so_many_are_told(tmp_path: Path) -> None:
    names = [f"{number}" for number in range(NOTES + 5)]
    for name in names:
        (tmp_path / name).write_text(MOVE.made)
    notes = repair(tmp_path, names, MOVE, PLENTY)
    assert len(notes) == NOTES + 1
    assert notes[-1] == "and 5 more files"
    assert {(tmp_path / name).read_text() for name in names} == {MOVE.published}


FAR = Move(MOVE.made, "/far" * 1000, "made")


def test_a_file_that_would_be_too_large_with_its_place_is_left_as_it_is_and_told(tmp_path: Path) -> None:
    text = f"{MOVE.made}\n" * (REPAIRED_BYTES // 2000)
    (tmp_path / "many").write_text(text)
    growth = (len(FAR.published) - len(FAR.made)) * (REPAIRED_BYTES // 2000)
    (note,) = repair(tmp_path, ["many"], FAR, sys.maxsize)
    assert note.startswith("many: it holds the path of the sandbox that it was made in, and would grow by ")
    assert note.endswith(f" by {growth} bytes, more than it may")
    assert (tmp_path / "many").read_text() == text


def test_repaired_files_grow_no_further_than_a_project_may(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(MOVE.made + quote(MOVE.made, safe=""))
    growth = len(FAR.repaired((tmp_path / "a").read_bytes())) - (tmp_path / "a").stat().st_size
    notes = repair(tmp_path, ["a", "b", "c"], FAR, 2 * growth + 1)
    assert [(tmp_path / name).read_text().count("/far") for name in ("a", "b", "c")] == [1000, 1000, 0]
    assert [note.partition(", ")[2] for note in notes] == [
        "",
        "",
        f"and would grow by {growth} bytes, more than it may",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("trust", ["contained", "full"])
async def test_a_project_with_much_of_its_place_is_no_larger_than_it_may_be(home: Home, trust: Trust) -> None:
    hook = (
        "import os\nhere = os.getcwd() + '\\n'\n"
        "for n in range(3): open(f'f{n}', 'w').write(here * (500_000 // len(here)))\nprint(here * 1000)"
    )
    far = home.outputs / "/".join(["far" * 60] * 10)
    async with home.open(person=True, output_bytes=2_000_000) as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        project = await dynamo.create_project("one", str(far), trust=trust)
        kept = dynamo.settings.hook_output_bytes
    made = far / "made"
    assert sum((made / name).stat().st_size for name in project.files) < (
        2_000_000 if trust == "contained" else 30 << 20
    )
    assert len(project.hooks[0].output.encode()) < kept + 200
    assert project.hooks[0].output.endswith(f"{made}\n\n")


KEPT_BYTES = 64 << 10


def test_of_what_a_hook_printed_the_end_is_told_with_how_much_was_left_out() -> None:
    line = f"{MOVE.made}\n"
    assert MOVE.told([HookRun("h", line * 2, 0.1)], KEPT_BYTES)[0].output == f"{MOVE.published}\n" * 2
    (run,) = FAR.told([HookRun("h", "[7 bytes left out: how]\n" + line * 1000, 0.1)], KEPT_BYTES)
    head, _, rest = run.output.partition("\n")
    assert len(rest) == KEPT_BYTES
    assert head == f"[{7 + 1000 * (len(FAR.published) + 1) - KEPT_BYTES} bytes left out: how]"
    (run,) = FAR.told([HookRun("h", line * 1_000_000, 0.1)], KEPT_BYTES)
    assert len(run.output) < KEPT_BYTES + 100


@pytest.mark.parametrize(
    ("link", "destination", "leads"),
    [
        ("here", "/output/0123456789abcdef/made/", "."),
        ("here", "/output/0123456789abcdef/made", "."),
        ("deep/here", "/output/0123456789abcdef/made", "../"),
        ("deep/here", "/output/0123456789abcdef/made//deep/file", "../deep/file"),
        ("deep/up", "/output/0123456789abcdef/made/..", None),
        ("up", "/output/0123456789abcdef/made/deep/../deep/file", None),
        ("near", "/output/0123456789abcdef/made2", None),
    ],
)
def test_a_link_to_the_project_itself_leads_there_and_one_that_climbs_is_left_out(
    tmp_path: Path, link: str, destination: str, leads: str | None
) -> None:
    (tmp_path / "made" / "deep").mkdir(parents=True)
    os.symlink(destination, tmp_path / "made" / link)  # noqa: PTH211 - as it is, not normalised
    copied = copy_tree(tmp_path / "made", tmp_path / "copy", limits=Limits(1 << 30, 10), move=MOVE)
    if leads is None:
        assert [line.partition(":")[0] for line in copied.left_out] == [link]
    else:
        assert os.readlink(tmp_path / "copy" / link) == leads  # noqa: PTH115 - likewise
        assert (tmp_path / "copy" / link).resolve().is_relative_to(tmp_path / "copy")
