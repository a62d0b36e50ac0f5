"""What a job has written is added up without following a link, and only as far as it may be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CODE = Path(__file__).parents[2] / "src" / "dynamo_mcp" / "_in_environment"
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import written
try:
    print(json.dumps(written.measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
except written.TooMuch as error:
    print(json.dumps(error.args))
"""


def measured(folder: Path, most_bytes: int = 1 << 30, most_files: int = 1000) -> list[Any]:
    command = [sys.executable, "-I", "-B", "-c", SCRIPT, str(CODE), str(folder), str(most_bytes), str(most_files)]
    said: list[Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made" / "in").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "large").write_bytes(bytes(8 << 20))
    (tmp_path / "made" / "in" / "file").write_bytes(b"x" * (1 << 20))
    (tmp_path / "made" / "out").symlink_to(tmp_path / "beside")
    return tmp_path / "made"


def test_everything_in_a_folder_counts_and_nothing_behind_a_link(folder: Path) -> None:
    used, files = measured(folder)
    assert 1 << 20 <= used < 2 << 20
    assert files == 3


def test_more_than_may_be_is_told_with_its_setting(folder: Path) -> None:
    assert measured(folder, most_bytes=1000) == ["more than 1000 bytes", "output_bytes"]
    assert measured(folder, most_files=2) == ["more than 2 files", "output_files"]


def test_folders_without_end_are_told(folder: Path) -> None:
    deep = folder
    for _ in range(70):
        deep = deep / "d"
        deep.mkdir()
    assert measured(folder) == ["more than 60 folders within each other", None]


def test_a_folder_that_is_none_or_gone_has_nothing(folder: Path) -> None:
    assert measured(folder / "out") == [0, 0]
    assert measured(folder / "never") == [0, 0]
