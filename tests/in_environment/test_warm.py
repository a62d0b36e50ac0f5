"""Python hooks in a fork of a running interpreter: they behave as in an interpreter of their own."""

from __future__ import annotations

import importlib.util
import json
import marshal
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from in_environment.workers import Pool, Worker, write_template

if TYPE_CHECKING:
    from collections.abc import Iterator

SLUG = "{{cookiecutter.slug}}"
ALIKE = {
    "nothing": "",
    "the main module": "print(__name__, __spec__, __package__, __cached__, type(__loader__).__name__, __builtins__)",
    "names of the main module": "print(sorted(vars()))",
    "imported by itself": "import __main__; x = 1; print(__main__.x, __main__.__file__ == __file__)",
    "arguments": "import os, sys\n"
    "print(len(sys.argv), sys.argv[0] == __file__, sys.path[0] == os.path.dirname(__file__))",
    "an executable": "import os, sys; print(sys.executable, sys.prefix, os.getcwd(), os.environ['VIRTUAL_ENV'])",
    "guarded": "def main():\n    print('ran')\nif __name__ == '__main__':\n    main()",
    "exit by a number": "import sys; sys.exit(3)",
    "exit by too large a number": "import sys; sys.exit(256 + 7)",
    "exit by nothing": "import sys; sys.exit()",
    "exit by words": "import sys; sys.exit('gone wrong')",
    "exit without sys": "exit(4)",
    "exit at once": "import os; os._exit(5)",
    "an error": "def inner():\n    raise ValueError('no')\ninner()",
    "an error of an error": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise KeyError('x') from error",
    "no Python": "print('one')\nthis is no Python\n",
    "a signal": "import os, signal; print('before'); os.kill(os.getpid(), signal.SIGKILL)",
    "both streams": "import sys\nfor n in range(3):\n    print('out', n); print('err', n, file=sys.stderr)",
    "letters": "print('grün', '漢字', '\\udcff')",
    "an encoding": "import sys; print(sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors, sys.stdin.read())",
    "what is left for the end": "import atexit; atexit.register(print, 'at exit'); print('last line')",
    "a thread": "import threading, time\ndef late():\n    time.sleep(.05); print('late')\n"
    "threading.Thread(target=late).start()",
    "a log": "import logging; logging.warning('told'); logging.getLogger('a').error('told, too')",
    "cookiecutter itself": "import cookiecutter.hooks, cookiecutter.utils, cookiecutter.generate as g\n"
    "print(cookiecutter.hooks.run_script.__module__, g.find_template.__module__, cookiecutter.utils.StrictEnvironment)",
    "a program": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1 + 1)'], check=True)",
    "another process": "import multiprocessing\nif __name__ == '__main__':\n"
    "    child = multiprocessing.Process(target=print, args=['child'])\n"
    "    child.start(); child.join(); print(child.exitcode)",
    "a class that is pickled": "import pickle\nclass Thing:\n    pass\n"
    "print(type(pickle.loads(pickle.dumps(Thing()))))",
    "annotations": "def f(x: 1 + 1): pass\nprint(f.__annotations__)",
    "closed streams": "import sys; sys.stdout.close(); sys.stderr.close()",
    "descriptors": "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd') if n in '0123456'))",
    "a file left open": "f = open('left', 'w'); f.write('text')",
    "a file that nothing names": "print('x', file=open('left', 'w'))",
    "a file left open by a generator": "def f():\n    g = open('left', 'w'); g.write('x'); yield g\n"
    "rest = f(); next(rest)",
    "a file of another module": "import builtins; builtins.left = open('left', 'w'); builtins.left.write('text')",
    "a file in a module that has functions": "def f(): return left\nleft = open('left', 'w'); left.write('text')",
    "what is left for the end of an object": "x = 5\nclass A:\n    def __del__(self): print('end', x)\n"
    "a = A(); a.a = a",
    "another standard output": "import io, sys\n"
    "sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer), 'utf-16'); print('x')",
    "a stream of its own": "import os; out = os.fdopen(1, 'w'); out.write('text')",
    "the streams": "import sys\nfor f in (sys.stdout, sys.stderr):\n    print(f, f.line_buffering, f.write_through)",
    "an interrupt": "raise KeyboardInterrupt",
    "signals": "import signal; print([(n.name, signal.getsignal(n)) for n in signal.Signals])\n"
    "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))",
    "a hook for errors": "import sys; sys.excepthook = lambda *of: sys.exit(f'failed: {of[1]}')\n1 / 0",
    "a hook for errors that fails": "import sys\ndef hook(*of): raise ValueError('too')\nsys.excepthook = hook\n1 / 0",
    "the last error": "import atexit, sys; atexit.register(lambda: print(repr(sys.last_exc)))\n1 / 0",
    "an unknown encoding": "# coding: nope\nprint(1)",
    "another encoding": "# coding: latin-1\nprint('grün')",
    "a mark of its encoding": "\ufeffprint(1)",
    "two encodings": "\ufeff# coding: latin-1\nprint(1)",
    "lines of Windows": "print(1)\r\nprint('a')\r\n",
    "no text": "print(1)\n\0\n",
    "another Python": "#!/usr/bin/python2\nimport sys; print(sys.executable)",
    "the future": "from __future__ import annotations\ndef f(x: nothing): pass\nprint(f.__annotations__)",
    "its own source": "import inspect, sys; f = lambda: 1\n"
    "print(inspect.getsource(f), inspect.getsource(sys.modules['__main__']), __loader__.get_source('__main__'))",
    "a fork": "import os, sys\nif os.fork() == 0:\n    print('child'); sys.exit(3)\nprint(os.wait()[1])",
    "started processes": "import multiprocessing\ndef f(x): print('child', x)\nif __name__ == '__main__':\n"
    "    child = multiprocessing.get_context('spawn').Process(target=f, args=[1])\n"
    "    child.start(); child.join(); print(child.exitcode)",
    "a pool": "from concurrent.futures import ProcessPoolExecutor\nif __name__ == '__main__':\n"
    "    with ProcessPoolExecutor(2) as pool:\n        print(list(pool.map(abs, [-1, -2])))",
    "what it may use": "import os, resource; print(os.umask(0o22), os.nice(0))\n"
    "print([resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith('RLIMIT_')])",
    "its environment": "import os, sys; print(sorted(os.environ.items()), sys.path[1:], len(sys.orig_argv))",
    "every descriptor": "import os; print(sorted(os.listdir('/proc/self/fd')))",
    "modules of the worker": "import sys\n"
    "print([n for n in ('job', 'render', 'hooks', 'warm', 'worker') if n in sys.modules])",
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    pool = Pool(tmp_path_factory.mktemp("workers"))
    yield pool
    pool.close()


