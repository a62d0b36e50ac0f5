"""Homes that tests open: the base environment is made once, and every home gets it by hard links."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from filelock import FileLock

from dynamo_mcp.dynamo import Dynamo, open_dynamo
from dynamo_mcp.settings import Settings, load

SECONDS = 90.0
"""Seconds after which a wait in a test has failed."""

LOOK_SECONDS = 0.01
"""Seconds between two looks at what is waited for."""

SLUG = "{{cookiecutter.slug}}"


def base_environments(temporary: pytest.TempPathFactory) -> Path:
    """Return a folder of base environments, made by the real uv the first time that any process of a session asks."""
    folder = temporary.getbasetemp()
    # Processes that share the tests of one session have a folder each, in one of the session's.
    root = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "home-of-the-bases"
    with FileLock(f"{root}.lock", timeout=300):
        if not (root / "made").exists():
            template = write_template(root / "first")
            done = subprocess.run(
                [sys.executable, "-m", "dynamo_mcp", "add", str(template)],
                env={**os.environ, "DYNAMO_MCP_HOME": str(root / "home")},
                capture_output=True,
                check=False,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr.decode()
            (root / "made").touch()
    return root / "home" / "bases"


def give(folder: Path, target: Path, *, shared: bool = True) -> None:
    """Give a home a folder of another one, by hard links; thousands of them, so `cp` makes them.

    Args:
        folder: What is given.
        target: What it is called there.
        shared: By hard links. What becomes another user's must be a copy, or the other homes' files would, too.
    """
    subprocess.run(["cp", "-al" if shared else "-a", folder, target], check=True, capture_output=True, timeout=SECONDS)


def write_template(
    folder: Path,
    files: dict[str, str | bytes] | None = None,
    *,
    configuration: dict[str, Any] | None = None,
    **hooks: str,
) -> Path:
    """Write a template that makes `README.md`, and what else is given; hooks by their name without `.py`."""
    given = {f"{SLUG}/README.md": "{{cookiecutter.slug}}\n", **(files or {})}
    given |= {f"hooks/{name}.py": code for name, code in hooks.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cookiecutter.json").write_text(json.dumps(configuration or {"slug": "made"}), "utf-8")
    for name, content in given.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


class Home:
    """A home of one test, beside its templates and the folder that its projects go to."""

    def __init__(self, root: Path, bases: Path | None) -> None:
        self.root = root
        self.path = root / "home"
        self.outputs = root / "projects"
        self.templates = root / "templates"
        for folder in (self.path, self.outputs, self.templates):
            folder.mkdir(parents=True)
        if bases is not None:
            give(bases, self.path / "bases")
        self._bases = bases

    def take_wheels(self) -> None:
        """Get uv's cache too, so that an environment can be made without the index."""
        assert self._bases is not None
        give(self._bases.parent / "wheels", self.path / "wheels")

    def settings(self, environ: dict[str, str] | None = None, **chosen: object) -> Settings:
        given: dict[str, object] = {
            "home": self.path,
            "output_roots": (self.outputs,),
            "source_roots": (self.templates,),
            "lock_seconds": SECONDS,
            **chosen,
        }
        own = {name: value for name, value in os.environ.items() if not name.startswith("DYNAMO_MCP_")}
        return load({**own, **(environ or {})}, **given)

    def open(self, environ: dict[str, str] | None = None, **chosen: object) -> AbstractAsyncContextManager[Dynamo]:
        """Open it as a server does; `async with` it."""
        return open_dynamo(self.settings(environ, **chosen))

    async def add(self, dynamo: Dynamo, name: str, *arguments: Any, **options: Any) -> Path:
        """Write a template and register it; return the checkout's folder."""
        folder = write_template(self.templates / name, *arguments, **options)
        await dynamo.add_template(str(folder), name=name)
        return self.checkout(name)

    def checkout(self, name: str) -> Path:
        """Return the folder that a registered template's `cookiecutter.json` is in."""
        return Path(json.loads((self.path / "templates" / f"{name}.json").read_text())["path"])

    @property
    def scratch(self) -> list[str]:
        """What is in scratch folders, besides what living renderers need."""
        living = {room for room in (self.path / "scratch").glob("*/renderer-*") if processes_of(room)}
        return sorted(str(path) for path in (self.path / "scratch").glob("*/*") if path not in living)

    @property
    def made(self) -> list[str]:
        return sorted(path.name for path in self.outputs.iterdir())


def workers() -> list[int]:
    """Return the living worker processes that this test session started, innermost ones only, without their forks."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (words := command(int(entry.name))):
            running = any(word.endswith("_in_environment/worker.py") for word in words)
            if running and Path(words[0]).name.startswith("python"):
                with suppress(OSError):
                    # The name in parentheses may hold anything, also parentheses (proc_pid_stat(5)).
                    found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return [worker for worker, parent in found.items() if parent not in found]


def command(identity: int) -> list[str]:
    """Return a process's command line, empty when it is gone."""
    try:
        return [os.fsdecode(word) for word in Path(f"/proc/{identity}/cmdline").read_bytes().split(b"\0") if word]
    except OSError:
        return []


def processes_of(folder: Path) -> list[int]:
    """Return the processes that have a folder, or something in it, on their command line, open, or as their own."""
    found = []
    wanted = str(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        places = [word for word in command(int(entry.name)) if wanted in word]
        try:
            links = [entry / "cwd", *(entry / "fd").iterdir()]
        except OSError:
            links = []
        for link in links:
            try:
                place = str(link.readlink())
            except OSError:
                continue
            if place.startswith(wanted):
                places.append(place)
        if places:
            found.append(int(entry.name))
    return found


def hooks_running(home: Home) -> list[int]:
    """Return the processes that hooks run in: of this home, and printing to where hooks print."""
    return hooks_of(home.path)


def hooks_of(path: Path) -> list[int]:
    """Return the same of the home at a path."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if (entry / "fd" / "1").readlink().name == ".hook" and str(path) in " ".join(command(int(entry.name))):
                found.append(int(entry.name))
    return found


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until something holds, looking now and then: what is waited for needs the processor."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - of what happens in other processes nobody is told
            await anyio.sleep(LOOK_SECONDS)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; return what it says."""
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """Commit all of a folder, a repository from then on; return its commit."""
    git(folder, "init", "-b", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "-m", "m")
    return git(folder, "rev-parse", "HEAD")
