"""What is there now is asked for, and nothing is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from dynamo_mcp import sources
from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.newness import Newness
from dynamo_mcp.progress import Progress
from dynamo_mcp.registry import Registry
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.newer import revision_there
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location, Template
from dynamo_mcp.views import Newer, TemplateInfo
from sources.repositories import SECONDS, Fetch, Repository, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def there(store: Store, settings: Settings) -> Callable[..., Awaitable[str | None]]:
    async def there(location: Location, **changes: object) -> str | None:
        changed = msgspec.structs.replace(settings, **changes)
        return await revision_there(location, store=store, settings=changed)

    return there


Ask = Callable[..., Awaitable[str | None]]


async def test_a_branch_a_tag_and_the_default_branch_are_asked_for(there: Ask, repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "-a", "-m", "one", "v1")
    repository.git("tag", "light")
    repository.git("branch", "x/main")
    second = repository.commit("second")
    for revision, commit in ((None, second), ("main", second), ("v1", first), ("light", first), ("x/main", first)):
        assert await there(Location("git", repository.url, revision)) == commit, revision
    assert await there(Location("git", repository.url, "refs/tags/v1")) == first


async def test_where_a_tag_and_a_branch_have_one_name_the_tag_counts_as_when_fetching(
    there: Ask, fetch: Fetch, repository: Repository
) -> None:
    repository.git("tag", "both")
    repository.commit("second")
    repository.git("branch", "both")
    location = Location("git", repository.url, "both")
    assert await there(location) == (await fetch(location)).revision


async def test_a_commit_is_the_same_for_ever_and_a_whole_one_is_not_even_asked_for(
    there: Ask, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    assert await there(Location("git", "file:///gone", commit.upper())) == commit
    assert await there(Location("git", repository.url, commit[:8])) == commit[:8]


async def test_a_branch_that_is_gone_is_told(there: Ask, repository: Repository) -> None:
    with pytest.raises(InvalidLocation, match="no branch and no tag `gone` any more"):
        await there(Location("git", repository.url, "gone"))
    with pytest.raises(FetchFailed):
        await there(Location("git", "file:///gone", "main"))


@pytest.mark.parametrize("way", ["smart", "moved"])
async def test_a_host_is_asked_also_where_it_leads_on(
    there: Ask, server: Server, trusting: dict[str, str], repository: Repository, way: str
) -> None:
    location = Location("git", f"{server.url}/{way}/template")
    assert await there(location, passed=trusting) == repository.git("rev-parse", "HEAD")


async def test_a_folder_has_the_digest_that_its_copy_would_have(
    there: Ask, fetch: Fetch, repository: Repository
) -> None:
    location = Location("local", str(repository.path))
    (repository.path / "link").symlink_to("cookiecutter.json")
    digest = (await fetch(location)).digest
    assert await there(location) == digest
    repository.write("new")
    assert await there(location) != digest
    shutil.rmtree(repository.path)
    with pytest.raises(InvalidLocation):
        await there(location)


async def test_an_archive_that_is_a_file_is_hashed_and_its_end_is_told(
    there: Ask, fetch: Fetch, repository: Repository, tmp_path: Path
) -> None:
    file = Path(shutil.make_archive(str(tmp_path / "template"), "zip", repository.path))
    location = Location("archive", str(file))
    assert await there(location) == (await fetch(location)).revision
    assert await there(location, template_bytes=10) == f"{file.stat().st_size} bytes"
    file.unlink()
    with pytest.raises(FetchFailed):
        await there(location)


async def test_a_host_that_does_not_answer_keeps_no_other_from_being_asked(
    store: Store, settings: Settings, server: Server, trusting: dict[str, str], repository: Repository
) -> None:
    registry = Registry(store)
    for name, way in (("silent", "silent"), ("one", "smart"), ("two", "smart"), ("missing", "missing")):
        location = Location("git", f"{server.url}/{way}/template/.git", "main")
        path = repository.path
        registry.save(Template(name, name, location, path, path, "0" * 64, "2026-01-01T00:00:00+00:00", "0" * 40))
    changed = msgspec.structs.replace(settings, passed=trusting, fetch_seconds=2.0)
    infos = [TemplateInfo(each.name, "", "", None, True, None, None, "") for each in registry.all()]  # noqa: FBT003
    try:
        with anyio.fail_after(SECONDS):
            told = await Newness(changed, store, registry).of(infos)
    finally:
        server.released.set()
    newer = {info.name: info.newer for info in told}
    commit = repository.git("rev-parse", "HEAD")
    assert newer["one"] == newer["two"] == Newer("newer", commit)
    for name, said in (("silent", "2 seconds"), ("missing", "does not exist")):
        each = newer[name]
        assert each is not None
        assert each.state == "failed"
        assert said in (each.why or "")
    assert len([path for path in server.paths if "/smart/" in path and "info/refs" in path]) == 1


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ([("ETag", '"1"')], [("ETag", '"1"'), ("Last-Modified", "x")], "current"),
        ([("ETag", '"1"')], [("ETag", '"2"')], "newer"),
        ([("Last-Modified", "then")], [("Last-Modified", "now")], "newer"),
        ([("Last-Modified", "then")], [("ETag", '"1"')], "unknown"),
        ([], [("ETag", '"1"')], "unknown"),
        ([("ETag", '"1"')], [], "unknown"),
    ],
)
async def test_an_archive_of_a_host_is_told_by_its_headers(
    store: Store,
    settings: Settings,
    server: Server,
    trusting: dict[str, str],
    repository: Repository,
    *,
    first: list[tuple[str, str]],
    second: list[tuple[str, str]],
    state: str,
) -> None:
    shutil.make_archive(str(repository.path.parent / "one"), "zip", repository.path)
    location = Location("archive", f"{server.url}/told/one.zip")
    changed = msgspec.structs.replace(settings, passed=trusting)
    server.told = tuple(first)
    tree = await sources.fetch(location, store=store, settings=changed, progress=Progress(("fetch",)))
    registry = Registry(store)
    registry.save(Template("one", "One", **sources.fetched(location, tree)))
    server.told = tuple(second)
    (told,) = await Newness(changed, store, registry).of([TemplateInfo("one", "", "", None, True, None, None, "")])  # noqa: FBT003
    assert told.newer is not None
    assert told.newer.state == state
    server.told = ()
    with pytest.raises(FetchFailed, match="the host answers 404"):
        await revision_there(Location("archive", f"{server.url}/gone/one.zip"), store=store, settings=changed)