@pytest.fixture
def worker(pool: Pool) -> Worker:
    return pool.worker()


def told(worker: Worker, template: Path, *, warm: bool) -> dict[str, Any]:
    """Return what a template's hooks have come to, without what is another's each time."""
    made = worker.create(template, warm_hooks=warm)
    said = json.dumps({**made.last, "id": None, "mechanisms": None, "seconds": None})
    for folder in (made.temporary, made.output):
        said = said.replace(str(folder), "FOLDER")
    # cookiecutter gives a rendered hook another name each time.
    found: dict[str, Any] = json.loads(re.sub(r"FOLDER/(tmp\w+\.py|cookiecutter\w+)", "SCRIPT", said))
    for run in found.get("hooks", []):
        run["seconds"] = None
    left = made.output / "made" / "left"
    return {**found, "left": left.read_text() if left.exists() else None}


@pytest.mark.parametrize("code", ALIKE.values(), ids=ALIKE)
def test_a_hook_behaves_as_in_an_interpreter_of_its_own(worker: Worker, tmp_path: Path, code: str) -> None:
    files: dict[str, str | bytes] = {f"{SLUG}/file": "rendered", "hooks/post_gen_project.py": code}
    template = write_template(tmp_path / "template", files, {"slug": "made"})
    warm, own = told(worker, template, warm=True), told(worker, template, warm=False)
    assert warm == own
    assert warm["event"] in {"done", "failed"}


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"print(1)",
        b"print('\xe4')\n",
        b"print(1)  # \xe4\n",
        b"# coding: latin-1\nprint('\xe4')\n",
        "print(1)".encode("utf-16"),
        b"\x7fELF\x02\x01\x01\0",
        b"print(1)\rprint(2)\r",
        b"PK\x05\x06" + bytes(18),
        importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(compile("print(3)", "code", "exec")),
    ],
    ids=[
        "empty",
        "no end of line",
        "no UTF-8",
        "a comment that is not",
        "another encoding",
        "UTF-16",
        "a program",
        "CR",
        "an archive",
        "bytecode",
    ],
)
def test_one_that_is_not_rendered_is_read_as_by_an_interpreter(worker: Worker, tmp_path: Path, code: bytes) -> None:
    files: dict[str, str | bytes] = {f"{SLUG}/file": "rendered", "hooks/pre_prompt.py": code}
    template = write_template(tmp_path / "template", files, {"slug": "made"})
    assert told(worker, template, warm=True) == told(worker, template, warm=False)


