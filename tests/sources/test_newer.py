"""What is there now is asked for, and nothing is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.newer import revision_there
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import Fetch, Repository, Server

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


async def test_an_archive_that_is_a_file_is_hashed_and_a_host_s_is_not_downloaded(
    there: Ask, fetch: Fetch, repository: Repository, tmp_path: Path
) -> None:
    file = Path(shutil.make_archive(str(tmp_path / "template"), "zip", repository.path))
    location = Location("archive", str(file))
    assert await there(location) == (await fetch(location)).revision
    assert await there(location, template_bytes=10) == f"{file.stat().st_size} bytes"
    file.unlink()
    with pytest.raises(FetchFailed):
        await there(location)
    assert await there(Location("archive", "https://example.invalid/template.zip")) is None
