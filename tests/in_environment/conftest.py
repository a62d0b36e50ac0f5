"""Runs a piece of code as a job would: in a process of its own, with or without `confine`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from in_environment.workers import Pool, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODE = Path(__file__).parents[2] / "src" / "dynamo_mcp" / "_in_environment"
SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc"]
MISSING = "/this/does/not/exist"
NOBODY = 65534
SECONDS = 60
MEASURED = [str(Path(os.environ["COVERAGE_FILE"]).parent)] if "COVERAGE_FILE" in os.environ else []
"""Where what measures the tests writes; a confined process may too, so that it is seen."""

LIMITS = {"memory_bytes": 1 << 30, "cpu_seconds": 30, "file_bytes": 1 << 20, "open_files": 64, "processes": 512}

SCRIPT = """
import errno, json, os, sys
asked = json.loads(sys.argv[1])
sys.path.insert(0, asked["code"])
import confine, seccomp, system_calls
{imports}
inside, beside, outside = asked["inside"], asked["beside"], asked["outside"]

def call(name, *arguments):
    tables = {{**seccomp.EXAMINED, **seccomp.REFUSED, **seccomp.SAID_NOT_TO_EXIST,
              **seccomp.SAID_NOT_TO_BE_SUPPORTED}}
    return system_calls.system_call(getattr(tables[name], os.uname().machine), *arguments)

os.umask(0)
if asked["user"] != os.getuid():
    os.setgroups([])
    os.setgid(asked["user"])
    os.setuid(asked["user"])
try:
{before}
    if asked["confined"]:
        applied = confine.confine(confine.Policy.from_message(asked["policy"]))
{code}
    said = "done"
except confine.Unconfinable as error:
    said = "Unconfinable " + errno.errorcode[error.errno] + ": " + str(error)
except OSError as error:
    said = errno.errorcode[error.errno]
except (MemoryError, AssertionError) as error:
    said = " ".join([type(error).__name__, *map(str, error.args)])
os.write(1, said.encode())
os._exit(0)
"""


@pytest.fixture
def places() -> Iterator[dict[str, Path]]:
    """Folders that every user reaches, unlike pytest's own: two that a job may write, one that it may not touch."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        folders = {word: root / word for word in ("inside", "beside", "outside")}
        for folder in folders.values():
            folder.mkdir()
            folder.chmod(0o777)
        (folders["outside"] / "secret").write_text("secret")
        (folders["outside"] / "secret").chmod(0o666)
        shutil.copy("/bin/true", folders["outside"] / "program")
        (folders["inside"] / "link").symlink_to(folders["outside"] / "secret")
        yield folders


@pytest.fixture(params=["self", "nobody"])
def user(request: pytest.FixtureRequest) -> int:
    """Who tries: whoever runs the tests and, if that is root, an ordinary user too."""
    if request.param == "self":
        return os.getuid()
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    return NOBODY


@pytest.fixture
def attempt(places: dict[str, Path]) -> Callable[..., str]:
    """Return what runs code and says how it ended.

    It is "done", the name of an errno, of an exception with its words, or of the signal that ended the process.
    """

    def run(
        code: str,
        *,
        confined: bool = True,
        user: int | None = None,
        before: str = "",
        network: bool = False,
        read: list[str] | None = None,
        write: list[str] | None = None,
        **limits: int,
    ) -> str:
        chosen = os.getuid() if user is None else user
        # An ordinary user may not reach the interpreter of root, and what can't be reached can't be allowed.
        own = [sys.prefix, sys.base_prefix, str(CODE)] if chosen == os.getuid() else []
        policy = {
            "read": [*SYSTEM, MISSING, *own, *(read or [])],
            "write": [str(places["inside"]), str(places["beside"]), MISSING, *(write or []), *MEASURED],
            "devices": ["/dev/null", "/dev/urandom", MISSING],
            "network": network,
            "limits": LIMITS | limits,
        }
        asked: dict[str, Any] = {word: str(path) for word, path in places.items()}
        asked |= {"code": str(CODE), "policy": policy, "confined": confined, "user": chosen}
        lines = textwrap.dedent(code).strip().splitlines()
        script = SCRIPT.format(
            imports="\n".join(line for line in lines if line.startswith("import ")),
            before="\n".join("    " + line for line in before.splitlines()),
            code="\n".join("    " + line for line in lines if not line.startswith("import ")),
        )
        ended = subprocess.run(
            [sys.executable, "-I", "-B", "-c", script, json.dumps(asked)],
            capture_output=True,
            check=False,
            cwd="/",
            text=True,
            timeout=SECONDS,
        )
        if ended.returncode < 0:
            return signal.Signals(-ended.returncode).name
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


@pytest.fixture(scope="session")
def kernel() -> dict[str, Any]:
    """What the machine offers, as `confine.py` says it when it is run."""
    command = [sys.executable, "-I", "-B", str(CODE / "confine.py")]
    said = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS).stdout
    answer: dict[str, Any] = json.loads(said)
    return answer


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    pool = Pool(tmp_path_factory.mktemp("workers"))
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def unmeasured_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """For tests of many examples, each of which runs what others run measured."""
    pool = Pool(tmp_path_factory.mktemp("workers"), measured=False)
    yield pool
    pool.close()


@pytest.fixture
def worker(pool: Pool, request: pytest.FixtureRequest) -> Iterator[Worker]:
    failed = request.session.testsfailed
    yield pool.worker()
    if request.session.testsfailed != failed:
        pool.drop()
