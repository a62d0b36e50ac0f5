"""What every test stands on."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis
import pytest

from dynamo_mcp.settings import Settings, load
from dynamo_mcp.store import Store, open_store
from homes import base_environments, give

Listener: TypeAlias = Callable[[str, tuple[Any, ...]], None]

hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")

_listeners: list[Listener] = []


def _tell(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in tuple(_listeners):
        listener(event, arguments)


sys.addaudithook(_tell)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def persons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where homes of persons come from: `mktemp` looks at all that is there to find a number, thousands of times."""
    folder = tmp_path_factory.mktemp("persons")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def no_real_home(persons: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a test nor a child of one finds the home of whoever runs the tests."""
    person = next(persons)
    person.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("DYNAMO_MCP_HOME", str(person / "dynamo-mcp"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def audited() -> Iterator[list[Listener]]:
    """Listeners that Python tells each system call of interest just before it is made (PEP 578).

    Whatever a stranger could do between two calls, a listener does at exactly that moment.
    """
    yield _listeners
    _listeners.clear()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "home", lock_seconds=20) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests that need environments: it has a base, and uv's cache."""
    home = tmp_path_factory.mktemp("shared-home")
    bases = base_environments(tmp_path_factory)
    give(bases, home / "bases")
    give(bases.parent / "wheels", home / "wheels")
    return home


@pytest.fixture
def shared_settings(shared_home: Path) -> Settings:
    return load(home=shared_home, environment_seconds=120.0, lock_seconds=120.0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 KiB."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs", str(folder)],
        check=True,
        capture_output=True,
        timeout=20,
    )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True, timeout=20)
