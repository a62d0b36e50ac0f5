"""Which of the operator's tokens is for an address? It opens its own host, and nobody else ever sees it."""

from __future__ import annotations

import base64
from pathlib import Path

import anyio
import pytest

from dynamo_mcp.errors import FetchFailed
from dynamo_mcp.progress import Step
from dynamo_mcp.source_settings import Token, parse_tokens
from dynamo_mcp.sources.tokens import token_for
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import Fetch, Repository, Server

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-t0k3n"  # noqa: S105 - a test's
SENT = "Basic " + base64.b64encode(f"oauth2:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("https://git.example.com/o/r", "all"),
        ("https://GIT.example.com:443/o/r.git", "all"),
        ("https://git.example.com/team/r.git", "team"),
        ("https://git.example.com/team/inner/r.git", "inner"),
        ("https://git.example.com/teams/r.git", "all"),
        ("https://git.example.com/team/../other/r", "all"),
        ("https://git.example.com/%74eam/r", "all"),
        ("https://git.example.com//team/r", "team"),
        ("https://git.example.com:8443/o/r", "port"),
        ("https://git.example.com:8444/o/r", None),
        ("https://sub.git.example.com/o/r", None),
        ("https://git.example.com.evil.example/o/r", None),
        ("ssh://git@git.example.com/team/r", None),
        ("git@git.example.com:team/r", None),
        ("file:///git.example.com/team/r", None),
    ],
)
def test_the_token_of_the_longest_path_of_the_very_host_is_taken(address: str, secret: str | None) -> None:
    tokens = parse_tokens(
        "git.example.com=all git.example.com/team=team git.example.com/team/inner=inner git.example.com:8443=port"
    )
    found = token_for(address, tokens)
    assert (found.secret if found else None) == secret


def test_a_path_that_could_be_read_otherwise_gets_no_token_of_a_path() -> None:
    (token,) = parse_tokens("git.example.com/team=team")
    for address in ("team/../o/r", "team/./r", "team/%2e%2e/o/r", "o/team/r", "TEAM/r"):
        assert token_for(f"https://git.example.com/{address}", [token]) is None
    assert token_for("https://git.example.com/team/r", [token]) == token


@pytest.fixture
def tokens(server: Server) -> tuple[Token, ...]:
    server.opens = SENT
    return parse_tokens(f"127.0.0.1:{server.server_address[1]}={SECRET}")


async def test_a_token_opens_a_private_repository_and_stays_nowhere(
    *,
    fetch: Fetch,
    server: Server,
    trusting: dict[str, str],
    repository: Repository,
    tokens: tuple[Token, ...],
    store: Store,
    steps: list[Step],
) -> None:
    location = Location("git", f"{server.url}/signed/template/.git")
    with pytest.raises(FetchFailed, match="needs a sign-in") as caught:
        await fetch(location, passed=trusting)
    assert "DYNAMO_MCP_TOKENS" in caught.value.hint
    checkout = await fetch(location, passed=trusting, tokens=tokens)
    assert checkout.revision == repository.git("rev-parse", "HEAD")
    assert set(server.signed) == {("127.0.0.1", SENT)}
    said = [step.message for step in steps]
    assert not any(SECRET in text or SENT[6:] in text for text in said)
    for path in store.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content, path
            assert SENT[6:].encode() not in content, path


async def test_a_token_that_is_refused_is_named_by_its_place_and_not_said_back(
    fetch: Fetch, server: Server, trusting: dict[str, str], tokens: tuple[Token, ...]
) -> None:
    server.opens = "another"
    with pytest.raises(FetchFailed, match="does not let the token for `127.0.0.1:") as caught:  # noqa: RUF043 - plain
        await fetch(Location("git", f"{server.url}/signed/template/.git"), passed=trusting, tokens=tokens)
    assert "no entry with" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SENT[6:] not in str(caught.value)


async def test_a_token_does_not_go_along_to_another_host(
    fetch: Fetch, server: Server, trusting: dict[str, str], tokens: tuple[Token, ...]
) -> None:
    port = server.server_address[1]
    server.leads = f"https://localhost:{port}/signed/{{}}"
    with pytest.raises(FetchFailed, match="needs a sign-in"):
        await fetch(
            Location("git", f"{server.url}/leads/template/.git"),
            passed=trusting,
            tokens=tokens,
            allowed_hosts=("localhost", "127.0.0.1"),
        )
    assert "localhost" in {host.partition(":")[0] for host in server.hosts}
    assert {host for host, _ in server.signed} == {"127.0.0.1"}


async def test_a_token_goes_along_where_its_own_host_leads_on(
    fetch: Fetch, server: Server, trusting: dict[str, str], tokens: tuple[Token, ...], repository: Repository
) -> None:
    server.leads = "/signed/{}"
    checkout = await fetch(
        Location("git", f"{server.url}/leads/template/.git"), passed=trusting, tokens=tokens, fetch_seconds=20.0
    )
    assert checkout.revision == repository.git("rev-parse", "HEAD")


async def test_a_token_is_on_no_command_line(
    fetch: Fetch, server: Server, trusting: dict[str, str], tokens: tuple[Token, ...]
) -> None:
    lines: set[bytes] = set()

    async def look() -> None:
        while True:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    lines.add(process.read_bytes())
                except OSError:
                    continue
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await fetch(Location("git", f"{server.url}/signed/template/.git"), passed=trusting, tokens=tokens)
        tasks.cancel_scope.cancel()
    assert any(b"fetch" in line and server.url.encode() in line for line in lines)
    assert not any(SECRET.encode() in line or SENT[6:].encode() in line for line in lines)
