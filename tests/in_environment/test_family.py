"""Does a process end whose parent is dead, also where the kernel's word for it got lost?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dynamo_mcp

CODE = Path(dynamo_mcp.__file__).parent / "_in_environment"


@pytest.mark.parametrize(("parent", "said"), [("os.getppid()", "goes on"), ("os.getppid() + 1", "")])
def test_who_has_another_parent_than_before_ends(parent: str, said: str) -> None:
    words = f"import os, sys; sys.path.insert(0, {str(CODE)!r}); import family; family.end_without({parent})"
    done = subprocess.run(
        [sys.executable, "-c", f"{words}; print('goes on')"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == said
