"""Which revision is there now, asked for without fetching it: of what others than `test_newness.py` come from."""

from __future__ import annotations

import msgspec
import pytest

from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.newer import revision_there
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.index_server import TEMPLATE, serving, wheel
from sources.repositories import Repository, Server

pytestmark = pytest.mark.anyio


async def test_of_the_newest_version_it_is_the_commit_that_its_tag_leads_to(
    repository: Repository, store: Store, settings: Settings
) -> None:
    newest = Location("git", repository.url, "latest")
    repository.git("tag", "v1.9")
    assert await revision_there(newest, store=store, settings=settings) == repository.git("rev-parse", "v1.9")
    repository.write("{{cookiecutter.slug}}/README.md", "ten")
    repository.commit()
    repository.git("tag", "-a", "-m", "x", "v1.10")
    assert await revision_there(newest, store=store, settings=settings) == repository.git("rev-parse", "HEAD")


async def test_a_host_that_leads_on_is_followed_and_offline_none_is_asked(
    repository: Repository, server: Server, store: Store, settings: Settings
) -> None:
    settings = msgspec.structs.replace(settings, passed={"SSL_CERT_FILE": str(server.certificate)})
    place = Location("git", f"{server.url}/moved/template/.git")
    assert await revision_there(place, store=store, settings=settings) == repository.git("rev-parse", "HEAD")
    asked = len(server.paths)
    offline = msgspec.structs.replace(settings, offline=True)
    assert await revision_there(place, store=store, settings=offline) is None
    assert len(server.paths) == asked


async def test_of_a_package_it_is_the_version_that_would_be_taken(store: Store, settings: Settings) -> None:
    with serving() as index:
        settings = msgspec.structs.replace(settings, passed={"UV_DEFAULT_INDEX": index.url})
        for version in ("1.9", "1.10", "2.0rc1"):
            index.put(f"tmpl-{version}-py3-none-any.whl", wheel(TEMPLATE))
        newest = Location("pypi", "pypi:tmpl")
        assert await revision_there(newest, store=store, settings=settings) == "1.10"
        pinned = Location("pypi", "pypi:tmpl", "1.9")
        assert await revision_there(pinned, store=store, settings=settings) == "1.9"
