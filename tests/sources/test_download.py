"""How does an archive of a real https host get here, and what is said when it does not?"""

from __future__ import annotations

import hashlib
import os
import socket
import tarfile
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from dynamo_mcp.errors import FetchFailed, InvalidLocation, InvalidTemplate, TimedOut
from dynamo_mcp.progress import Step
from dynamo_mcp.sources import download
from dynamo_mcp.sources.places import is_among, is_own
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import SECONDS, Fetch, Repository, Server

pytestmark = pytest.mark.anyio

NAME = "template.tar.gz"


@pytest.fixture
def archive(repository: Repository, server: Server) -> Path:
    """An archive that the server has."""
    path = server.folder / NAME
    repository.git("archive", "--prefix=template-main/", "-o", str(path), "HEAD")
    return path


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("path", ["dumb", "query", "busy/2", "busy/4"])
async def test_an_archive_is_fetched_where_it_is_and_tried_again(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository, *, steps: list[Step], path: str
) -> None:
    wanted = await fetch(Location("git", repository.url))
    steps.clear()
    checkout = await fetch(Location("archive", f"{server.url}/{path}/{NAME}"), passed=trusting)
    assert checkout.digest == wanted.digest
    assert server.authorizations == []
    assert steps[0].message == f"downloading `{server.url}/{path}/{NAME}`"
    assert ("trying again" in "".join(step.message for step in steps)) == (path == "busy/4")


async def test_what_is_cut_twice_is_fetched_from_its_beginning_the_third_time(
    fetch: Fetch, server: Server, trusting: dict[str, str], archive: Path, *, steps: list[Step]
) -> None:
    location = Location("archive", f"{server.url}/cuts/{NAME}")
    server.files_to_cut = 3  # it is asked where it leads, then asked for it, each time
    checkout = await fetch(location, passed=trusting)
    assert checkout.revision == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert sum("trying again" in step.message for step in steps) == 2
    assert len(server.paths) == 6


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("busy/100", "the host answers 503"),
        ("cut", "was cut off"),
        ("nothing", "the host answers 404"),
        ("private", "the host answers 401"),
        ("hops/6", "more than 5 times"),
    ],
)
async def test_what_can_not_be_had_is_told(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store, *, path: str, said: str
) -> None:
    with pytest.raises(FetchFailed, match=said):
        await fetch(Location("archive", f"{server.url}/{path}/{NAME}"), passed=trusting)
    assert list(store.scratch.iterdir()) == []
    assert len(server.paths) < 15


async def test_a_page_is_no_archive(fetch: Fetch, server: Server, trusting: dict[str, str]) -> None:
    with pytest.raises(FetchFailed, match="no archive that is known"):
        await fetch(Location("archive", f"{server.url}/page/{NAME}"), passed=trusting)


@pytest.mark.parametrize("leads", ["http://127.0.0.1/{}", "file:///etc/{}", "https://me:swordfish@127.0.0.1/{}"])
async def test_it_does_not_lead_where_no_address_may(
    leads: str, fetch: Fetch, server: Server, trusting: dict[str, str]
) -> None:
    server.leads = leads
    with pytest.raises(InvalidLocation, match="is redirected") as raised:
        await fetch(Location("archive", f"{server.url}/leads/{NAME}"), passed=trusting)
    assert "swordfish" not in str(raised.value)


async def test_an_archive_of_a_machine_that_is_not_public_leads_a_program_nowhere(
    fetch: Fetch, server: Server, trusting: dict[str, str], canary: socket.socket
) -> None:
    there = f"https://127.0.0.1:{canary.getsockname()[1]}/{NAME}"
    with pytest.raises(InvalidLocation, match="not public"):
        await fetch(Location("archive", there), passed=trusting, person=False)
    server.leads = there.replace("127.0.0.1", "localhost")
    with pytest.raises(InvalidLocation, match="not public"):
        await fetch(Location("archive", f"{server.url}/leads/{NAME}"), passed=trusting)


@pytest.mark.parametrize("path", ["dumb", "endless"])
async def test_what_is_too_big_is_not_read_to_its_end(
    path: str, fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    (server.folder / NAME).write_bytes(os.urandom(3 << 20))
    with pytest.raises(InvalidTemplate, match="more than 2097152 bytes"):
        await fetch(Location("archive", f"{server.url}/{path}/{NAME}"), passed=trusting, template_bytes=2 << 20)
    assert list(store.scratch.iterdir()) == []


async def test_a_host_that_says_nothing_is_given_up(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    with pytest.raises(TimedOut, match="took more than 1 seconds"):
        await fetch(Location("archive", f"{server.url}/silent/{NAME}"), passed=trusting, fetch_seconds=1.0)
    assert list(store.scratch.iterdir()) == []


async def test_a_download_that_is_cancelled_leaves_nothing(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: fetch(Location("archive", f"{server.url}/silent/{NAME}"), passed=trusting))
        assert await anyio.to_thread.run_sync(server.asked.wait, SECONDS)
        tasks.cancel_scope.cancel()
    assert list(store.scratch.iterdir()) == []


async def test_an_archive_of_a_host_is_nobodys_own(
    fetch: Fetch, server: Server, trusting: dict[str, str], archive: Path
) -> None:
    """A host makes archives of whatever commit is asked for, also of a stranger's in a fork."""
    location = Location("archive", f"{server.url}/dumb/{NAME}")
    checkout = await fetch(location, passed=trusting)
    assert is_among(location, [f"{server.url}/"])
    assert not is_own(location, [f"{server.url}/"], listed=checkout.listed)
    here = Location("archive", str(archive))
    assert is_own(here, [f"{archive.parent}/"], listed=(await fetch(here)).listed)


async def test_what_was_fetched_is_the_archives_own_digest(
    fetch: Fetch, server: Server, trusting: dict[str, str], archive: Path
) -> None:
    location = Location("archive", f"{server.url}/dumb/{NAME}")
    first = await fetch(location, passed=trusting)
    assert await fetch(msgspec.structs.replace(location), passed=trusting) == first
    with tarfile.open(archive.with_suffix(""), "w") as made:
        made.addfile(tarfile.TarInfo("t/cookiecutter.json"))
    archive.write_bytes(archive.with_suffix("").read_bytes())
    assert (await fetch(location, passed=trusting)).revision != first.revision
