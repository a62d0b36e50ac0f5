"""A template that is broken, or means harm: a clear error with file and line where there is one, nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.errors import (
    DynamoError,
    HookFailed,
    InvalidAnswers,
    InvalidTemplate,
    NotATemplate,
    RenderFailed,
    TimedOut,
)
from homes import SLUG, Home, base_environments, write_template

pytestmark = pytest.mark.anyio

LOCAL = {"slug": "made"}


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ('{"slug": "made",\n "b": }', InvalidTemplate, "`cookiecutter.json`, line 2, column 7"),
        ("", InvalidTemplate, "`cookiecutter.json`, line 1"),
        ("\ufeff{}", InvalidTemplate, "`cookiecutter.json`, line 1"),
        ("[1]", InvalidTemplate, "`cookiecutter.json` holds a list"),
        (
            '{"slug": "made", "pick": []}',
            InvalidTemplate,
            "`cookiecutter.json`, line 1: the choice `pick` offers nothing",
        ),
        (None, NotATemplate, "no `cookiecutter.json`"),
    ],
)
async def test_a_configuration_that_is_broken_is_told_when_it_is_added(
    home: Home, content: str | None, error: type[DynamoError], said: str
) -> None:
    folder = write_template(home.templates / "one")
    (folder / "cookiecutter.json").unlink()
    if content is not None:
        (folder / "cookiecutter.json").write_text(content, "utf-8")
    async with home.open() as dynamo:
        with pytest.raises(error) as raised:
            await dynamo.add_template(str(folder), name="one")
        assert said in raised.value.message
        assert await dynamo.list_templates() == ()


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        (["project"], NotATemplate, "no folder to make a project from"),
        (["{{cookiecutter.a}}", "{{cookiecutter.b}}"], InvalidTemplate, "`{{cookiecutter.a}}`, `{{cookiecutter.b}}`"),
    ],
)
async def test_a_template_without_one_folder_to_render_is_told_when_it_is_added(
    home: Home, names: list[str], error: type[DynamoError], said: str
) -> None:
    folder = home.templates / "one"
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
    (folder / "cookiecutter.json").write_text(json.dumps(LOCAL))
    async with home.open() as dynamo:
        with pytest.raises(error) as raised:
            await dynamo.add_template(str(folder), name="one")
        assert said in raised.value.message


BROKEN: dict[str, tuple[dict[str, Any], dict[str, str | bytes], type[DynamoError], list[str]]] = {
    "an undefined variable in a default": (
        {"a": "{{ cookiecutter.nope }}"},
        {},
        InvalidTemplate,
        ["`cookiecutter.json`, line 1: the default of `a`: ", "nope"],
    ),
    "a syntax error in a default": (
        {"a": "{{ oops"},
        {},
        InvalidTemplate,
        ["line 1: the default of `a`: unexpected end"],
    ),
    "defaults that need each other": (
        {"a": "{{ cookiecutter.b }}", "b": "{{ cookiecutter.a }}"},
        {},
        InvalidTemplate,
        ["`a`", "`b` is only answered after `a`"],
    ),
    "a default that needs itself": (
        {"a": "{{ cookiecutter.a }}"},
        {},
        InvalidTemplate,
        ["`a`", "it is computed from itself"],
    ),
    "an undefined variable in a name": (
        {},
        {f"{SLUG}/{{{{cookiecutter.nope}}}}": "x"},
        RenderFailed,
        ["{{cookiecutter.nope}}", "nope"],
    ),
    "a syntax error in a folder's name": ({}, {f"{SLUG}/{{% if %}}/x": "x"}, RenderFailed, ["{% if %}`: line 1"]),
    "a syntax error in what a file includes": (
        {},
        {f"{SLUG}/z.txt": "{% include 'part' %}", "templates/part": "\n{% endif %}"},
        RenderFailed,
        ["templates/part`, line 2"],
    ),
    "a syntax error in a file": ({}, {f"{SLUG}/z.txt": "1\n2\n{% if %}"}, RenderFailed, ["`z.txt`", "line 3"]),
    "an undefined variable in a file": (
        {},
        {f"{SLUG}/src/z.txt": "1\n{{ cookiecutter.nope }}"},
        RenderFailed,
        ["src/z.txt", "line 2", "nope"],
    ),
    "a file that is not UTF-8": (
        {},
        {f"{SLUG}/z.txt": "Des mots écrits en latin-1, à lire ainsi.".encode("latin-1")},
        RenderFailed,
        ["`z.txt` is not UTF-8"],
    ),
    "a syntax error in a name": ({}, {f"{SLUG}/{{{{ bad ! }}}}.txt": "x"}, RenderFailed, ["{{ bad ! }}.txt", "line 1"]),
    "a name that leaves the project": (
        {"part": "../../x"},
        {f"{SLUG}/{{{{cookiecutter.part}}}}": "x"},
        RenderFailed,
        ["`../../x` leaves the project"],
    ),
    "a name that is absolute": (
        {"part": "/etc/x"},
        {f"{SLUG}/{{{{cookiecutter.part}}}}": "x"},
        RenderFailed,
        ["`/etc/x` leaves the project"],
    ),
    "a name that leaves the project on a detour": (
        {"part": "a/../../x"},
        {f"{SLUG}/{{{{cookiecutter.part}}}}": "x"},
        RenderFailed,
        ["`a/../../x` leaves the project"],
    ),
    "a folder whose name leaves the project": (
        {"part": ".."},
        {f"{SLUG}/{{{{cookiecutter.part}}}}/file": "x"},
        RenderFailed,
        ["leaves the project"],
    ),
    "a name with a NUL character": (
        {"part": "a\0b"},
        {f"{SLUG}/{{{{cookiecutter.part}}}}": "x"},
        RenderFailed,
        ["NUL character"],
    ),
    "a name that is too long": (
        {"part": "a" * 300},
        {f"{SLUG}/{{{{cookiecutter.part}}}}": "x"},
        RenderFailed,
        ["`aaaa", "File name too long"],
    ),
    "a folder whose name renders to nothing": (
        {},
        {f"{SLUG}/{{% if false %}}x{{% endif %}}/file": "x"},
        RenderFailed,
        ["the folder `{% if false %}x{% endif %}` gets no name"],
    ),
    "a project whose name renders to nothing": ({"slug": ""}, {}, DynamoError, ["not a plain folder name"]),
    "a hook with an error": (
        {},
        {"hooks/post_gen_project.py": "x = 1\nraise ValueError('wrong')"},
        HookFailed,
        ["`post_gen_project.py`", "line 2", "ValueError: wrong"],
    ),
    "a hook that is empty": ({}, {"hooks/post_gen_project.sh": ""}, HookFailed, ["`post_gen_project.sh`", "#!"]),
    "a hook that waits for input": (
        {},
        {"hooks/pre_gen_project.py": "print('hello')\ninput('sure? ')"},
        HookFailed,
        ["`pre_gen_project.py`", "hello", "EOFError"],
    ),
    "a syntax error in a hook": (
        {},
        {"hooks/pre_gen_project.py": "\n{% if %}"},
        RenderFailed,
        ["`pre_gen_project.py`", "line 2"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_template_that_is_broken_is_told_so_where_and_leaves_nothing(home: Home, case: str) -> None:
    configuration, files, error, said = BROKEN[case]
    async with home.open() as dynamo:
        await home.add(dynamo, "one", files, configuration={**LOCAL, **configuration})
        with pytest.raises(error) as raised:
            await dynamo.create_project("one", str(home.outputs))
        assert [text for text in said if text not in raised.value.message] == []
        assert "/output/" not in raised.value.message
        assert home.scratch == []
    assert home.made == []


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"hooks/pre_gen_project.py": "input('sure? ')"}, "hooks have nothing to read"),
        ({"hooks/post_gen_project.py": "open('x', 'w').write('x' * (8 << 20))"}, "`DYNAMO_MCP_OUTPUT_BYTES`"),
        (
            {"hooks/post_gen_project.py": "import errno\nraise OSError(errno.EFBIG, 'File too large')"},
            "`DYNAMO_MCP_OUTPUT_BYTES`",
        ),
        ({"hooks/post_gen_project.py": "raise SystemExit('no such licence')"}, "answer as the hook asks"),
        ({"ours.py": "import os\nos._exit(0)"}, "its own code may have ended the job"),
        ({"ours.py": "import os\nos._exit(3)"}, "its own code may have ended the job"),
    ],
)
async def test_what_to_do_about_a_failure_is_what_could_help(
    home: Home, files: dict[str, str | bytes], hint: str
) -> None:
    asked = {"slug": "made", **({"_extensions": ["ours.Extension"]} if "ours.py" in files else {})}
    async with home.open(output_bytes=1 << 20) as dynamo:
        await home.add(dynamo, "one", files, configuration=asked)
        with pytest.raises(DynamoError) as raised:
            await dynamo.create_project("one", str(home.outputs))
        assert hint in raised.value.hint
    assert home.made == []


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"slug": "a\0b"}, ("slug", "a\\x00b", "what makes a plain folder name of at most 255 bytes")),
        ({"m": {"d": {"x": "zz"}}}, ("m", '{"d": {"x": "zz"}}', "true or false")),
    ],
)
async def test_an_answer_that_only_a_job_can_check_is_told_with_what_was_given_and_what_is_allowed(
    home: Home, answers: dict[str, Any], told: tuple[str, str, str]
) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration={"slug": "made", "m": {"d": {"x": True}}})
        with pytest.raises(InvalidAnswers) as raised:
            await dynamo.create_project("one", str(home.outputs), answers)
    (problem,) = raised.value.problems
    assert (problem.variable, problem.given, problem.allowed) == told


async def test_what_never_ends_without_a_hook_blames_none(home: Home) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    async with home.open(create_seconds=2) as dynamo:
        await home.add(dynamo, "one", {f"{SLUG}/endless": endless})
        with pytest.raises(TimedOut, match="was ended while rendering files") as raised:
            await dynamo.create_project("one", str(home.outputs))
        assert "hook" not in str(raised.value)


async def test_a_folder_without_a_template_is_named_as_it_was_given(home: Home) -> None:
    folder = home.templates / "none"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").touch()
    async with home.open() as dynamo:
        for directory, where in ((None, f"the root of `{folder}`"), ("inner", f"the folder `inner` of `{folder}`")):
            with pytest.raises(NotATemplate) as raised:
                await dynamo.add_template(str(folder), directory=directory)
            assert raised.value.message == f"There is no `cookiecutter.json` in {where}"


async def test_a_template_whose_file_has_gone_is_named(home: Home) -> None:
    async with home.open() as dynamo:
        folder = await home.add(dynamo, "one")
        (folder / "cookiecutter.json").unlink()
        with pytest.raises(NotATemplate, match=r"no `cookiecutter.json` in the folder of `one`"):
            await dynamo.get_template_variables("one")


async def test_a_hook_without_run_bit_runs(home: Home) -> None:
    async with home.open() as dynamo:
        folder = write_template(home.templates / "one", {"hooks/post_gen_project.sh": "#!/bin/sh\necho ran"})
        (folder / "hooks" / "post_gen_project.sh").chmod(0o644)
        await dynamo.add_template(str(folder), name="one")
        project = await dynamo.create_project("one", str(home.outputs))
    assert [(run.hook, run.output) for run in project.hooks] == [("post_gen_project.sh", "ran\n")]


@pytest.mark.parametrize(
    ("hook", "code"),
    [
        ("pre_prompt.py", "print('waiting')\nimport time\nwhile True: time.sleep(60)"),
        ("pre_gen_project.py", "print('waiting')\nimport time\nwhile True: time.sleep(60)"),
        ("post_gen_project.sh", "#!/bin/sh\necho waiting\nsleep 600"),
        ("post_gen_project.py", "print('x' * (1 << 20) + 'waiting')\nwhile True: pass"),
    ],
)
async def test_a_hook_that_never_ends_is_ended_and_named_with_what_it_had_printed(
    home: Home, hook: str, code: str
) -> None:
    async with home.open(create_seconds=4) as dynamo:
        with pytest.raises(TimedOut) as raised:  # noqa: PT012 - a hook before the questions runs when it is added
            await home.add(dynamo, "one", {f"hooks/{hook}": code})
            await dynamo.create_project("one", str(home.outputs))
        assert f"more than 4 seconds and was ended while running the hook {hook}; nothing" in raised.value.message
        assert raised.value.message.endswith("waiting")
        assert len(raised.value.message) < home.settings().hook_output_bytes + 1000
        assert home.scratch == []
    assert home.made == []


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ("os.getppid()", r"the hook `post_gen_project\.py` failed: ended by signal 9; it printed:\n> farewell"),
        (
            "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])",
            r"while running the hook post_gen_project\.py; it printed:\n> farewell",
        ),
    ],
    ids=["parent", "job"],
)
async def test_a_hook_that_kills_what_started_it_is_named_with_what_it_had_printed(
    home: Home, above: str, told: str
) -> None:
    hook = f"import os, time\nprint('farewell')\nos.kill({above}, 9)\ntime.sleep(600)"
    async with home.open() as dynamo:
        await home.add(dynamo, "one", post_gen_project=hook)
        with pytest.raises(HookFailed, match=told):
            await dynamo.create_project("one", str(home.outputs))
        assert home.scratch == []
    assert home.made == []
