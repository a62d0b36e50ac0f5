"""As whom Git in a hook commits: as the operator, where their Git knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp import settings
from dynamo_mcp.sandbox.git_identity import NEUTRAL, git_identity

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", NEUTRAL),
        ("[user]\n name = Ada = L\n email = ada@example.org\n", ("Ada = L", "ada@example.org")),
        ("[User]\n Name = Ada\n name = Grace\n", ("Grace", NEUTRAL[1])),
        ("[user]\n email = ada@example.org\n name =\n", (NEUTRAL[0], "ada@example.org")),
        ("[user \n", NEUTRAL),
    ],
    ids=["nothing", "both", "two names", "no name", "broken"],
)
async def test_git_in_hooks_commits_as_the_operator_whom_git_knows(
    tmp_path: Path, written: str, expected: tuple[str, str]
) -> None:
    (tmp_path / ".gitconfig").write_text(written)
    found = settings.load({"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}, person=True)
    assert await git_identity(found) == expected


async def test_without_git_it_is_nobody_in_particular(tmp_path: Path) -> None:
    found = settings.load({"HOME": str(tmp_path), "PATH": str(tmp_path)}, person=True)
    assert await git_identity(found) == NEUTRAL
