"""Does a process end whose parent is dead, also where the kernel's word for it got lost?"""

from __future__ import annotations

import os

import pytest

from dynamo_mcp._in_environment import family


def test_who_has_another_parent_than_before_ends() -> None:
    family.end_without(os.getppid())
    with pytest.raises(SystemExit):
        family.end_without(os.getppid() + 1)
