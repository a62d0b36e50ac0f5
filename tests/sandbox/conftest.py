"""What this machine offers, asked of the kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CONFINE = Path(__file__).parents[2] / "src" / "dynamo_mcp" / "_in_environment" / "confine.py"


@pytest.fixture(scope="session")
def kernel() -> dict[str, Any]:
    said = subprocess.run([sys.executable, "-I", "-B", CONFINE], capture_output=True, check=True, timeout=60).stdout
    answer: dict[str, Any] = json.loads(said)
    return answer
