"""Which lists are answered as they were, and when are they made anew?"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import Client
from mcp_types import ClientCapabilities, TextContent
from prometheus_client.parser import text_string_to_metric_families

from dynamo_mcp.errors import StorageFailed
from dynamo_mcp.listed import MOST, Listed
from edge.joining import Era, in_both_eras, join, over_http
from edge.test_permission import ByScope, called
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.anyio

VERSION = "2025-11-25"


class Asked:
    """A list of templates that a test changes, and who counts how often it is made and observed."""

    def __init__(self) -> None:
        self.templates: tuple[Any, ...] = ()
        self.broken = False
        self.made = 0
        self.observed: list[tuple[str, Any]] = []
        self.result: dict[str, Any] = {"content": []}
        self._listed = Listed(self._items, self._items, self._observe)

    async def ask(self, params: Any, version: str = VERSION, method: str = "tools/call") -> bool:
        """Ask, and say whether the answer had to be made."""
        made = self.made
        session = SimpleNamespace(client_capabilities=ClientCapabilities())
        ctx: Any = SimpleNamespace(method=method, params=params, protocol_version=version, session=session)
        assert await self._listed(ctx, self._make) == self.result
        return self.made > made

    async def _items(self) -> tuple[Any, ...]:
        if self.broken:
            raise StorageFailed("The records can't be read", hint="mend them")
        return self.templates

    async def _make(self, _ctx: Any) -> dict[str, Any]:
        self.made += 1
        return self.result

    @contextmanager
    def _observe(self, tool: str, _arguments: Mapping[str, Any]) -> Iterator[Any]:
        call = SimpleNamespace(outcome="cancelled")
        yield call
        self.observed.append((tool, call.outcome))


def call(**arguments: Any) -> dict[str, Any]:
    return {"name": "list_templates", "arguments": arguments}


async def test_templates_are_listed_as_before_until_one_changes_and_each_call_is_observed() -> None:
    asked = Asked()
    assert [await asked.ask(call()), await asked.ask(call()), await asked.ask({"name": "list_templates"})] == [1, 0, 0]
    assert asked.observed == [("list_templates", "done")] * 2
    assert [await asked.ask(call(cursor="x")), await asked.ask(call(cursor="x")), await asked.ask(call())] == [1, 0, 0]
    assert [await asked.ask(call(), "2024-11-05"), await asked.ask(call(), "2024-11-05")] == [1, 0]
    asked.templates = (object(),)
    assert [await asked.ask(call()), await asked.ask(call())] == [1, 0]
    asked.broken = True
    assert await asked.ask(call())


@pytest.mark.parametrize(
    "params",
    [
        call(check=True),
        call(check=False),
        call(cursor=["x"]),
        call(more=1),
        {**call(), "requestState": "x"},
        {**call(), "task": {}},
        {"name": "list_templates", "arguments": []},
        {"name": "discover_templates"},
        {},
        None,
    ],
)
async def test_whatever_else_is_called_is_done_each_time(params: Any) -> None:
    asked = Asked()
    await asked.ask(call())
    assert [await asked.ask(params), await asked.ask(params)] == [True, True]
    assert asked.observed == []


async def test_what_was_wrong_is_not_kept_and_neither_are_many_pages() -> None:
    asked = Asked()
    asked.result = {"content": [], "isError": True}
    assert [await asked.ask(call(cursor="x")), await asked.ask(call(cursor="x"))] == [True, True]
    asked.result = {"content": []}
    for number in range(MOST + 1):
        await asked.ask(call(cursor=str(number)))
    assert [await asked.ask(call(cursor=str(MOST))), await asked.ask(call(cursor="0"))] == [False, True]


@in_both_eras
async def test_what_is_known_is_answered_as_what_was_made(tmp_path: Path, era: Era) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", era, tmp_path, fake=fake) as client:
        made = await client.call_tool("list_templates", {})
        known = await client.call_tool("list_templates", {})
        assert known == made
        fake.register("gamma")
        after = await client.call_tool("list_templates", {})
        wrong = await client.call_tool("list_templates", {"cursor": "nonsense"})
    names = [each["name"] for each in (after.structured_content or {})["templates"]]
    assert names == ["alpha", "beta", "gamma"]
    assert wrong.is_error
    assert isinstance(wrong.content[0], TextContent)
    assert "is not a cursor" in wrong.content[0].text


@in_both_eras
async def test_what_is_known_is_told_to_nobody_who_may_not_read(tmp_path: Path, era: Era) -> None:
    async with over_http(FakeDynamo(tmp_path), authenticators=(ByScope(),)) as url:
        for _ in range(2):
            async with called(url, era, "reader", "templates:read") as reader:
                assert not (await reader.call_tool("list_templates", {})).is_error
        async with called(url, era, "maker", "projects:create") as maker:
            refused = await maker.call_tool("list_templates", {})
    assert refused.is_error
    assert isinstance(refused.content[0], TextContent)
    assert "needs the scope `templates:read`" in refused.content[0].text
    assert refused.structured_content is None


async def test_metrics_count_what_was_known_as_what_was_made(tmp_path: Path) -> None:
    async with over_http(FakeDynamo(tmp_path)) as url:
        async with Client(f"{url}/mcp", read_timeout_seconds=20) as client:
            for _ in range(3):
                await client.call_tool("list_templates", {})
        async with httpx2.AsyncClient() as web:
            told = text_string_to_metric_families((await web.get(f"{url}/metrics")).text)
    [calls] = [sample.value for family in told for sample in family.samples if sample.name == "dynamo_mcp_calls_total"]
    assert calls == 3
