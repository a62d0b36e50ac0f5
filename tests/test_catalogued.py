"""Is each entry where it says? Real repositories by real git: one that is there, and those that are not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.catalogue import KEPT, kept, look_at_all, main, write

from dynamo_mcp import catalogue
from dynamo_mcp.catalogue_views import CatalogueEntry
from sources.repositories import Repository

pytestmark = pytest.mark.anyio

PUBLIC = [entry for entry in catalogue.entries() if not entry.location.startswith(catalogue.BUNDLED)]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.write("README.md")
    repository.commit()
    repository.git("tag", "v1")
    for folder, content, made in (
        ("good", '{"slug": "x"}', "{{cookiecutter.slug}}/a"),
        ("nested", '{"templates": {}}', "b"),
        ("empty", '{"slug": "x"}', "b"),
        ("spoilt", "{", "{{cookiecutter.slug}}/a"),
        ("list", "[]", "{{cookiecutter.slug}}/a"),
    ):
        repository.write(f"{folder}/cookiecutter.json", content)
        repository.write(f"{folder}/{made}")
    repository.commit()
    return repository


def _entry(name: str, location: str, **given: str) -> CatalogueEntry:
    return CatalogueEntry(name, location, "x", "web", **given)  # type: ignore[arg-type]


async def test_an_entry_is_there_or_is_told_with_what_is_wrong(repository: Repository, tmp_path: Path) -> None:
    directories = ("good", "nested", "empty", "spoilt", "list", "missing")
    entries = [_entry(name, repository.url, directory=name) for name in directories]
    entries += [
        _entry("root", repository.url),
        _entry("old", repository.url, directory="good", revision="v1"),
        _entry("elsewhere", f"file://{tmp_path}/nothing"),
        _entry("offline", "https://127.0.0.1:1/x"),
    ]
    (tmp_path / "work").mkdir()
    seen = await look_at_all(entries, tmp_path / "work")
    assert [(each.name, each.state) for each in seen] == [
        ("good", "there"),
        ("nested", "there"),
        ("empty", "no template"),
        ("spoilt", "no template"),
        ("list", "no template"),
        ("missing", "no template"),
        ("root", "no template"),
        ("old", "no template"),
        ("elsewhere", "gone"),
        ("offline", "not reached"),
    ]
    assert all(each.why for each in seen if each.state != "there")
    assert seen[0].commit == repository.git("rev-parse", "HEAD")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", seen[0].committed)


async def test_what_was_seen_is_kept_and_what_was_not_stays(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    entries = [_entry("b", repository.url, directory="good"), _entry("c", repository.url)]
    seen = await look_at_all(entries, tmp_path / "work")
    records = kept(seen, {"c": {"seen": "before"}, "a": {"seen": "before"}}, today="2026-01-02")
    assert list(records) == ["a", "b", "c"]
    assert records["c"] == {"seen": "before"}
    assert (records["b"]["seen"], records["b"]["how"]) == ("2026-01-02", "git")
    write(records, tmp_path / "kept.json")
    assert json.loads((tmp_path / "kept.json").read_text()) == records
    assert len((tmp_path / "kept.json").read_text().splitlines()) == 5


def test_of_every_public_entry_it_is_kept_when_and_how_it_was_seen() -> None:
    records = json.loads(KEPT.read_text("utf-8"))
    assert list(records) == [entry.name for entry in PUBLIC]
    for record in records.values():
        assert re.fullmatch(r"[0-9a-f]{40}", record["commit"])
        assert record["committed"] <= record["seen"]
        assert record["how"] in {"stored copy", "git"}


def test_an_entry_that_was_last_changed_long_ago_says_so() -> None:
    records = json.loads(KEPT.read_text("utf-8"))
    for entry in PUBLIC:
        year = records[entry.name]["committed"][:4]
        if year <= "2023" and entry.revision is None:
            assert year in entry.description, entry.name


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such-entry"])
    assert "no public entry is called no-such-entry" in capsys.readouterr().err


def test_it_is_run_as_documented() -> None:
    page = (KEPT.parents[1] / "docs" / "catalogues.md").read_text()
    assert "uv run python -m benchmarks.catalogue" in page
    assert (
        "--write"
        in subprocess.run(
            [sys.executable, "-m", "benchmarks.catalogue", "--help"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=KEPT.parents[1],
        ).stdout
    )
