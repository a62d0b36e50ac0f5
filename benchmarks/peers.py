"""What do people use today? `venv` and pip, uv, `git clone`, and the `cookiecutter` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uv

from benchmarks.templates import ANSWERS
from dynamo_mcp.process import run
from dynamo_mcp.requirements import COOKIECUTTER

SECONDS = 300.0
"""Seconds that one command may take."""

PYTHON = Path(os.path.realpath(sys.executable))
"""The interpreter itself: what is first on PATH may be a shim of a version manager, which costs ten times as much."""

UV = Path(uv.find_uv_bin())
"""The binary itself, for the same reason."""

_DROPPED = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
    "PYTHONUNBUFFERED",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
)
"""What would make Python slower, or another Python: without bytecode `cookiecutter` takes twice as long to start."""


class CommandFailed(Exception):
    """A command failed; what it printed may name hosts, so it goes to the benchmark's log only."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment that every measured command gets."""
    return {name: value for name, value in os.environ.items() if name not in _DROPPED} | more


async def do(command: Sequence[str | Path], **more: str) -> None:
    """Run a command to its end, with more environment variables if need be.

    Raises:
        CommandFailed: With what it said.
        TimedOut: It took more than `SECONDS`; it was killed.
    """
    ended = await run(command, env=environment(**more), seconds=SECONDS, cwd=Path(os.sep))
    if ended.code != 0:
        raise CommandFailed(f"{Path(command[0]).name} {command[1]} ended with {ended.code}: {ended.error}")


async def venv_and_pip(path: Path, *, cache: Path) -> None:
    """Make an environment that holds cookiecutter as most people do; pip compiles its bytecode.

    Args:
        path: Where; it does not exist yet.
        cache: pip's cache, cold when it does not exist.
    """
    await do([PYTHON, "-m", "venv", path])
    command: list[str | Path] = [path / "bin" / "python", "-m", "pip", "install", "--quiet", COOKIECUTTER]
    await do(command, PIP_CACHE_DIR=str(cache), PIP_DISABLE_PIP_VERSION_CHECK="1")


async def uv_venv_and_install(path: Path, *, cache: Path) -> None:
    """Make the same environment with uv, bytecode included."""
    more = {"UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1"}
    await do([UV, "venv", "--quiet", "--python", PYTHON, path], **more)
    command: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", path, "--compile-bytecode", COOKIECUTTER]
    await do(command, **more)


async def git_clone(url: str, path: Path) -> None:
    """Clone a template's last commit."""
    await do(["git", "clone", "--quiet", "--depth", "1", url, path])


async def git_repository(folder: Path) -> str:
    """Make a repository of a folder, and return its URL."""
    git: list[str | Path] = ["git", "-C", folder, "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    await do(["git", "init", "--quiet", folder])
    await do([*git, "add", "--all"])
    await do([*git, "commit", "--quiet", "--message", "template"])
    return folder.as_uri()


async def cookiecutter(plain: Path, template: Path, output: Path, *, home: Path) -> None:
    """Make one project with the `cookiecutter` command.

    Args:
        plain: An environment that holds cookiecutter, bytecode compiled.
        template: Its folder: nothing is cloned.
        output: The folder in which the project's folder is made.
        home: Where it writes its replay file.
    """
    answers = [f"{name}={value}" for name, value in ANSWERS.items()]
    command: list[str | Path] = [
        plain / "bin" / "cookiecutter",
        "--no-input",
        "--output-dir",
        output,
        template,
        *answers,
    ]
    await do(command, HOME=str(home))
