"""Real templates from packages on the index: the same files here as with bare cookiecutter, byte for byte."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import anyio
import pytest
from benchmarks import corpus, fidelity
from benchmarks.fidelity import Row

from dynamo_mcp.disk import remove

PACKAGES = corpus.load()
TESTED = {package.title(entry): entry for package in PACKAGES for entry in package.templates if entry.tested}


@pytest.fixture(scope="module")
def rows(pytestconfig: pytest.Config) -> dict[str, Row]:
    """All of them, created by one server and by the command; what is fetched stays in pytest's cache."""
    assert pytestconfig.cache is not None
    folder = Path(tempfile.mkdtemp(prefix="dynamo-mcp-real-"))
    try:
        return anyio.run(partial(_rows, pytestconfig.cache.mkdir("corpus"), folder))
    finally:
        remove(folder)


async def _rows(cache: Path, folder: Path) -> dict[str, Row]:
    return {row.title: row for row in await fidelity.compare(await fidelity.carried(cache, tested=True), folder)}


def test_there_are_enough_of_them() -> None:
    assert sum(entry.outcome == "works" and entry.bare is None for entry in TESTED.values()) >= 25


@pytest.mark.parametrize("title", TESTED)
def test_a_real_template_makes_here_what_it_makes_with_bare_cookiecutter(title: str, rows: dict[str, Row]) -> None:
    entry, row = TESTED[title], rows[title]
    assert row.differing == ()
    assert row.outcome == entry.outcome, row
    assert (entry.because or "") in (row.here or ""), row
    assert (row.bare is None) == (entry.bare is None), row
    assert (entry.bare or "") in (row.bare or ""), row
    assert not row.is_unexplained, row
