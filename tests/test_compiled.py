"""What is kept of a template's compiled code: per template, trust and environment, by jobs and for jobs alone."""

from __future__ import annotations

import marshal
from pathlib import Path

import pytest

from dynamo_mcp.errors import DynamoError
from homes import Home, base_environments

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def kept(home: Home) -> list[Path]:
    return sorted((home.path / "compiled").iterdir())


async def test_the_first_create_leaves_it_and_the_next_makes_the_same(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        assert kept(home) == []
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        (file,) = kept(home)
        content, written = file.read_bytes(), file.stat().st_ino
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert kept(home) == [file]
        assert (file.read_bytes(), file.stat().st_ino) == (content, written)
    assert home.made == ["a", "b"]


async def test_one_with_which_a_job_dies_is_forgotten(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        (file,) = kept(home)
        code, binary = marshal.loads(file.read_bytes())  # noqa: S302 - of this test
        deadly = compile("import os\nos._exit(1)", "deadly", "exec")
        file.write_bytes(marshal.dumps((dict.fromkeys(code, deadly), binary)))
        with pytest.raises(DynamoError):
            await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert kept(home) == []
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert len(kept(home)) == 1
    assert home.made == ["a", "b"]
