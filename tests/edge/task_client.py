"""A client of the Tasks extension: the SDK's own, which knows the extension by what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import anyio
from mcp.client.extension import ClientExtension, NotificationBinding, ResultClaim
from mcp_types import CallToolResult, Request, Result
from pydantic import BaseModel, ConfigDict, Field

from dynamo_mcp.tasks import EXTENSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp import Client
    from mcp.client.extension import ClaimContext


class Handle(Result):
    """What a call is answered with that goes on (`CreateTaskResult`)."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = Field("task", alias="resultType")
    task_id: str = Field(alias="taskId")
    status: str
    created_at: str = Field(alias="createdAt")
    last_updated_at: str = Field(alias="lastUpdatedAt")
    ttl_ms: int = Field(alias="ttlMs")
    poll_interval_ms: int = Field(alias="pollIntervalMs")


class Told(BaseModel):
    """The parameters of `notifications/tasks`."""

    model_config = ConfigDict(extra="allow")


class WithTasks(ClientExtension):
    """Declares the extension; what calls return is polled for, as most clients will do."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Handle, resolve=self._resolve)]

    def notifications(self) -> Sequence[NotificationBinding[Any]]:
        return [NotificationBinding(method="notifications/tasks", params_type=Told, handler=self._tell)]

    async def _tell(self, told: Told) -> None:
        self.told.append(told.model_dump())

    async def _resolve(self, handle: Handle, context: ClaimContext) -> CallToolResult:
        while (task := await _send(context.session, "tasks/get", handle.task_id))["status"] == "working":  # noqa: ASYNC110 - the protocol's way
            await anyio.sleep(0.01)
        return CallToolResult.model_validate(task["result"])


class _AboutTask(Request[dict[str, Any], str]):
    name_param = "taskId"


class _Answer(Result):
    model_config = ConfigDict(extra="allow")


async def _send(session: Any, method: str, task: str, **params: Any) -> dict[str, Any]:
    request = _AboutTask(method=method, params={"taskId": task, **params})
    answer = await session.send_request(request, _Answer)
    told: dict[str, Any] = answer.model_dump(by_alias=True, mode="json")
    return told


async def begin(client: Client, tool: str, arguments: dict[str, Any]) -> Handle:
    """Call a tool; the answer has to be a task."""
    handle = await client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(handle, Handle), handle
    return handle


async def get(client: Client, task: str) -> dict[str, Any]:
    """Ask for a task (`DetailedTask`)."""
    return await _send(client.session, "tasks/get", task)


async def answer(client: Client, task: str, **answers: Any) -> dict[str, Any]:
    """Answer what a task waits for, by key."""
    return await _send(client.session, "tasks/update", task, inputResponses=answers)


async def cancel(client: Client, task: str) -> dict[str, Any]:
    """Cancel a task."""
    return await _send(client.session, "tasks/cancel", task)


async def until(client: Client, task: str, holds: Callable[[dict[str, Any]], object], seconds: float = 20) -> Any:
    """Ask for a task until something holds of it; return it."""
    with anyio.fail_after(seconds):
        while not holds(told := await get(client, task)):  # noqa: ASYNC110 - the protocol's way
            await anyio.sleep(0.01)
        return told


def ended(task: dict[str, Any]) -> bool:
    return task["status"] in {"completed", "failed", "cancelled"}
