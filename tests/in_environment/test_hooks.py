"""How a template's hooks run: with nothing to read, their output kept and bounded, nothing of them left."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from in_environment.workers import Outcome, Pool, Worker, write_template

if TYPE_CHECKING:
    from collections.abc import Iterator

SLUG = "{{cookiecutter.slug}}"
KEPT = 64 << 10


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    pool = Pool(tmp_path_factory.mktemp("workers"))
    yield pool
    pool.close()


@pytest.fixture
def worker(pool: Pool) -> Worker:
    return pool.worker()


def template(folder: Path, **hooks: str) -> Path:
    """Write a template with hooks, named as files are but for `__` instead of the dot."""
    files: dict[str, str | bytes] = {f"hooks/{name.replace('__', '.')}": code for name, code in hooks.items()}
    return write_template(folder / "template", {f"{SLUG}/file": "rendered", **files}, {"slug": "made"})


def output_of(made: Outcome) -> str:
    assert made.event == "done", made.last
    return str(made.last["hooks"][0]["output"])


def test_a_python_hook_runs_in_the_templates_own_environment_and_in_the_project(worker: Worker, tmp_path: Path) -> None:
    code = "import json, os, sys\nprint(json.dumps([os.getcwd(), sys.executable, '{{ cookiecutter.slug }}']))"
    made = worker.create(template(tmp_path, post_gen_project__py=code))
    assert json.loads(output_of(made)) == [str(made.project), sys.prefix + "/bin/python", "made"]


@pytest.mark.parametrize("name", ["post_gen_project__sh", "post_gen_project"])
def test_a_shell_hook_runs_though_it_has_no_run_bit(worker: Worker, tmp_path: Path, name: str) -> None:
    folder = template(tmp_path, **{name: "#!/bin/sh\necho hello {{ cookiecutter.slug }} >&2\npwd\n"})
    (folder / "hooks" / name.replace("__", ".")).chmod(0o644)
    made = worker.create(folder)
    assert output_of(made) == f"hello made\n{made.project}\n"


def test_hooks_run_around_the_rendering_and_are_told_in_their_order(worker: Worker, tmp_path: Path) -> None:
    folder = template(
        tmp_path,
        pre_gen_project__py="import os; print(os.listdir())",
        post_gen_project__py="import os; print(os.listdir())",
    )
    made = worker.create(folder)
    assert [(run["hook"], run["output"]) for run in made.last["hooks"]] == [
        ("pre_gen_project.py", "[]\n"),
        ("post_gen_project.py", "['file']\n"),
    ]
    assert all(run["seconds"] > 0 for run in made.last["hooks"])


def test_all_hooks_of_one_name_run_and_a_backup_does_not(worker: Worker, tmp_path: Path) -> None:
    folder = template(
        tmp_path,
        post_gen_project__py="print('python')",
        post_gen_project__sh="#!/bin/sh\necho shell",
        **{"post_gen_project__py~": "raise SystemExit(1)", "other__py": "raise SystemExit(1)"},
    )
    made = worker.create(folder)
    assert made.event == "done", made.last
    assert sorted(run["output"] for run in made.last["hooks"]) == ["python\n", "shell\n"]


@pytest.mark.parametrize("moment", ["pre_prompt", "pre_gen_project", "post_gen_project"])
def test_a_hook_that_fails_is_told_with_its_name_its_status_and_what_it_printed(
    worker: Worker, tmp_path: Path, moment: str
) -> None:
    code = "import sys\nprint('on output')\nprint('on error', file=sys.stderr)\nsys.exit(3)"
    made = worker.create(template(tmp_path, **{f"{moment}__py": code}))
    assert made.event == "failed"
    assert (made.last["kind"], made.last["hook"]) == ("hook", f"{moment}.py")
    assert made.message == f"the hook `{moment}.py` failed: exit status 3"
    assert sorted(made.last["output"].splitlines()) == ["on error", "on output"]


def test_a_hook_that_raises_shows_its_traceback(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(template(tmp_path, post_gen_project__py="raise ValueError('what was wrong')"))
    assert made.last["output"].endswith("ValueError: what was wrong\n")


def test_a_hook_that_was_killed_says_by_which_signal(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(template(tmp_path, post_gen_project__sh="#!/bin/sh\nkill -9 $$\n"))
    assert made.message == "the hook `post_gen_project.sh` failed: ended by signal 9"


@pytest.mark.parametrize("code", ["", "echo no shebang\n", "#!/nowhere/at/all\n"], ids=["empty", "none", "missing"])
def test_a_hook_that_cannot_be_started_says_what_it_lacks(worker: Worker, tmp_path: Path, code: str) -> None:
    made = worker.create(template(tmp_path, post_gen_project__sh=code))
    assert made.last["kind"] == "hook"
    assert "`post_gen_project.sh`" in made.message
    assert "#!" in made.message


def test_a_hook_that_reads_its_input_finds_it_at_its_end(worker: Worker, tmp_path: Path) -> None:
    code = "import sys\nprint(repr(sys.stdin.read()))\ntry:\n    input('sure? ')\nexcept EOFError:\n    print('nobody')"
    assert output_of(worker.create(template(tmp_path, post_gen_project__py=code))) == "''\nsure? nobody\n"


@pytest.mark.parametrize("fails", [False, True])
def test_of_much_output_the_end_is_kept(worker: Worker, tmp_path: Path, fails: bool) -> None:
    code = f"import sys\nsys.stdout.write('x' * (1 << 20) + 'the end')\nsys.exit({int(fails)})"
    made = worker.create(template(tmp_path, post_gen_project__py=code))
    text = made.last["output"] if fails else output_of(made)
    first, _, rest = text.partition("\n")
    assert first == f"[{(1 << 20) + len('the end') - KEPT} bytes left out: `DYNAMO_MCP_HOOK_OUTPUT_BYTES` keeps more]"
    assert len(rest) == KEPT
    assert rest.endswith("xthe end")


def test_output_that_is_not_utf_8_is_kept_as_well_as_it_can_be(worker: Worker, tmp_path: Path) -> None:
    code = "import sys\nsys.stdout.buffer.write(b'caf\\xe9 \\x00')"
    assert output_of(worker.create(template(tmp_path, post_gen_project__py=code))) == "caf\ufffd \0"


def test_a_hook_may_import_what_lies_beside_it(worker: Worker, tmp_path: Path) -> None:
    code = "from __future__ import annotations\nimport sys\nfrom helper import x\nfrom more.inner import y\n"
    code += "print(x, y, __name__, len(sys.argv), __file__ == sys.argv[0], '{{ cookiecutter.slug }}')"
    folder = template(tmp_path, post_gen_project__py=code, helper__py="x = '{{ left }}'")
    write_template(folder, {"hooks/more/inner.py": "y = 2"})
    before = sorted(folder.rglob("*"))
    assert output_of(worker.create(folder)) == "{{ left }} 2 __main__ 1 True made\n"
    assert sorted(folder.rglob("*")) == before


def test_what_lies_beside_a_hook_shadows_nothing(worker: Worker, tmp_path: Path) -> None:
    shadows = {f"{name}__py": "raise SystemExit('shadowed')" for name in ("json", "jinja2", "site", "helper")}
    code = "import json, jinja2, sys\nprint(sys.path[0] != '', json.__name__, jinja2.__name__)"
    folder = template(tmp_path, post_gen_project__py=code, **shadows)
    assert output_of(worker.create(folder)) == "True json jinja2\n"


def test_a_hook_with_something_beside_it_still_tells_its_own_line(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(template(tmp_path, post_gen_project__py="x = 1\nraise ValueError", helper__py=""))
    assert "line 2, in <module>" in made.last["output"]
    assert made.last["output"].endswith("ValueError\n")


def test_hooks_of_one_moment_run_in_the_order_of_their_names(worker: Worker, tmp_path: Path) -> None:
    suffixes = ["z", "b", "a", "m", "c"]
    folder = template(tmp_path, **{f"post_gen_project__{suffix}": "#!/bin/sh\n" for suffix in suffixes})
    made = worker.create(folder)
    assert [run["hook"][-1] for run in made.last["hooks"]] == sorted(suffixes)


def test_a_hook_that_is_not_utf_8_is_named(worker: Worker, tmp_path: Path) -> None:
    folder = template(tmp_path)
    write_template(folder, {"hooks/post_gen_project.py": b"# caf\xe9\n"})
    made = worker.create(folder)
    assert made.message.startswith("the hook `post_gen_project.py` is not UTF-8 text")


def test_a_hook_finds_the_tools_of_its_environment_first(worker: Worker, tmp_path: Path) -> None:
    code = "#!/bin/sh\necho $PATH\ncommand -v cookiecutter\n"
    path, found = output_of(worker.create(template(tmp_path, post_gen_project__sh=code))).splitlines()
    assert path.split(":")[0] == sys.prefix + "/bin"
    assert found == sys.prefix + "/bin/cookiecutter"


def test_a_hook_that_asks_is_told_that_nobody_answers(worker: Worker, tmp_path: Path) -> None:
    made = worker.create(template(tmp_path, pre_gen_project__py="input('sure? ')"))
    assert made.last["kind"] == "hook"
    assert made.last["output"].startswith("sure? Traceback")
    assert "EOFError" in made.last["output"]
    made = worker.create(template(tmp_path / "shell", pre_gen_project__sh="#!/bin/sh\nread answer || exit 7\n"))
    assert made.message == "the hook `pre_gen_project.sh` failed: exit status 7"


def test_a_hook_before_the_questions_may_use_what_lies_beside_it(worker: Worker, tmp_path: Path) -> None:
    # It runs in a copy of the template, not rendered.
    folder = template(tmp_path, pre_prompt__py="import helper\nprint(helper.x, '{{ left }}')", helper__py="x = 1")
    made = worker.create(folder)
    assert output_of(made) == "1 {{ left }}\n"
    assert (folder / "hooks" / "pre_prompt.py").read_text() == "import helper\nprint(helper.x, '{{ left }}')"


def test_a_hook_before_the_questions_changes_a_copy_only(worker: Worker, tmp_path: Path) -> None:
    code = "import json\njson.dump({'slug': 'changed', 'more': 'm'}, open('cookiecutter.json', 'w'))"
    folder = template(tmp_path, pre_prompt__py=code)
    made = worker.create(folder)
    assert made.last["directory"] == "changed"
    assert made.resolved["answers"] == {"slug": "changed", "more": "m"}
    assert json.loads((folder / "cookiecutter.json").read_text()) == {"slug": "made"}


@pytest.mark.parametrize("status", [0, 1])
def test_no_rendered_copy_of_a_hook_and_no_output_is_left(worker: Worker, tmp_path: Path, status: int) -> None:
    code = f"#!/bin/sh\necho secret {{{{ cookiecutter.slug }}}}\nexit {status}\n"
    made = worker.create(
        template(tmp_path, post_gen_project__sh=code, pre_gen_project__py="print('{{cookiecutter.slug}}')")
    )
    assert [path.name for path in made.temporary.rglob("*")] == [".printed"]


def test_an_answer_with_quotes_reaches_a_hook_as_it_is(worker: Worker, tmp_path: Path) -> None:
    folder = write_template(
        tmp_path / "template",
        {f"{SLUG}/file": "x", "hooks/post_gen_project.py": "print({{ cookiecutter.text|tojson }})"},
        {"slug": "made", "text": "x"},
    )
    assert output_of(worker.create(folder, {"text": 'It\'s "so" {{ 7*7 }}'})) == 'It\'s "so" {{ 7*7 }}\n'
