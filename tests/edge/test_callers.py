"""Who takes turns with whom?"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client
from mcp_types import Implementation

from dynamo_mcp import slots
from edge.joining import over_http
from fakes import FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Noting(FakeDynamo):
    """Notes who asks."""

    def __init__(self, outputs: Path) -> None:
        super().__init__(outputs)
        self.callers: list[str] = []

    async def create_project(self, *arguments: Any, **options: Any) -> Any:
        self.callers.append(slots.caller.get())
        return await super().create_project(*arguments, **options)


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_two_clients_are_two_callers_and_one_stays_the_same(tmp_path: Path, era: Any) -> None:
    fake = Noting(tmp_path)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(fake))
        clients = [
            await stack.enter_async_context(
                Client(
                    f"{url}/mcp",
                    mode=era,
                    read_timeout_seconds=20,
                    client_info=Implementation(name=name, version="1"),
                )
            )
            for name in ("one", "other")
        ]
        for client in (clients[0], clients[1], clients[0]):
            assert not (await client.call_tool("create_project", {"template_name": "alpha"})).is_error
    first, other, again = fake.callers
    assert first == again != other
    assert "" not in fake.callers
