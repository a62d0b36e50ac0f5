"""What does a template, or an agent, run into that wants too much? A limit that is named, with how to raise it."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.errors import Busy, DynamoError, HookFailed, InvalidAnswers, LimitReached, RenderFailed
from dynamo_mcp.limits import reached
from dynamo_mcp.progress import Step
from dynamo_mcp.settings import Settings
from homes import SECONDS, SLUG, Home, base_environments, until, write_template

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def failure(home: Home, hook: str, **settings: Any) -> DynamoError:
    """Return how a create fails whose hook does something; the next create works."""
    async with home.open(**settings) as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        await home.add(dynamo, "next")
        with pytest.raises(DynamoError) as raised:
            await dynamo.create_project("one", str(home.outputs))
        await dynamo.create_project("next", str(home.outputs), {"slug": "next"})
        assert home.scratch == []
    assert home.made == ["next"]
    return raised.value


FORKING = """
import os, time
for number in range(200):
    if os.fork() == 0:
        time.sleep(600)
"""
THREADS = "import threading, time\nfor n in range(200): threading.Thread(target=time.sleep, args=(600,)).start()"
TREE = """
import os, time
for number in range(5):
    if os.fork() == 0:
        kept = bytearray(b"x" * (200 << 20))
        time.sleep(600)
