"""A home that is made once, and a place of its own for each test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from integration.places import Place, write_template


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a base environment, made by a real add with the real uv."""
    place = Place(tmp_path_factory.mktemp("ready"))
    template = write_template(place.templates / "first")
    command = [sys.executable, "-m", "dynamo_mcp", "add", str(template)]
    done = subprocess.run(command, env=place.environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return place.home


@pytest.fixture
def place(tmp_path: Path, ready: Path) -> Place:
    return Place(tmp_path, ready)
