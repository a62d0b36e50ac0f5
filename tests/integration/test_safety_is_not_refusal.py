"""Where namespaces can't be had, a stranger's template is contained all the same, or one command makes it work.

Each situation is one that people's machines are in: no bubblewrap, a container engine's filter, a switch of the kernel;
as root and as an ordinary user. The command that a refusal offers is run as it is printed, where it changes nothing of
the machine that the tests run on.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from integration.places import SECONDS, Place, write_template
from people import ONLY_ROOT, USER, as_user, give

pytestmark = [pytest.mark.anyio, ONLY_ROOT]

INSTALLS = r"(apt-get update && )?[a-z-]+( -?[A-Za-z-]+)* bubblewrap"
REFUSING = [sys.executable, str(Path(__file__).parents[1] / "refusing.py")]


class Situation(msgspec.Struct, frozen=True):
    """How the program is run, and how what it tells a person to type is.

    Attributes:
        before: What comes before the program's command line.
        path: The PATH that it has at first; None for the tests' own.
        shell: What comes before the shell in which a command for root is typed.
    """

    before: tuple[str, ...] = ()
    path: Path | None = None
    shell: tuple[str, ...] = ()


@pytest.fixture
def own(tmp_path: Path, ready: Path) -> Place:
    """A place that shares no file with another, so that it can be given to a user."""
    tmp_path.chmod(0o755)
    made = Place(tmp_path, ready, shared=False)
    write_template(made.templates / "theirs")
    return made


async def test_root_without_bubblewrap_can_create_from_a_stranger_s_template(own: Place) -> None:
    project = await works(own, Situation(tuple(as_user([], own.root, user=0)), path=without_bubblewrap(own)))
    assert project["mechanisms"][0] == "user"


async def test_root_without_bubblewrap_whose_home_is_closed_to_others_is_told_what_installs_it(own: Place) -> None:
    own.home.chmod(0o700)
    situation = Situation(tuple(as_user([], own.root, user=0)), path=without_bubblewrap(own))
    project = await works(own, situation, told=INSTALLS)
    assert project["mechanisms"][0] == "bubblewrap"


async def test_root_where_a_filter_refuses_namespaces_can_create_from_a_stranger_s_template(own: Place) -> None:
    project = await works(own, Situation(tuple(as_user(REFUSING, own.root, user=0))))
    assert project["mechanisms"][0] == "user"


async def test_root_whose_home_is_closed_to_others_is_told_what_opens_it(own: Place) -> None:
    own.home.chmod(0o700)
    opens = f"chmod o\\+x {re.escape(str(own.home))}"
    project = await works(own, Situation(tuple(as_user(REFUSING, own.root, user=0))), told=opens)
    assert project["mechanisms"][0] == "user"


async def test_a_user_whom_a_filter_refuses_namespaces_is_told_how_to_trust_a_stranger_s_template(own: Place) -> None:
    give(own.root)
    project = await works(own, Situation(tuple(as_user(REFUSING, own.root))), told="dynamo-mcp trust theirs full")
    assert (project["trust"], project["tier"]) == ("full", "none")


async def test_a_user_where_no_namespaces_are_allowed_is_told_what_allows_them(own: Place) -> None:
    give(own.root)
    with namespace() as entered:
        inside = [*entered, "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        await anyio.run_process([*entered, "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces"])
        situation = Situation(tuple(as_user(inside, own.root, user=0)), shell=tuple(entered))
        project = await works(own, situation, told=r"(su - -c '|sudo )sysctl -w user\.max_user_namespaces=\d+'?")
    assert project["mechanisms"][0] == "bubblewrap"


async def works(own: Place, situation: Situation, *, told: str | None = None) -> Any:
    """Add a stranger's template and create a project, at once or when what is told was done.

    Args:
        own: Where.
        situation: How.
        told: What the command looks like that is told, as a whole; None where the template is contained at once.

    Returns:
        The project.
    """
    code, _, said = await run(own, situation, "add", str(own.templates / "theirs"))
    assert code == 0, said
    diagnosed, found, _ = await run(own, situation, "doctor", "--json")
    code, project, said = await create(own, situation)
    assert (code, diagnosed) == ((0, 0) if told is None else (5, 5)), said
    by_trust = False
    if told is not None:
        hint = project["error"]["hint"]
        command = re.search(r"run `([^`]+)`", hint) or re.search(r"`(dynamo-mcp trust \S+ full)`", hint)
        assert command is not None, hint
        assert re.fullmatch(told, command[1]), command[1]
        by_trust = command[1].startswith("dynamo-mcp ")
        assert by_trust or command[1] in found["commands"]
        assert not list(own.outputs.rglob("made-by-hook.txt"))
        code, project, said = await create(own, await repair(own, situation, command[1]))
        assert code == 0, said
    assert by_trust or (project["trust"], project["tier"]) == ("contained", "strong")
    assert (Path(project["path"]) / "made-by-hook.txt").read_text() == "hook of my-project"
    return project


async def repair(own: Place, situation: Situation, command: str) -> Situation:
    """Do what a person is told to, unless it would change this machine; return how the program is run from then on."""
    program, *arguments = shlex.split(command)
    if program == "dynamo-mcp":
        code, _, said = await run(own, situation, *arguments)
        assert code == 0, said
        return situation
    if re.fullmatch(INSTALLS, command):
        # It is installed, and the index may be out of reach: only the PATH was without it.
        return msgspec.structs.replace(situation, path=None)
    paths = [Path(argument) for argument in arguments if "/" in argument]
    assert situation.shell or (paths and all(path.is_relative_to(own.root) for path in paths)), command
    with anyio.fail_after(SECONDS):
        done = await anyio.run_process([*situation.shell, "sh", "-c", command], check=False)
    assert done.returncode == 0, (command, done.stderr.decode())
    return situation


def without_bubblewrap(own: Place) -> Path:
    """Return a PATH that has what the program needs, and no bubblewrap."""
    path = own.root / "bin"
    path.mkdir()
    for name in ("git", "sh", "env"):
        (path / name).symlink_to(str(shutil.which(name)))
    return path


async def create(own: Place, situation: Situation) -> tuple[int, Any, str]:
    return await run(own, situation, "create", "theirs", "-o", str(own.outputs), "--json")


async def run(own: Place, situation: Situation, *arguments: str) -> tuple[int, Any, str]:
    """Run the program; return its exit code, what it printed (parsed, if that was JSON) and its errors."""
    path = [] if situation.path is None else ["env", f"PATH={situation.path}"]
    with anyio.fail_after(SECONDS):
        done = await anyio.run_process(
            [*situation.before, *path, sys.executable, "-m", "dynamo_mcp", *arguments],
            env={**own.environment, "HOME": str(own.root)},
            check=False,
            cwd=own.root,
        )
    said = done.stdout.decode()
    return done.returncode, json.loads(said) if "--json" in arguments and said else said, said + done.stderr.decode()


@contextmanager
def namespace() -> Iterator[list[str]]:
    """Have a user namespace with root and one user; yields what enters it, as its root."""
    command = ["unshare", "--user", "sh", "-c", "echo ready; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        for kind in ("uid", "gid"):
            Path(f"/proc/{holder.pid}/{kind}_map").write_text(f"0 0 1\n{USER} {USER} 1\n")
        yield ["nsenter", f"--user=/proc/{holder.pid}/ns/user", "--"]
        holder.stdin.close()
