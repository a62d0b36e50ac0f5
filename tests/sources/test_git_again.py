"""What becomes of a fetch that breaks off? It is tried again where that may help, and otherwise told in words."""

from __future__ import annotations

import time

import pytest

from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Step
from dynamo_mcp.sources.git_errors import passes
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import Fetch, Repository, Server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("how", ["503", "cut", "gone"])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_what_breaks_off_is_tried_again(
    *,
    fetch: Fetch,
    server: Server,
    trusting: dict[str, str],
    repository: Repository,
    steps: list[Step],
    how: str,
    at: int,
) -> None:
    server.breaks = [""] * at + [how]
    checkout = await fetch(Location("git", f"{server.url}/smart/template/.git"), passed=trusting)
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    assert server.breaks == []
    assert any(step.message.endswith("broke off; trying again") for step in steps)


async def test_a_host_that_stalls_is_asked_again(
    fetch: Fetch, server: Server, trusting: dict[str, str], repository: Repository
) -> None:
    server.breaks = ["", "", "stall"]
    began = time.monotonic()
    checkout = await fetch(Location("git", f"{server.url}/smart/template/.git"), passed=trusting, fetch_seconds=10.0)
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    assert 1.0 < time.monotonic() - began < 10.0


async def test_what_goes_on_breaking_off_is_told_and_leaves_nothing(
    fetch: Fetch, server: Server, trusting: dict[str, str], store: Store
) -> None:
    server.breaks = ["503"] * 9
    with pytest.raises(FetchFailed, match="broke off while it was fetched") as caught:
        await fetch(Location("git", f"{server.url}/smart/template/.git"), passed=trusting)
    assert "try again" in caught.value.hint
    assert len(server.breaks) == 6
    assert list((store.home / "checkouts").iterdir()) == []


@pytest.mark.parametrize("path", ["private/r.git", "missing/r.git", "page/r.git"])
async def test_what_no_other_try_would_mend_is_asked_once(
    fetch: Fetch, server: Server, trusting: dict[str, str], path: str
) -> None:
    with pytest.raises(FetchFailed):
        await fetch(Location("git", f"{server.url}/{path}"), passed=trusting)
    assert len([asked for asked in server.paths if "info/refs" in asked]) == 1


def test_a_sign_in_that_fails_is_no_broken_connection() -> None:
    assert not passes("git@host: Permission denied (publickey).\nfatal: the remote end hung up unexpectedly")
    assert passes("ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.")