time.sleep(600)
"""
FILES = "kept = [open('README.md') for _ in range(500)]"
LARGE = "with open('large', 'wb') as file:\n    for _ in range(40): file.write(bytes(1 << 20))"
SPARSE = "open('sparse', 'wb').truncate(1 << 40)"
TEMPORARY = (
    "import os\nwith open(os.environ['TMPDIR'] + '/x', 'wb') as f:\n    for _ in range(40): f.write(bytes(1 << 20))"
)


@pytest.mark.parametrize(
    ("hook", "chosen", "hint"),
    [
        (
            FORKING,
            {"processes": 20},
            "20 processes and threads at a time, or allow it more with `DYNAMO_MCP_PROCESSES`",
        ),
        (
            THREADS,
            {"processes": 20, "create_seconds": 5},
            "20 processes and threads at a time, or allow it more with `DYNAMO_MCP_PROCESSES`",
        ),
        (FILES, {"open_files": 100}, "100 open files in each process, or allow it more with `DYNAMO_MCP_OPEN_FILES`"),
        (LARGE, {"output_bytes": 8 << 20}, "8388608 bytes, or allow it more with `DYNAMO_MCP_OUTPUT_BYTES`"),
        (SPARSE, {"output_bytes": 80 << 20}, "83886080 bytes, or allow it more with `DYNAMO_MCP_OUTPUT_BYTES`"),
        (
            TEMPORARY,
            {"temporary_bytes": 8 << 20},
            "8388608 bytes of temporary files, or allow it more with `DYNAMO_MCP_TEMPORARY_BYTES`",
        ),
        (
            "bytes(1 << 30)",
            {"memory_bytes": 512 << 20},
            "536870912 bytes of memory, or allow it more with `DYNAMO_MCP_MEMORY_BYTES`",
        ),
        (
            TREE,
            {"memory_bytes": 512 << 20},
            "536870912 bytes of memory, or allow it more with `DYNAMO_MCP_MEMORY_BYTES`",
        ),
        ("while True: pass", {"create_seconds": 3.5}, "`DYNAMO_MCP_CREATE_SECONDS`"),
        ("import os\nos.kill(os.getpid(), 9)", {}, "`DYNAMO_MCP_MEMORY_BYTES`"),
    ],
)
async def test_a_hook_that_runs_into_a_limit_is_told_which_and_how_it_is_raised(
    home: Home, hook: str, chosen: dict[str, Any], hint: str
) -> None:
    error = await failure(home, hook, **chosen)
    assert hint in error.hint


async def test_a_hook_within_the_limits_that_were_raised_works(home: Home) -> None:
    hook = f"{FORKING.replace('200', '100')}\n{FILES}\n{LARGE.replace('40', '70')}"
    async with home.open(processes=150, open_files=600) as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        project = await dynamo.create_project("one", str(home.outputs))
    assert (Path(project.path) / "large").stat().st_size == 70 << 20


async def test_a_file_that_is_too_large_to_be_rendered_is_told_with_the_limit(home: Home) -> None:
    async with home.open(output_bytes=2 << 20, temporary_bytes=1 << 20) as dynamo:
        await home.add(dynamo, "one", {f"{SLUG}/large": "{{ 'x' * 3000000 }}"})
        with pytest.raises(RenderFailed) as raised:
            await dynamo.create_project("one", str(home.outputs))
    assert "2097152 bytes, or allow it more with `DYNAMO_MCP_OUTPUT_BYTES`" in raised.value.hint


async def test_as_much_is_kept_of_what_a_hook_prints_as_is_chosen(home: Home) -> None:
    hook = "import sys\nprint('é' * 3_000_000 + 'the end')\nsys.exit('{{cookiecutter.slug}}' == 'fails')"
    async with home.open(hook_output_bytes=4 << 20) as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        project = await dynamo.create_project("one", str(home.outputs))
        with pytest.raises(HookFailed) as raised:
            await dynamo.create_project("one", str(home.outputs), {"slug": "fails"})
    for text in (project.hooks[0].output, raised.value.message):
        assert "bytes left out: `DYNAMO_MCP_HOOK_OUTPUT_BYTES` keeps more]" in text
        assert text.rstrip().endswith("éthe end")
        assert 4_100_000 < len(text.encode()) < (4 << 20) + 2000


async def test_one_answer_and_all_of_them_are_as_long_as_is_chosen(home: Home) -> None:
    async with home.open(answer_characters=10, total_answer_characters=25) as dynamo:
        await home.add(dynamo, "one", configuration={"slug": "made", "a": "", "b": "", "m": {"k": "v"}})
        with pytest.raises(InvalidAnswers) as raised:
            await dynamo.create_project("one", str(home.outputs), {"a": "x" * 11, "m": {"k": ["y" * 12]}})
        assert [problem.variable for problem in raised.value.problems] == ["a", "m"]
        assert "`a` has 11 characters; 10 are allowed, more with `DYNAMO_MCP_ANSWER_CHARACTERS`" in raised.value.message
        many = {"slug": "made", "a": "x" * 9, "b": "x" * 8, "m": {"key": "y"}}
        with pytest.raises(InvalidAnswers) as raised:
            await dynamo.create_project("one", str(home.outputs), {**many, "b": "x" * 9})
        told = "the answers have 26 characters together; 25 are allowed, more with `DYNAMO_MCP_TOTAL_ANSWER_CHARACTERS`"
        assert told in raised.value.message
        with pytest.raises(InvalidAnswers, match="DYNAMO_MCP_TOTAL_ANSWER_CHARACTERS"):
            await dynamo.check_answers("one", {**many, "b": "x" * 9})
        await dynamo.create_project("one", str(home.outputs), many)


async def test_answers_as_long_as_they_may_be_reach_the_project(home: Home) -> None:
    many = {f"v{number}": "😀" * 100_000 for number in range(5)}
    configuration = {"slug": "made", **dict.fromkeys(many, "")}
    async with home.open(total_answer_characters=600_000) as dynamo:
        await home.add(dynamo, "one", {f"{SLUG}/v4": "{{cookiecutter.v4}}"}, configuration=configuration)
        project = await dynamo.create_project("one", str(home.outputs), many)
    assert (Path(project.path) / "v4").read_text() == many["v4"]


async def test_no_more_templates_are_registered_than_may_be(home: Home) -> None:
    async with home.open(templates=2) as dynamo:
        await home.add(dynamo, "one")
        await home.add(dynamo, "two")
        with pytest.raises(LimitReached) as raised:
            await home.add(dynamo, "three")
        assert raised.value.message == "No more templates can be registered: 2 are, and 2 may be"
        assert "`DYNAMO_MCP_TEMPLATES`" in raised.value.hint
        await dynamo.update_template("one", force=True)
        await dynamo.remove_template("one")
        await home.add(dynamo, "four")
        assert [template.name for template in await dynamo.list_templates()] == ["four", "two"]
        assert home.scratch == []


async def test_each_template_of_a_repository_counts(home: Home) -> None:
    folder = home.templates / "several"
    children = {name: {"path": name} for name in ("a", "b", "c")}
    write_template(folder, configuration={"templates": children})
    for name in children:
        write_template(folder / name)
    async with home.open(templates=3) as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(LimitReached, match="3 more templates can't be registered: 1 are, and 3 may be"):
            await dynamo.add_template(str(folder), name="several")
        assert len(await dynamo.list_templates()) == 1
        await dynamo.remove_template("one")
        await dynamo.add_template(str(folder), name="several")
        assert len(await dynamo.list_templates()) == 3


async def test_a_create_that_waits_is_told_so_and_one_that_may_not_even_wait_is_refused(home: Home) -> None:
    told: list[str] = []
    waits = anyio.Event()

    async def sink(step: Step) -> None:
        told.append(step.message)
        if "waiting for other creates" in step.message:
            waits.set()

    async with home.open(concurrent_creates=1, queued_creates=1) as dynamo:
        await home.add(dynamo, "endless", post_gen_project="import time\ntime.sleep(600)")
        await home.add(dynamo, "one")
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                endless = partial(dynamo.create_project, "endless", str(home.outputs), sink=sink)
                tasks.start_soon(endless)
                await until(lambda: any("running the hook" in message for message in told))
                tasks.start_soon(partial(dynamo.create_project, "one", str(home.outputs), {"slug": "a"}, sink=sink))
                await waits.wait()
                said = r"waiting for other creates to end, 0 more before this one, about \d+ s"
                assert re.fullmatch(said, told[-1])
                with pytest.raises(Busy, match="1 creates are running and 1 wait, as many as may") as raised:
                    await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
                assert "`DYNAMO_MCP_QUEUED_CREATES`" in raised.value.hint
                tasks.cancel_scope.cancel()
        await dynamo.create_project("one", str(home.outputs), {"slug": "c"})
    assert home.made == ["c"]


async def test_limits_above_what_any_machine_has_are_none(home: Home) -> None:
    names = ("memory_bytes", "processes", "open_files", "output_files", "hook_output_bytes", "answer_characters")
    async with home.open({f"DYNAMO_MCP_{name.upper()}": str(sys.maxsize) for name in names}) as dynamo:
        await home.add(dynamo, "one", post_gen_project="print('ran')")
        project = await dynamo.create_project("one", str(home.outputs))
    assert project.hooks[0].output == "ran\n"


async def test_what_is_not_confined_is_told_of_no_limit(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", post_gen_project="raise SystemExit('Too many open files')")
        with pytest.raises(HookFailed) as raised:
            await dynamo.create_project("one", str(home.outputs), trust="full")
    assert "DYNAMO_MCP_OPEN_FILES" not in raised.value.hint


def test_what_tells_of_no_limit_is_blamed_on_none(tmp_path: Path) -> None:
    assert reached("no such licence", Settings(tmp_path)) is None
