"""Which executables does a script call, and does it reach for the network?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_mcp.calls import calls, reaches
from dynamo_mcp.effort import Effort, Exhausted
from dynamo_mcp.scripts import Script
from dynamo_mcp.shell_code import Call
from dynamo_mcp.template_code import Marks, set_aside
from patience import LARGE, soon


def _calls(text: str, *, python: bool = True) -> list[Call]:
    return list(calls(Script("hooks/x", set_aside(text, Marks()), python), Effort(seconds=600)))


def _names(text: str, *, python: bool = True) -> list[str]:
    return [call.name for call in _calls(text, python=python)]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("subprocess.run(['git', 'init'])", ["git"]),
        ("sp.check_call('git add . && git commit', shell=True)", ["git", "git"]),
        ("subprocess.Popen(args=('make', target))", ["make"]),
        ("os.system('cd x; A=1 sudo make | tee log')", ["make", "tee"]),
        ("os.popen('uname')", ["uname"]),
        ("from subprocess import run as go\ngo(['npm', 'i'])", ["npm"]),
        ("cmd = ['npm', 'i']\nsubprocess.run(cmd)", ["npm"]),
        ("subprocess.run('git init'.split())", ["git"]),
        ("subprocess.run(shlex.split('git init'))", ["git"]),
        ("subprocess.run(f'git tag {x}')", ["git"]),
        ("subprocess.run('git tag ' + x)", ["git"]),
        ("subprocess.run('git tag %s' % x)", ["git"]),
        ("subprocess.run(['a'] if x else 'b')", ["a", "b"]),
        ("subprocess.run(['git', *rest])", ["git"]),
        ("subprocess.run(['/usr/bin/git', 'x'])", ["git"]),
        ("subprocess.run(['./setup.sh'])", []),
        ("subprocess.run(['{{ cookiecutter.tool }}', 'x'])", []),
        ("subprocess.run([x, 'y'])", []),
        ("subprocess.run()", []),
        ("subprocess.run([])", []),
        ("subprocess.run([sys.executable, '-m', 'pip', 'install'])", ["pip"]),
        ("subprocess.run([sys.executable, '-m', 'pre_commit'])", ["pre-commit"]),
        ("subprocess.run([sys.executable, '-m', 'venv', 'x'])", []),
        ("subprocess.run(['bash', '-c', 'helm x'])", ["bash", "helm"]),
        ("def do(*words):\n subprocess.run(words)\ndo('git', 'init')", ["git"]),
        ("def do(cmd):\n subprocess.run(cmd.split())\ndo('uv sync')", ["uv"]),
        ("def do(cmd):\n subprocess.run(['make'])\ndo('uv sync')", ["make"]),
        ("asyncio.create_subprocess_exec('git', 'x')", ["git"]),
        ("for cmd in ('git init', 'make'):\n os.system(cmd)", ["git", "make"]),
        ("each: list = [(['git'], 'why')]\nfor cmd, why in each:\n subprocess.run(cmd)", ["git"]),
        ("for a, b in x:\n os.system(a)", []),
        ("app.run('git')", ["git"]),
        ("shutil.which('uv')", []),
        ("subprocess.run([shutil.which('uv'), 'sync'])", ["uv"]),
        ("if uv := which('uv'):\n subprocess.run([uv, 'sync'])", ["uv"]),
        ("npm = shutil.which('npm') or 'pnpm'\nsubprocess.run([npm, 'ci'])", ["npm", "pnpm"]),
        ("TOOL = 'uv'\nsubprocess.run([TOOL, 'sync'])\nos.system(f'{TOOL} lock')", ["uv", "uv"]),
        ("for tool in ('git', 'make'):\n subprocess.run([tool, '--version'])", ["git", "make"]),
        ("start = ['npm', 'i']\nsubprocess.run([*start, 'x'])", ["npm"]),
        ("os.spawnlp(os.P_WAIT, 'git', 'git', 'x')", ["git"]),
        ("import sh\nsh.git.init('.')\nsh.Command('make')()\nsh.apt_get('x')", ["git", "make", "make", "apt-get"]),
        ("from sh import git as g, cd\ng('init')\nother('x')", ["git"]),
        ("from plumbum import local\nlocal['git']('init')\nlocal.get('make')\nlocal.cwd('x')", ["git", "git", "make"]),
        ("from plumbum.cmd import git\ngit['init', '.'] & FG", ["git"]),
        ("from plumbum import cmd\ncmd.git('init')", ["git"]),
        ("x = 'git init'", []),
        ("this is no python", []),
    ],
)
def test_what_python_calls_is_found_by_its_text(code: str, names: list[str]) -> None:
    assert _names(code) == names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("git init\nmake  # now", ["git", "make"]),
        ("if ! git diff; then make; fi", ["git", "make"]),
        ("command -v uv", []),
        ("command make", ["make"]),
        ("say() { echo x; }\nsay a", []),
        ("function say() {\n rm x\n}\nsay a", ["rm"]),
        ("x=$(uname -a)\nexport A=b", ["uname"]),
        ("cat <<END\nnot a command\nEND\nmake", ["cat", "make"]),
        ("uv run \\\n  ruff\nmake", ["uv", "make"]),
        ("case $x in\n a) tar x ;;\nesac", ["tar"]),
        ("(cd x && make)", ["make"]),
        ("for f in a b; do cp $f x; done", ["cp"]),
        ("echo 'a; rm b'", []),
        ("$TOOL x\n./setup\n{{ cookiecutter.tool }} x", []),
        ("git commit -m 'it is", ["git"]),
    ],
)
def test_what_a_shell_calls_is_found_roughly(code: str, names: list[str]) -> None:
    assert _names(f"#!/bin/sh\n{code}\n", python=False) == ["sh", *names]


@pytest.mark.parametrize(
    ("first", "names"),
    [("#!/usr/bin/env bash", ["bash"]), ("#!/usr/bin/env -S node --x", ["node"]), ("#!/usr/bin/ruby", ["ruby"])],
)
def test_a_first_line_says_what_runs_a_script(first: str, names: list[str]) -> None:
    assert _names(f"{first}\n", python=False) == names
    assert _names("no first line\n", python=False) == []


def test_the_lines_of_calls_are_those_of_the_file() -> None:
    assert [call.line for call in _calls("\nsubprocess.run(['a'])\nsubprocess.run(['b'])\n")] == [2, 3]
    shell = "#!/bin/sh\n\nuv run \\\n x\nmake\n"
    assert [(call.name, call.line) for call in _calls(shell, python=False)] == [("sh", 1), ("uv", 3), ("make", 5)]


@pytest.mark.parametrize(
    ("command", "reached"),
    [
        ("git clone x", True),
        ("git -C x push", True),
        ("git init", False),
        ("curl x", True),
        ("uv sync", True),
        ("uv --version", False),
        ("make", False),
    ],
)
def test_what_reaches_for_the_network_is_known(command: str, reached: bool) -> None:
    (call,) = _calls(f"os.system('{command}')")
    assert reaches(call) is reached


@given(st.text(), st.booleans())
def test_reading_calls_never_fails(text: str, python: bool) -> None:
    _calls(f"#!/bin/sh\n{text}", python=python)
    _calls(f"import os\nos.system({text!r})\nos.popen({text!r}.split())")


def test_values_that_lead_to_many_others_are_followed_so_far() -> None:
    code = "".join(f"x = x{n % 8} if a else x\nx{n % 8} = x if a else x{n % 7}\n" for n in range(200))
    assert _names(f"{code}\nos.system(x)") == []
    loops = "x = y = [['git'], [['git']]]\n" + "for x in y:\n pass\nfor y in x:\n pass\n" * 200
    assert _names(f"{loops}\nsubprocess.run(x)") == []


@pytest.mark.parametrize(
    "code",
    [
        "import sh\nsh.git.clone(url)",
        "from sh import git\ngit('clone', url)",
        "from plumbum.cmd import git\ngit['clone', url] & FG",
        "TOOL = 'git'\nsubprocess.run([TOOL, 'clone', url])",
    ],
)
def test_what_reaches_for_the_network_is_known_however_it_is_called(code: str) -> None:
    (call,) = _calls(code)
    assert reaches(call)


@pytest.mark.parametrize("text", ["\n" * LARGE, " \n" * LARGE])
def test_blanks_cost_no_more_than_their_number(text: str) -> None:
    with soon():
        assert "make" in _names(f"#!/bin/sh\n{text}make\n", python=False)


def test_a_command_that_is_called_at_a_thousand_lines_is_read_once() -> None:
    with soon():
        found = _calls(f"x = 'make {'y ' * 50_000}'\n" + "os.system(x)\n" * 2000)
        assert [call.name for call in found] == ["make"] * 2000
        assert {call.line for call in found} == {*range(2, 2002)}


@pytest.mark.parametrize(
    "code",
    [
        "import sh\n" + ("sh" + "(a)" * 1000 + "\n") * 80,
        f"x = {'git add x; ' * 5000!r}\n" + "os.system(x)\n" * 10_000,
        "os.system(" + "a if b else " * 2000 + "c)",
        "x = 'a" + " b" * 50_000 + "'\ny = f'" + "{x}" * 10_000 + "'\nos.system(y)\n",
    ],
    ids=["chains", "many times many", "in each other", "made of each other"],
)
def test_code_that_would_cost_too_much_is_told_apart_from_code_that_calls_nothing(code: str) -> None:
    script = Script("hooks/x", set_aside(code, Marks()), python=True)
    with soon(), pytest.raises(Exhausted):
        calls(script, Effort(steps=500_000, seconds=600))


def test_what_is_not_read_any_more_is_not_parsed() -> None:
    with pytest.raises(Exhausted):
        calls(Script("hooks/x", set_aside("no python (", Marks()), python=True), Effort(steps=3))