def test_a_hook_is_a_fork_only_where_that_is_asked_for(worker: Worker, tmp_path: Path) -> None:
    code = "import sys; print('jinja2' in sys.modules)"
    files: dict[str, str | bytes] = {f"{SLUG}/file": "rendered", "hooks/post_gen_project.py": code}
    template = write_template(tmp_path / "template", files, {"slug": "made"})
    outputs = [told(worker, template, warm=warm)["hooks"][0]["output"] for warm in (True, False)]
    assert outputs == ["True\n", "False\n"]


def test_hooks_see_nothing_of_each_other_or_of_extensions(worker: Worker, tmp_path: Path) -> None:
    first = "import builtins, json, os\njson.marked = builtins.marked = 1\nos.environ['MARKED'] = '1'\nos.chdir('/')\n"
    second = (
        "import builtins, json, os, sys\n"
        "print(hasattr(json, 'marked'), hasattr(builtins, 'marked'), 'MARKED' in os.environ, 'extra' in sys.modules)\n"
    )
    files: dict[str, str | bytes] = {
        f"{SLUG}/file": "rendered",
        "hooks/pre_gen_project.py": first,
        "hooks/post_gen_project.py": second,
        "extra.py": "import json\nfrom jinja2.ext import Extension\njson.marked = 1\nclass Extra(Extension): pass\n",
    }
    asked = {"slug": "made", "_extensions": ["extra.Extra"]}
    made = worker.create(write_template(tmp_path / "template", files, asked))
    assert made.event == "done", made.last
    assert [run["output"] for run in made.last["hooks"]] == ["", "False False False False\n"]


def test_what_is_random_is_so_in_every_hook(worker: Worker, tmp_path: Path) -> None:
    code = "import random, tempfile, uuid\nprint(random.random(), uuid.uuid4(), tempfile.mktemp())"
    files: dict[str, str | bytes] = {f"{SLUG}/file": "rendered", "hooks/post_gen_project.py": code}
    template = write_template(tmp_path / "template", files, {"slug": "made"})
    said = [str(worker.create(template).last["hooks"][0]["output"]).split() for _ in range(3)]
    assert all(len(set(column)) == len(said) for column in zip(*said, strict=True))


def test_a_hook_that_ends_its_host_fails_its_job_alone(worker: Worker, tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getppid(), signal.SIGKILL); os._exit(0)"
    files: dict[str, str | bytes] = {f"{SLUG}/file": "rendered", "hooks/post_gen_project.py": code}
    made = worker.create(write_template(tmp_path / "template", files, {"slug": "made"}))
    assert made.last["kind"] == "hook"
    assert "ended by signal 9" in made.last["message"]
    plain: dict[str, str | bytes] = {f"{SLUG}/file": "rendered"}
    assert worker.create(write_template(tmp_path / "other", plain, {"slug": "made"})).event == "done"
