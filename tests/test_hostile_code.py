"""A template whose code or settings mean harm, or are nonsense: told with its place, ended in time, nothing is left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.errors import DynamoError, HookFailed, InvalidTemplate, RenderFailed, TimedOut
from homes import SECONDS, SLUG, Home, base_environments, processes_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def refused(home: Home, files: dict[str, str | bytes], error: type[DynamoError], **configuration: Any) -> str:
    """Add a template and create from it; return why that fails, which leaves nothing and harms no other."""
    async with home.open(create_seconds=4 if error is TimedOut else 10) as dynamo:
        with pytest.raises(error) as raised, anyio.fail_after(SECONDS):  # noqa: PT012 - either may tell
            await home.add(dynamo, "one", files, configuration={"slug": "made", **configuration})
            await dynamo.create_project("one", str(home.outputs))
        assert raised.value.hint
        assert home.scratch == []
        assert home.made == []
        await home.add(dynamo, "other")
        await dynamo.create_project("other", str(home.outputs), {"slug": "next"})
    assert home.made == ["next"]
    await until(lambda: not processes_of(home.path), 10)
    return raised.value.message


EXTENSIONS: dict[str, tuple[str, type[DynamoError], list[str]]] = {
    "raises": ("x = 1\nraise RuntimeError('no')", InvalidTemplate, ["RuntimeError: no (local.py, line 2)"]),
    "is no Python": ("x = 1\ndef f(:\n", InvalidTemplate, ["SyntaxError", "(local.py, line 2)"]),
    "exits": ("import sys\nsys.exit(3)", InvalidTemplate, ["SystemExit: 3 (local.py, line 2)"]),
    "ends its job": ("import os\nos._exit(3)", RenderFailed, ["exit status 3, while computing the answers"]),
    "kills its job": ("import os\nos.kill(os.getpid(), 9)", RenderFailed, ["while computing the answers"]),
    "never ends": ("while True: pass", TimedOut, ["more than 4 seconds", "while compiling the template"]),
    "has no such class": ("x = 1", InvalidTemplate, ["module 'local' has no attribute 'Extension'"]),
    "is no extension": ("def Extension(): pass", InvalidTemplate, ["TypeError"]),
}


@pytest.mark.parametrize("case", EXTENSIONS)
async def test_an_extension_that_can_not_be_used_is_told_with_its_place(home: Home, case: str) -> None:
    code, error, said = EXTENSIONS[case]
    message = await refused(home, {"local.py": code}, error, _extensions=["local.Extension"])
    assert [text for text in said if text not in message] == []
    if error is InvalidTemplate:
        assert "`cookiecutter.json`, line 1: its `_extensions` can't be used" in message


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"nonsense": 1}, "its `_jinja2_env_vars` can't be used: TypeError: .*'nonsense'"),
        ({"newline_sequence": "x"}, "its `_jinja2_env_vars` can't be used: .*newline_sequence"),
        ({"cache_size": "x"}, "its `_jinja2_env_vars` can't be used"),
        ({"undefined": "x"}, "its `_jinja2_env_vars` can't be used: .*'undefined'"),
        ({"extensions": ["os.system"]}, "its `_jinja2_env_vars` can't be used: .*'extensions'"),
        ({"block_start_string": ""}, "the default of `slug`"),
    ],
)
async def test_settings_of_jinja_that_are_nonsense_are_told(home: Home, chosen: dict[str, Any], said: str) -> None:
    message = await refused(home, {}, InvalidTemplate, _jinja2_env_vars=chosen)
    assert re.search(f"`cookiecutter.json`, line 1: {said}", message)


async def test_marks_of_jinja_by_which_no_folder_is_called_are_told(home: Home) -> None:
    message = await refused(home, {}, DynamoError, _jinja2_env_vars={"variable_start_string": "[["})
    assert "its name must hold `[[ cookiecutter.… }}`" in message


HOOKS: dict[str, tuple[str, type[DynamoError], list[str]]] = {
    "removes the project": (
        "import os, shutil\nshutil.rmtree(os.getcwd())",
        RenderFailed,
        ["removed or replaced its own project folder"],
    ),
    "puts a link in place of the project": (
        "import os, shutil\nhere = os.getcwd()\nshutil.rmtree(here)\nos.symlink('/etc', here)",
        RenderFailed,
        ["removed or replaced its own project folder"],
    ),
    "prints a gigabyte": (
        "import sys\nfor _ in range(1024): sys.stdout.write('x' * (1 << 20))",
        HookFailed,
        ["exit status 1; its temporary folder is full", " bytes left out: "],
    ),
    "fills its temporary folder": (
        "import tempfile\nwith open(tempfile.mkstemp()[1], 'wb') as f:\n  while True: f.write(b'x' * (1 << 20))",
        HookFailed,
        ["exit status 1; its temporary folder is full"],
    ),
    "prints no text and fails": (
        "import sys\nsys.stdout.buffer.write(b'caf\\xe9')\nsys.exit(3)",
        HookFailed,
        ["exit status 3", "caf\ufffd"],
    ),
    "closes its output and fails": (
        "import os\nos.close(1)\nos.close(2)\nraise ValueError",
        HookFailed,
        ["exit status 1", "(nothing)"],
    ),
    "kills all that it can": (
        "import os, time\nprint('farewell')\nos.kill(-1, 9)\ntime.sleep(600)",
        HookFailed,
        ["while running the hook post_gen_project.py", "farewell"],
    ),
    "waits for input": ("input('sure? ')", HookFailed, ["sure? ", "EOFError"]),
}


@pytest.mark.parametrize("case", HOOKS)
async def test_a_hook_that_means_harm_is_told_with_what_it_printed(home: Home, case: str) -> None:
    code, error, said = HOOKS[case]
    message = await refused(home, {"hooks/post_gen_project.py": code}, error)
    assert [text for text in said if text not in message] == []
    assert len(message) < home.settings().hook_output_bytes + 1000


async def test_a_hook_that_removes_the_project_before_it_is_made_is_told_as_the_reason(home: Home) -> None:
    hook = "import os, shutil\nshutil.rmtree(os.getcwd())"
    message = await refused(home, {"hooks/pre_gen_project.py": hook}, RenderFailed)
    assert "a hook removed or replaced the project's folder" in message


async def test_a_hook_that_is_a_folder_is_named_from_the_template(home: Home) -> None:
    message = await refused(home, {"hooks/post_gen_project.py/x": "x"}, RenderFailed)
    assert "`hooks/post_gen_project.py`: Is a directory" in message


@pytest.mark.parametrize(
    ("hook", "printed"),
    [
        ("import os\nos.close(1)\nos.close(2)", ""),
        ("import sys\nsys.stdout.buffer.write(b'caf\\xe9 \\0')", "caf\ufffd \\x00"),
        (
            "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(600)\n  os._exit(0)",
            "",
        ),
    ],
    ids=["closes its output", "prints no text", "leaves a daemon"],
)
async def test_a_hook_that_is_only_odd_does_not_fail_and_nothing_of_it_runs_on(
    home: Home, hook: str, printed: str
) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", {f"{SLUG}/file": "x"}, post_gen_project=hook)
        project = await dynamo.create_project("one", str(home.outputs))
        assert [run.output for run in project.hooks] == [printed]
    await until(lambda: not processes_of(home.path), 10)
    assert home.made == ["made"]
