"""Where namespaces can't be had, a stranger's template is contained all the same, or one command makes it work.

Each situation is one that people's machines are in: no bubblewrap, a container engine's filter, a switch of the kernel;
as root and as an ordinary user. The command that a refusal offers is run as it is printed.
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
    made = Place(tmp_path)
    shutil.copytree(ready, made.home / "bases", symlinks=True)
    write_template(made.templates / "theirs")
    return made


async def test_root_without_bubblewrap_can_create_from_a_stranger_s_template(own: Place) -> None:
    path = own.root / "bin"
    path.mkdir()
    for name in ("git", "sh", "env"):
        (path / name).symlink_to(str(shutil.which(name)))
    await works(own, Situation(path=path))


async def test_root_where_a_filter_refuses_namespaces_can_create_from_a_stranger_s_template(own: Place) -> None:
    assert await works(own, Situation(tuple(as_user(REFUSING, own.root, user=0)))) is None


async def test_root_whose_home_is_closed_to_others_is_told_what_opens_it(own: Place) -> None:
    own.home.chmod(0o700)
    command = await works(own, Situation(tuple(as_user(REFUSING, own.root, user=0))))
    assert command is not None
    assert command.startswith("chmod o+x ")


async def test_a_user_whom_a_filter_refuses_namespaces_can_create_from_a_stranger_s_template(own: Place) -> None:
    give(own.root)
    await works(own, Situation(tuple(as_user(REFUSING, own.root))))


async def test_a_user_where_no_namespaces_are_allowed_can_create_from_a_stranger_s_template(own: Place) -> None:
    give(own.root)
    with namespace() as entered:
        inside = [*entered, "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        await anyio.run_process([*entered, "sysctl", "-q", "-w", "user.max_user_namespaces=0"])
        await works(own, Situation(tuple(as_user(inside, own.root, user=0)), shell=tuple(entered)))


async def works(own: Place, situation: Situation) -> str | None:
    """Add a stranger's template and create a project; where that is refused, do as told, and create it then.

    Returns:
        The command that was told, if one was.
    """
    command = None
    code, _, said = await run(own, situation, "add", str(own.templates / "theirs"))
    assert code == 0, said
    diagnosed, found, _ = await run(own, situation, "doctor", "--json")
    code, project, said = await create(own, situation)
    assert (code, diagnosed) in {(0, 0), (5, 5)}, said
    if code == 5:
        hint = project["error"]["hint"]
        told = re.search(r"run `([^`]+)`", hint) or re.search(r"`(dynamo-mcp trust \S+ full)`", hint)
        assert told is not None, hint
        command = told[1]
        assert not list(own.outputs.rglob("made-by-hook.txt"))
        repaired = await repair(own, situation, command)
        assert command.startswith("dynamo-mcp ") or command in found["commands"]
        code, project, said = await create(own, repaired)
        assert code == 0, said
        assert project["trust"] == ("full" if command.startswith("dynamo-mcp ") else "contained")
    assert project["tier"] == ("none" if project["trust"] == "full" else "strong")
    assert (Path(project["path"]) / "made-by-hook.txt").read_text() == "hook of my-project"
    return command


async def repair(own: Place, situation: Situation, command: str) -> Situation:
    """Do what a person is told to; return how the program is run from then on."""
    program, *arguments = shlex.split(command)
    if program == "dynamo-mcp":
        code, _, said = await run(own, situation, *arguments)
        assert code == 0, said
        return situation
    with anyio.fail_after(SECONDS):
        done = await anyio.run_process([*situation.shell, "sh", "-c", command], check=False)
    assert done.returncode == 0, (command, done.stderr.decode())
    return msgspec.structs.replace(situation, path=None)


async def create(own: Place, situation: Situation) -> tuple[int, Any, str]:
    return await run(own, situation, "create", "theirs", "-o", str(own.outputs), "--json")


async def run(own: Place, situation: Situation, *arguments: str) -> tuple[int, Any, str]:
    """Run the program; return its exit code, what it printed (parsed, if that was JSON) and its errors."""
    path = {} if situation.path is None else {"PATH": str(situation.path)}
    with anyio.fail_after(SECONDS):
        done = await anyio.run_process(
            [*situation.before, sys.executable, "-m", "dynamo_mcp", *arguments],
            env={**own.environment, "HOME": str(own.root), **path},
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
