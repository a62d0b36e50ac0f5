"""How long does an environment of many packages take, and many at once? Against `venv` and pip, virtualenv, and uv."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from benchmarks import environment, peers
from benchmarks.environment import DYNAMO, PIP, UV
from benchmarks.measuring import Comparison, Result, Subject, compare, interleave

VIRTUALENV = "virtualenv + pip"
LINKING = "hard-linking a ready environment"
ROUNDS = 5
PACKAGES = (10, 20, 50, 100)
AT_ONCE = (1, 8, 32)
AT_ONCE_QUICK = (2,)
LIMITS = (1, 2, 4, 8)
"""How many of as many new sets of requirements as the last says are made at a time."""
MODULES = 10
"""Modules of each package; those of the index have about as many in the middle."""
MOST_OF_PIP = 8
"""Environments that pip makes at once at most: thirty-two of them would take a minute, and tell nothing more."""


async def measure(folder: Path, *, quick: bool) -> Result:
    """Measure it.

    Args:
        folder: An empty folder.
        quick: Few rounds.
    """
    for each in ("index", "packages", "at-once"):
        (folder / each).mkdir()
    sizes = PACKAGES[:1] if quick else PACKAGES
    names = [publish(folder / "index", f"measured_{number}") for number in range(max(sizes))]
    sets = 0 if quick else ROUNDS * len(LIMITS) * LIMITS[-1]
    new = [publish(folder / "index", f"new_{number}") for number in range(sets)]
    measuring = _Measuring(folder, (folder / "index").as_uri())
    if not quick:
        measuring.virtualenv = await peers.tool(folder.parent / "virtualenv", peers.VIRTUALENV)
    rounds = 1 if quick else ROUNDS
    found = [await measuring.of(tuple(names[:size]), rounds=rounds, quick=quick) for size in sizes]
    counts = AT_ONCE_QUICK if quick else AT_ONCE
    found += [await measuring.at_once(count, rounds=rounds, pip=not quick) for count in counts]
    if new:
        found.append(await measuring.limited(iter(new)))
    return Result("packages", tuple(found))


class _Measuring:
    virtualenv: Path

    def __init__(self, folder: Path, index: str) -> None:
        self._folder = folder
        self._index = index
        self._uv = folder.parent / "peers-cache"
        self._pip = folder.parent / "plain-cache"

    async def of(self, requirements: tuple[str, ...], *, rounds: int, quick: bool) -> Comparison:
        """Measure environments of cookiecutter and so many packages, warm: each side has made one before."""
        count = len(requirements)
        folder = self._folder / "packages" / str(count)
        folder.mkdir()
        index = self._index
        async with environment.environments(self._folder / "home", UV_INDEX=index) as ours:

            async def dynamo(path: Path) -> None:
                await ours.ensure(f"{count}-{path.name}", requirements)

            async def virtualenv(path: Path) -> None:
                await peers.virtualenv_and_pip(self.virtualenv, path, cache=self._pip, more=requirements, index=index)

            async def uv(path: Path) -> None:
                await peers.uv_venv_and_install(path, cache=self._uv, more=requirements, index=index)

            async def pip(path: Path) -> None:
                await peers.venv_and_pip(path, cache=self._pip, more=requirements, index=index)

            async def linked(path: Path) -> None:
                # What uv made first, which is there by then.
                link = partial(shutil.copytree, folder / "first-1", path, symlinks=True, copy_function=os.link)
                await anyio.to_thread.run_sync(link)

            subjects = [
                Subject(DYNAMO, dynamo),
                Subject(UV, uv),
                Subject(LINKING, linked),
                Subject(VIRTUALENV, virtualenv),
                Subject(PIP, pip),
            ]
            if quick:
                del subjects[3:]  # pip takes seconds each time, and `environment` has seen it run
            for place, subject in enumerate(subjects):
                await subject.run(folder / f"first-{place}")
            samples = await interleave(subjects, rounds=rounds, folder=folder)
        return compare(f"an environment of cookiecutter and {count} packages, warm", samples, baseline=samples[-1].name)

    async def at_once(self, count: int, *, rounds: int, pip: bool) -> Comparison:
        """Measure so many environments of cookiecutter that are asked for at once."""
        folder = self._folder / "at-once" / str(count)
        folder.mkdir()
        async with environment.environments(self._folder / "home") as ours:

            async def dynamo(path: Path) -> None:
                await ours.ensure(f"{path.parent.name}-{path.name}", ())

            async def uv(path: Path) -> None:
                await peers.uv_venv_and_install(path, cache=self._uv)

            async def with_pip(path: Path) -> None:
                await peers.venv_and_pip(path, cache=self._pip)

            subjects = [
                Subject(DYNAMO, partial(_several, dynamo, count)),
                Subject(UV, partial(_several, uv, count)),
                *([Subject(PIP, partial(_several, with_pip, count))] if pip and count <= MOST_OF_PIP else []),
            ]
            for place, subject in enumerate(subjects):
                await subject.run(folder / f"first-{place}")
            samples = await interleave(subjects, rounds=rounds, folder=folder)
        return compare(f"{count} environments at once, warm", samples, baseline=samples[-1].name)

    async def limited(self, requirements: Iterator[str]) -> Comparison:
        """Measure bases of requirements that are new, asked for at once, by how many are made at a time."""
        folder = self._folder / "limited"
        folder.mkdir()

        async def several(limit: int, path: Path) -> None:
            async with environment.environments(self._folder / "home", limit, UV_INDEX=self._index) as ours:

                async def one(path: Path) -> None:
                    await ours.ensure(f"limited-{path.name}", (next(requirements),))

                await _several(one, LIMITS[-1], path)

        subjects = [Subject(f"Dynamo, {limit} at a time", partial(several, limit)) for limit in LIMITS]
        samples = await interleave(subjects, rounds=ROUNDS, folder=folder)
        return compare(f"{LIMITS[-1]} new sets of requirements at once", samples, baseline=samples[0].name)


async def _several(one: Callable[[Path], Coroutine[Any, Any, None]], count: int, path: Path) -> None:
    path.mkdir()
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(one, path / f"{path.name}-{number}")


def publish(index: Path, name: str) -> str:
    """Put a wheel of a few modules into a package index that lies in a folder; return its requirement."""
    information = f"{name}-1.0.dist-info"
    content = {
        **{f"{name}/module_{number}.py": f"VALUE = {number}\n" * 50 for number in range(MODULES)},
        f"{name}/__init__.py": "",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in content.items()]
    folder = index / name.replace("_", "-")
    folder.mkdir()
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{information}/RECORD": "".join([*record, f"{information}/RECORD,,\n"])}.items():
            archive.writestr(path, text)
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return f"{name.replace('_', '-')}==1.0"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
