"""Is a repository fetched by real ssh from a real server, with a key of a real agent?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynamo_mcp import sources
from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidLocation, TimedOut
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.types import Checkout, Location
from sources.repositories import Fetch, Repository
from sources.ssh_server import Sshd

pytestmark = pytest.mark.anyio


@pytest.fixture
def by_ssh(fetch: Fetch, sshd: Sshd) -> Fetch:
    async def fetched(location: Location, **changes: object) -> Checkout:
        given = {"search_path": sshd.search_path, "passed": {"SSH_AUTH_SOCK": sshd.agent}}
        return await fetch(location, **{**given, **changes})

    return fetched


async def test_a_key_of_the_agent_opens_a_repository_whose_updates_bring_only_what_is_new(
    by_ssh: Fetch, sshd: Sshd, repository: Repository, store: Store, settings: Settings
) -> None:
    (repository.path / "big").write_bytes(os.urandom(300_000))
    head = repository.commit()
    location = sources.parse(sshd.url(repository.path), settings=settings)
    assert (await by_ssh(location)).revision == head
    repository.write("new", "new")
    head = repository.commit()
    assert (await by_ssh(location)).revision == head
    packs = sorted(path.stat().st_size for path in (store.home / "mirrors").rglob("*.pack"))
    assert len(packs) == 2
    assert packs[0] < 10_000
    assert packs[1] > 300_000


async def test_the_person_s_own_configuration_says_what_a_host_means(
    by_ssh: Fetch, sshd: Sshd, repository: Repository, settings: Settings
) -> None:
    (sshd.person / ".ssh" / "config").write_text(f"Host work\n  HostName 127.0.0.1\n  Port {sshd.port}\n")
    location = sources.parse(f"git@work:{repository.path}", settings=settings)
    assert (await by_ssh(location)).revision == repository.git("rev-parse", "HEAD")


async def test_a_program_reaches_an_allowed_host_at_the_address_that_was_checked(
    by_ssh: Fetch, sshd: Sshd, repository: Repository
) -> None:
    location = Location("git", sshd.url(repository.path))
    with pytest.raises(InvalidLocation, match="not public"):
        await by_ssh(location, person=False)
    found = await by_ssh(location, person=False, allowed_hosts=("127.0.0.1",))
    assert found.revision == repository.git("rev-parse", "HEAD")


async def test_who_has_no_key_and_who_never_saw_the_host_are_told_so(
    by_ssh: Fetch, sshd: Sshd, repository: Repository
) -> None:
    location = Location("git", sshd.url(repository.path))
    with pytest.raises(FetchFailed, match="needs a sign-in") as caught:
        await by_ssh(location, passed={})
    assert "ssh agent" in caught.value.hint
    (sshd.person / ".ssh" / "known_hosts").write_text("")
    with pytest.raises(FetchFailed, match="ssh key is not known"):
        await by_ssh(location)
    assert not (sshd.person / ".ssh" / "known_hosts").read_text()


async def test_a_repository_that_is_not_there_is_told_so(by_ssh: Fetch, sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="not a git repository, or does not exist"):
        await by_ssh(Location("git", sshd.url(tmp_path / "none")))


async def test_a_server_that_is_away_is_told_and_what_was_fetched_is_there_offline(
    by_ssh: Fetch, sshd: Sshd, repository: Repository, store: Store
) -> None:
    location = Location("git", sshd.url(repository.path))
    head = (await by_ssh(location)).revision
    sshd.stop()
    with pytest.raises(FetchFailed, match="can't be reached") as caught:
        await by_ssh(location)
    assert "`--offline`" in caught.value.hint
    assert (await by_ssh(location, offline=True)).revision == head
    sshd.start()
    head = repository.commit("more")
    assert (await by_ssh(location)).revision == head
    assert list(store.scratch.iterdir()) == []


async def test_a_server_that_stalls_is_left_in_time(by_ssh: Fetch, sshd: Sshd, repository: Repository) -> None:
    sshd.stall()
    with pytest.raises(DynamoError) as caught:
        await by_ssh(Location("git", sshd.url(repository.path)), fetch_seconds=2.0)
    assert isinstance(caught.value, TimedOut)
