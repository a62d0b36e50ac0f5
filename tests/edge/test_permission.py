"""What may a caller do, and what does the audit log have of it?"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from websockets.asyncio.client import connect

from dynamo_mcp.callers import SCOPES, Caller, Scope
from dynamo_mcp.errors import Unauthenticated
from dynamo_mcp.permission import scope_of
from dynamo_mcp.tools import GENERAL_TOOLS
from edge.joining import join, over_http
from edge.raw import request
from fakes import BROKEN, FakeDynamo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

CREATE = {"template_name": "alpha", "variables": {"project_name": "secret plan"}}
CALLS: dict[str, dict[str, Any]] = {
    "list_templates": {},
    "update_template": {"template_name": "alpha"},
    "create_project": CREATE,
    "create_alpha": {"project_name": "mine"},
}
NEEDED: dict[str, Scope] = {
    "list_templates": "templates:read",
    "update_template": "templates:write",
    "create_project": "projects:create",
    "create_alpha": "projects:create",
}


class ByScope:
    """Knows everybody who says which scopes they have, as `Scopes NAME SCOPE…`."""

    challenge = "Scopes"

    async def authenticate(self, authorization: str) -> Caller | None:
        kind, name, *scopes = authorization.split()
        if kind != "Scopes":
            return None
        if name == "nobody":
            raise Unauthenticated("`nobody` is nobody", hint="be somebody", challenges=(self.challenge,))
        return Caller(name, frozenset(scope for scope in SCOPES if scope in scopes))


@asynccontextmanager
async def called(url: str, era: Any, *who: str, **options: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": " ".join(("Scopes", *who))}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http), mode=era, read_timeout_seconds=20, **options
        ) as client,
    ):
        yield client


def lines(fake: FakeDynamo) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted((fake.settings.home / "audit").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("scope", SCOPES)
async def test_a_tool_is_refused_to_who_lacks_its_scope_and_says_which_it_needs(
    tmp_path: Path, era: Any, scope: Scope
) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake, authenticators=(ByScope(),)) as url:
        scopes = {scope, "templates:read"}  # a client lists tools before it calls one
        async with called(url, era, "ci", *scopes) as client:
            for tool, arguments in CALLS.items():
                result = await client.call_tool(tool, arguments)
                allowed = scope == "admin" or NEEDED[tool] in scopes
                assert bool(result.is_error) != allowed, (tool, result.content)
                if not allowed:
                    assert f"`{tool}` needs the scope `{NEEDED[tool]}`, which `ci` does not have" in str(result.content)
    refused = [entry["what"] for entry in lines(fake) if entry["outcome"] == "NotAllowed"]
    assert refused == [tool for tool in CALLS if scope != "admin" and NEEDED[tool] not in scopes]


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_lists_and_resources_need_a_scope_too(tmp_path: Path, era: Any) -> None:
    async with (
        over_http(FakeDynamo(tmp_path), authenticators=(ByScope(),)) as url,
        called(url, era, "ci", "projects:create") as client,
    ):
        for ask in (
            client.list_tools,
            client.list_prompts,
            client.list_resources,
            lambda: client.read_resource("templates://list"),
        ):
            with pytest.raises(MCPError, match="needs the scope `templates:read`"):
                await ask()


def test_whatever_is_not_said_to_be_free_needs_a_scope() -> None:
    assert scope_of("something/new") == "templates:read"
    assert scope_of("tools/call", "no_such_tool") == "templates:read"
    assert scope_of("tools/call", "create_x") == "projects:create"
    assert scope_of("server/discover") is scope_of("notifications/initialized") is None
    assert {spec.scope for spec in GENERAL_TOOLS.values()} == {"templates:read", "templates:write", "projects:create"}
    changing = {name for name, spec in GENERAL_TOOLS.items() if not spec.annotations.read_only_hint}
    assert all(GENERAL_TOOLS[name].scope != "templates:read" for name in changing)


async def test_who_is_nobody_gets_no_answer(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path), authenticators=(ByScope(),)) as url, httpx2.AsyncClient() as client:
        for headers in ({}, {"Authorization": "Other x"}, {"Authorization": "Scopes nobody"}):
            for path in ("/mcp", "/sse", "/messages/?session_id=0"):
                answer = await client.post(f"{url}{path}", json={}, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Scopes"


async def test_the_log_has_who_changed_what_and_how_it_ended_and_no_answers(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake, authenticators=(ByScope(),)) as url, called(url, "auto", "ci", "admin") as client:
        await client.call_tool("list_templates", {})
        created = await client.call_tool("create_project", CREATE)
        await client.call_tool("create_alpha", {"project_name": BROKEN})
        await client.call_tool("update_template", {"template_name": "beta"})
        await client.call_tool("remove_template", {"template_name": "nothing"})
    assert created.structured_content
    log = lines(fake)
    assert [(entry["who"], entry["what"], entry.get("template"), entry["outcome"]) for entry in log] == [
        ("ci", "create_project", "alpha", "done"),
        ("ci", "create_alpha", "alpha", "fault"),
        ("ci", "update_template", "beta", "done"),
        ("ci", "remove_template", "nothing", "TemplateNotFound"),
    ]
    assert log[0]["project"] == created.structured_content["id"]
    assert log[0]["revision"] == created.structured_content["revision"]
    assert all(entry["seconds"] >= 0 for entry in log)
    assert "secret" not in json.dumps(log)
    path = next((fake.settings.home / "audit").iterdir())
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("audit", "answers"), [("answers", [{"project_name": "secret plan"}]), ("off", [])])
async def test_an_operator_says_whether_answers_are_logged_or_nothing_is(
    tmp_path: Path, audit: str, answers: list[Any]
) -> None:
    fake = FakeDynamo(tmp_path, audit=audit)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        assert not (await client.call_tool("create_project", CREATE)).is_error
    assert [entry["answers"] for entry in lines(fake)] == answers


async def posted(url: str, tool: str, arguments: dict[str, Any]) -> httpx2.Response:
    """Call a tool with what no client of the SDK would send."""
    headers = {
        "authorization": "Scopes ci admin",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    message = json.dumps(request(1, "tools/call", name=tool, arguments=arguments))
    async with httpx2.AsyncClient(timeout=20) as client:
        return await client.post(f"{url}/mcp", headers=headers, content=message)


@pytest.mark.parametrize("audit", ["calls", "answers"])
async def test_nothing_that_a_caller_says_keeps_a_call_out_of_the_log_or_fills_the_disk(
    tmp_path: Path, audit: str
) -> None:
    fake = FakeDynamo(tmp_path, audit=audit)
    said = {
        "surrogate": "a\ud800b",
        "lines": 'a\n{"who": "root"}\x1b[2J',
        "long": "a" * 1_000_000,
        "number": 10**30,
        "deep": json.loads("[" * 200 + "]" * 200),
    }
    async with over_http(fake, authenticators=(ByScope(),)) as url:
        answers = [
            await posted(url, tool, arguments)
            for value in said.values()
            for tool, arguments in (
                ("remove_template", {"template_name": value}),
                ("create_project", {"template_name": "alpha", "variables": {"project_name": value}}),
            )
        ]
    log = lines(fake)
    # What is refused before it is read is no call.
    assert len(log) == sum(answer.status_code == 200 for answer in answers) >= 8
    assert {entry["who"] for entry in log} == {"ci"}
    assert all(len(json.dumps(entry)) < 20_000 for entry in log)
    removals = [entry.get("template", "") for entry in log if entry["what"] == "remove_template"]
    assert removals[:2] == ["ab", 'a {"who": "root"}[2J']
    assert all(name.isprintable() for name in removals)


async def test_who_lacks_every_scope_fills_no_disk_by_tools_of_long_names(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with over_http(fake, authenticators=(ByScope(),)) as url:
        address = f"ws{url.removeprefix('http')}/ws"
        given = {"authorization": "Scopes ci"}
        async with connect(address, subprotocols=["mcp"], additional_headers=given) as socket:  # type: ignore[list-item]
            await socket.send(json.dumps(request(1, "tools/call", name="x" * 1_000_000, arguments={})))
            assert "needs the scope" in str(await socket.recv())
    assert [len(entry["what"]) < 300 for entry in lines(fake)] == [True]


async def test_a_call_that_was_given_up_is_logged(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        with anyio.move_on_after(1):
            await client.call_tool("create_project", {**CREATE, "variables": {"project_name": "held"}})
    assert [(entry["who"], entry["outcome"]) for entry in lines(fake)] == [("local", "cancelled")]
