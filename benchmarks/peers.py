"""What do people use today? `venv` and pip, uv, `git clone`, and the `cookiecutter` command."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import uv

from benchmarks.templates import ANSWERS
from dynamo_mcp.process import run
from dynamo_mcp.requirements import COOKIECUTTER

SECONDS = 300.0
"""Seconds that one command may take."""
SECONDS_BETWEEN_LOOKS = 0.05

PYTHON = Path(os.path.realpath(sys.executable))
"""The interpreter itself: what is first on PATH may be a shim of a version manager, which costs ten times as much."""

UV = Path(uv.find_uv_bin())
"""The binary itself, for the same reason."""

VIRTUALENV, COPIER, CRUFT = "virtualenv==21.15.7", "copier==9.19.1", "cruft==2.16.0"
"""Programs that are measured beside ours; none is a dependency."""

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


async def venv_and_pip(path: Path, *, cache: Path, more: Sequence[str] = (), index: str | None = None) -> None:
    """Make an environment that holds cookiecutter as most people do; pip compiles its bytecode.

    Args:
        path: Where; it does not exist yet.
        cache: pip's cache, cold when it does not exist.
        more: Further requirements.
        index: The address of a package index that has them, besides the usual one.
    """
    await do([PYTHON, "-m", "venv", path])
    await _pip(path, cache, more, index)


async def plain(folder: Path) -> Path:
    """Return an environment that holds cookiecutter, which the benchmarks of one run share, as they do its cache."""
    path = folder / "plain"
    async with _made_once(path) as made:
        if not made:
            await venv_and_pip(path, cache=folder / "plain-cache")
    return path


@asynccontextmanager
async def _made_once(path: Path) -> AsyncIterator[bool]:
    """Tell whether it is there, while no other benchmark makes it: two of them may run at a time."""
    with path.with_name(f"{path.name}.lock").open("w") as lock, anyio.fail_after(SECONDS):
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await anyio.sleep(SECONDS_BETWEEN_LOOKS)
        yield path.exists()


async def virtualenv_and_pip(
    program: Path, path: Path, *, cache: Path, more: Sequence[str] = (), index: str | None = None
) -> None:
    """Make the same with virtualenv, from the environment that holds it."""
    await do([program / "bin" / "virtualenv", "--quiet", "--python", PYTHON, path])
    await _pip(path, cache, more, index)


async def _pip(path: Path, cache: Path, more: Sequence[str], index: str | None) -> None:
    extra = ["--extra-index-url", index] if index else []
    command: list[str | Path] = [path / "bin" / "python", "-m", "pip", "install", "--quiet", *extra, COOKIECUTTER]
    await do([*command, *more], PIP_CACHE_DIR=str(cache), PIP_DISABLE_PIP_VERSION_CHECK="1")


async def uv_venv_and_install(
    path: Path, *, cache: Path, more: Sequence[str] = (), index: str | None = None, compiled: bool = False
) -> None:
    """Make the same environment with two commands of uv, which compiles no bytecode unless it is told to."""
    variables = {"UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1"}
    variables |= {"UV_INDEX": index} if index else {}
    await do([UV, "venv", "--quiet", "--python", PYTHON, path], **variables)
    command: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", path, COOKIECUTTER, *more]
    await do([*command, *(["--compile-bytecode"] if compiled else [])], **variables)


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
    await do([plain / "bin" / "cookiecutter", *_asked(template, output)], HOME=str(home))


async def cookiecutter_by_uvx(template: Path, output: Path, *, cache: Path, home: Path) -> None:
    """Make one project with `uvx cookiecutter`: uv finds or makes the environment each time."""
    command: list[str | Path] = [UV, "tool", "run", "--quiet", "--python", PYTHON, "--from", COOKIECUTTER]
    more = {"UV_CACHE_DIR": str(cache), "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1", "HOME": str(home)}
    await do([*command, "cookiecutter", *_asked(template, output)], **more)


async def cookiecutters(plain: Path, template: Path, output: Path, *, home: Path, creates: int, at_once: int) -> None:
    """Make many projects with the command, some of them at a time: `xargs -P`."""
    words = shlex.join(str(word) for word in [plain / "bin" / "cookiecutter", *_asked(template, output / "{}")])
    await do(["sh", "-c", f"seq {creates} | xargs -P {at_once} -I {{}} {words}"], HOME=str(home))


async def copier(environment: Path, template: Path, output: Path, *, home: Path) -> None:
    """Make one project with the `copier` command, of a template that was written for it."""
    answers = [f"--data={name}={value}" for name, value in ANSWERS.items()]
    command: list[str | Path] = [environment / "bin" / "copier", "copy", "--quiet", "--defaults", *answers]
    await do([*command, template, output], HOME=str(home))


async def cruft(environment: Path, repository: str, output: Path, *, home: Path) -> None:
    """Make one project with the `cruft` command, which clones a repository and remembers where it came from."""
    output.mkdir()
    command: list[str | Path] = [environment / "bin" / "cruft", "create", "--no-input", "--output-dir", output]
    await do([*command, "--extra-context", json.dumps(ANSWERS), repository], HOME=str(home))


def linux() -> None:
    """Refuse to measure what only Linux tells.

    Raises:
        CommandFailed: It is another system.
    """
    if sys.platform != "linux":
        raise CommandFailed(f"what processes hold is read from /proc, which {sys.platform} has not")


async def tool(path: Path, package: str) -> Path:
    """Make an environment that holds a program, bytecode compiled, unless it is there.

    uv's own cache keeps what was fetched, so that only the first run on a machine needs the package index.

    Args:
        path: Where.
        package: Its requirement.

    Returns:
        The path.

    Raises:
        CommandFailed: It can't be had; a comparison without a peer would be another one.
    """
    async with _made_once(path) as made:
        if not made:
            more = {"UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1"}
            await do([UV, "venv", "--quiet", "--python", PYTHON, path], **more)
            await do([UV, "pip", "install", "--quiet", "--python", path, "--compile-bytecode", package], **more)
    return path


def _asked(template: Path, output: Path) -> list[str | Path]:
    answers = [f"{name}={value}" for name, value in ANSWERS.items()]
    return ["--no-input", "--output-dir", output, template, *answers]
