"""A place of its own for each test, whose base environment is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from homes import base_environments
from integration.places import Place


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path, base_environments(tmp_path_factory))
