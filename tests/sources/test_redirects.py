"""Where does an address lead? Real redirects of a real https server, and listeners that must not be contacted."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import FetchFailed, InvalidLocation
from dynamo_mcp.progress import Progress
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import redirects
from dynamo_mcp.sources.git_opening import open_git
from dynamo_mcp.sources.hosts import Route
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import Fetch, Repository, Server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["moved", "hops/1", "hops/5"])
async def test_a_repository_that_moved_is_fetched_from_where_it_is(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository, *, path: str
) -> None:
    checkout = await fetch(Location("git", f"{server.url}/{path}/template/.git"), passed=trusting)
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    assert server.authorizations == []


async def test_a_revision_that_is_not_offered_is_looked_for_where_the_repository_is(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository
) -> None:
    location = Location("git", f"{server.url}/moved/template/.git", "mian")
    with pytest.raises(InvalidLocation, match="no branch, tag or commit `mian`") as caught:
        await fetch(location, passed=trusting)
    assert "`main`" in caught.value.hint
    head = repository.git("rev-parse", "HEAD")
    checkout = await fetch(msgspec.structs.replace(location, revision=head[:8]), passed=trusting)
    assert checkout.revision == head


async def test_a_repository_that_leads_on_too_often_is_refused(
    fetch: Fetch, server: Server, trusting: dict[str, str]
) -> None:
    with pytest.raises(FetchFailed, match="more than 5 times"):
        await fetch(Location("git", f"{server.url}/hops/6/template/.git"), passed=trusting)
    assert not any(asked.startswith("/smart") for asked in server.paths)


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        ("http://127.0.0.1:{port}/{{}}", "is not https"),
        ("git://127.0.0.1:{port}/{{}}", "is not https"),
        ("file:///etc/{{}}", "is not https"),
        ("https://me:secret@127.0.0.1:{port}/{{}}", "user name or a secret"),
        ("https://127.0.0.1:{port}/sign-in", "something else"),
        ("https://[", "can't be read"),
        ("https://localhost:{port}/{{}}", "not public"),
        ("https://[::1]:{port}/{{}}", "not public"),
        ("https://169.254.169.254/{{}}", "not public"),
        ("https://0x7f.1:{port}/{{}}", "not public"),
        ("//2130706433:{port}/{{}}", "not public"),
    ],
)
@pytest.mark.parametrize("person", [True, False])
async def test_a_redirect_to_where_no_address_may_lead_is_refused_and_nobody_is_asked(
    fetch: Fetch,
    server: Server,
    trusting: dict[str, str],
    canary: socket.socket,
    *,
    leads: str,
    said: str,
    person: bool,
) -> None:
    server.leads = leads.format(port=canary.getsockname()[1])
    location = Location("git", f"{server.url}/leads/template/.git")
    with pytest.raises(InvalidLocation, match=said) as caught:
        await fetch(location, passed=trusting, person=person, allowed_hosts=("127.0.0.1",))
    assert "secret@" not in str(caught.value)


async def test_a_person_is_led_on_within_the_host_that_they_named(
    fetch: Fetch, server: Server, trusting: dict[str, str]
) -> None:
    server.leads = f"{server.url}/smart/{{}}"
    await fetch(Location("git", f"{server.url}/leads/template/.git"), passed=trusting)


async def test_git_connects_to_what_was_checked_and_looks_no_name_up(
    store: Store, settings: Settings, progress: Progress, server: Server, trusting: dict[str, str]
) -> None:
    port = server.server_address[1]
    url = f"https://pinned.invalid:{port}/smart/template/.git"
    settings = msgspec.structs.replace(settings, passed=trusting)
    async with store.staged() as repository:
        git = await open_git(repository, url, settings)
        assert "Could not resolve host" in (await git.fetch("--", url, "HEAD", progress=progress) or "")
        pinned = git.moved(url, Route("pinned.invalid", port, ("127.0.0.1",)))
        assert await pinned.fetch("--depth=1", "--", url, "HEAD", progress=progress) is None
        # A route of its own takes the place of another.
        assert await pinned.moved(url, Route("pinned.invalid", port)).fetch("--", url, "HEAD", progress=progress)
    assert set(server.hosts) == {f"pinned.invalid:{port}"}


async def test_a_redirect_is_asked_for_where_the_host_was_found_and_its_certificate_is_checked(
    settings: Settings, server: Server, trusting: dict[str, str]
) -> None:
    port = server.server_address[1]
    settings = msgspec.structs.replace(settings, passed=trusting)
    url = f"https://pinned.invalid:{port}/moved/x"
    # Nobody listens at the first one.
    route = Route("pinned.invalid", port, ("127.0.0.3", "127.0.0.1"))
    assert await redirects.leads_on(url, route, settings) == f"{server.url}/smart/x"
    assert server.hosts == [f"pinned.invalid:{port}"]
    with pytest.raises(FetchFailed, match="certificate"):
        await redirects.leads_on(url.replace("pinned", "other"), Route("other.invalid", port, ("127.0.0.1",)), settings)
    with pytest.raises(FetchFailed, match="certificate"):
        await redirects.leads_on(url, route, msgspec.structs.replace(settings, passed={}))


async def test_a_redirect_is_asked_for_through_the_operators_proxy(settings: Settings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"me:s3cret@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(FetchFailed, match="can't be asked") as caught:
            await redirects.leads_on("https://host.invalid/x", Route("host.invalid", 443, proxy=proxy), settings)
    assert "s3cret" not in str(caught.value)


async def test_a_plain_file_server_cannot_send_git_to_another_host(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository, canary: socket.socket
) -> None:
    folder = repository.path / ".git" / "objects"
    tree = repository.git("rev-parse", "HEAD^{tree}")
    (folder / tree[:2] / tree[2:]).unlink()
    (folder / "info").mkdir(exist_ok=True)
    Path(folder / "info" / "http-alternates").write_text(f"https://127.0.0.1:{canary.getsockname()[1]}/x.git/objects\n")
    with pytest.raises(FetchFailed):
        await fetch(Location("git", f"{server.url}/dumb/template/.git"), passed=trusting)
    assert any(asked.endswith("http-alternates") for asked in server.paths)
