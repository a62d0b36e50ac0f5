"""What of this machine works, what is missing, and what brings it? Asked by a person; each thing is tried."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from dynamo_mcp import extras
from dynamo_mcp.errors import DynamoError, Failed
from dynamo_mcp.process import run
from dynamo_mcp.sandbox.launch import bubblewrap
from dynamo_mcp.sandbox.machine import Machine, this_machine
from dynamo_mcp.sandbox.remedies import as_root, installation
from dynamo_mcp.sandbox.tier import probe
from dynamo_mcp.sandbox.trust import possible
from dynamo_mcp.settings import ANOTHER_PYTHON, Settings
from dynamo_mcp.source_settings import PREFIX
from dynamo_mcp.text import plain
from dynamo_mcp.types import Confinement, Primitive, Tier
from dynamo_mcp.uv import Uv
from dynamo_mcp.views import Diagnosis

SECONDS = 20.0
"""Seconds that each thing has to answer: a person waits."""

MEANINGS: dict[Tier, str] = {
    "strong": "a stranger's template runs with its hooks and extensions, confined",
    "reduced": "a stranger's template is rendered without its hooks and extensions, with trust `inert`; to run all of "
    "it takes a person's word",
    "none": "nothing of a stranger can be confined here: to use its template takes a person's word",
}

_NOT_TRIED = tuple(
    Primitive(name, present=False, why="not tried: that takes a Python")
    for name in ("bubblewrap", "user namespaces", "own user", "landlock", "seccomp", "no_new_privs", "cgroup")
)

MENDED_GIT = {39: 5, 43: 7, 44: 4, 45: 4, 46: 4, 47: 3, 48: 2, 49: 1, 50: 1}
"""By the number after `2.`, the first release in which checking out a stranger's tree is mended: CVE-2025-48384 and
CVE-2025-48385. There is none of 2.39: Debian mended its 2.39.5."""


async def diagnose(settings: Settings, files: Path = Path("/")) -> Diagnosis:
    """Try everything.

    Args:
        settings: What would be used.
        files: The root of the machine's files.
    """
    machine = this_machine(settings, files)
    python = await _tried("Python", lambda: _python(settings))
    if python.present:
        confinement = await probe(settings, python=settings.python, files=files)
        parts = tuple([await _with_version(part, settings) for part in confinement.primitives])
    else:
        # Everything else of the kernel is tried by a Python.
        confinement, parts = Confinement("none", (), python.why), _NOT_TRIED
    roots = ((f"output root {root}", "OUTPUT_ROOTS", root) for root in settings.output_roots)
    needed = (
        python,
        await _tried("uv", lambda: Uv(settings).version(SECONDS)),
        *(_folder(*each) for each in (("home", "HOME", settings.home), *roots)),
    )
    git = await _git(settings, machine)
    return Diagnosis(
        tier=confinement.tier,
        meaning=MEANINGS[confinement.tier] if python.present else f"nothing can be created: {python.why}",
        trusts=possible(confinement.tier) if python.present else (),
        backend=confinement.backend,
        mechanisms=confinement.mechanisms,
        confinement=parts,
        running=(*needed, git),
        ready=all(part.present for part in needed),
        commands=tuple(dict.fromkeys(part.command for part in (*parts, *needed, git) if part.command)),
        extras=extras.look(),
    )


async def _with_version(part: Primitive, settings: Settings) -> Primitive:
    executable = bubblewrap(settings)
    if part.name != "bubblewrap" or executable is None:
        return part
    try:
        said = await _said([executable, "--version"], settings)
    except DynamoError:
        return part
    return msgspec.structs.replace(part, why=f"{said.removeprefix('bubblewrap ')}: {part.why}")


async def _tried(name: str, ask: Callable[[], Awaitable[str]]) -> Primitive:
    try:
        return Primitive(name, present=True, why=await ask())
    except DynamoError as error:
        return Primitive(name, present=False, why=plain(error.message))


async def _python(settings: Settings) -> str:
    """Ask the interpreter for its version.

    Raises:
        Failed: It is none.
    """
    wrong = f"`{PREFIX}PYTHON` is `{settings.python}`, which is no Python that runs"
    command: list[str | Path] = [settings.python, "-I", "-S", "-c", "import sys; print(sys.version.split()[0])"]
    try:
        done = await run(command, env={"PATH": settings.search_path}, seconds=SECONDS)
    except DynamoError as error:
        raise Failed(f"{wrong} ({error.message}); {ANOTHER_PYTHON}", hint=ANOTHER_PYTHON) from error
    version = plain(done.stdout.decode("utf-8", "replace"))
    if done.code != 0 or not re.match(r"3\.\d+", version):
        raise Failed(f"{wrong} (it said: {plain(done.error, 200)}); {ANOTHER_PYTHON}", hint=ANOTHER_PYTHON)
    return f"{version}: environments are made from `{settings.python}`"


async def _git(settings: Settings, machine: Machine) -> Primitive:
    """Ask which Git there is; only templates from folders do without one."""
    tried = await _tried("git", lambda: _said(["git", "--version"], settings))
    install = as_root(machine, installation(machine, "git"))
    if not tried.present:
        return msgspec.structs.replace(tried, why=f"{tried.why}; without it there are no repositories", command=install)
    version = tried.why.removeprefix("git version ")
    found = re.match(r"2\.(\d+)\.(\d+)", version)
    if found is None or mended(int(found[1]), int(found[2])):
        return msgspec.structs.replace(tried, why=version)
    why = f"{version}: check that your system's has the fixes of CVE-2025-48384 and CVE-2025-48385"
    return Primitive("git", present=True, why=why, command=install)


def mended(minor: int, patch: int) -> bool:
    """Tell whether Git `2.minor.patch` checks out strangers' trees safely, as far as a number says."""
    return minor > max(MENDED_GIT) or patch >= MENDED_GIT.get(minor, patch + 1)


def _folder(name: str, setting: str, path: Path) -> Primitive:
    """Try to write in a folder, or where it would be made."""
    place = next(parent for parent in (path, *path.parents) if os.path.exists(parent))  # noqa: PTH110 - never raises
    inside = "" if place == path else f", to be made in `{place}`,"
    instead = f"mend that, or choose another with `{PREFIX}{setting}`"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(name.encode())
        found = os.statvfs(place)
    except OSError as error:
        why = f"`{path}`{inside} can't be written: {error.strerror}; {instead}"
        return Primitive(name, present=False, why=why)
    if found.f_flag & os.ST_NOEXEC and name == "home":
        why = f"`{place}` is mounted `noexec`: no environment in it can run; {instead}"
        return Primitive(name, present=False, why=why)
    free = found.f_bavail * found.f_frsize >> 20
    will = "" if place == path else ", in which it will be made"
    return Primitive(name, present=True, why=f"`{place}`{will} can be written; {free:,} MiB are free")


async def _said(command: list[str | Path], settings: Settings) -> str:
    """Return what a command says, on one line."""
    done = await run(command, env={"PATH": settings.search_path}, seconds=SECONDS)
    return plain(done.stdout.decode("utf-8", "replace").strip() or done.error)
