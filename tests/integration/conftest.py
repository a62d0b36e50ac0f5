"""A place of its own for each test, whose base environment is made once, and whose commands are imported once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homes import base_environments
from integration.forks import Forks, forks
from integration.places import Place


@pytest.fixture(scope="session")
def command_line() -> Iterator[Forks]:
    with forks() as started:
        yield started


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return base environments that homes may have without making them."""
    return base_environments(tmp_path_factory)


@pytest.fixture
def place(tmp_path: Path, ready: Path, command_line: Forks) -> Place:
    return Place(tmp_path, ready, command_line)
