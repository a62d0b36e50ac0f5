"""Tools that the official suite calls as tasks: what each does, and how it becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from conformance.fixture_tools import content_of, text, tools
from dynamo_mcp.tasks import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conformance.fixture_tools import Result
    from dynamo_mcp.asking import Send

    Work: TypeAlias = Callable[[t.CallToolRequestParams, Send | None], Awaitable[Result]]

_LEFT = "nothing is left of it"
_PLAIN: dict[str, Any] = {"type": "object"}
_SLOW = {"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}}
_DELETED = {"type": "object", "properties": {"filename": {"type": "string"}}, "required": ["filename"]}
_CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]}
_NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

works: dict[str, Work] = {}
policies: dict[str, Policy] = {}


def task(name: str, schema: dict[str, Any] = _PLAIN, **how: Any) -> Callable[[Work], Work]:
    """Have a function be a tool that is done as a task; `how` is that of its policy."""

    def register(work: Work) -> Work:
        works[name] = work
        policies[name] = Policy(_LEFT, _LEFT, poll=0.1, **how)
        tools.append(t.Tool(name=name, description=f"Is called by the suite, as a task: {name}", input_schema=schema))
        return work

    return register


def _form(message: str, schema: dict[str, Any]) -> t.ElicitRequestFormParams:
    return t.ElicitRequestFormParams(message=message, requested_schema=schema)


@task("slow_compute", _SLOW)
async def slow_compute(params: t.CallToolRequestParams, _send: Send | None) -> Result:
    given = params.arguments or {}
    await anyio.sleep(given.get("seconds", 0))
    return text(f"It is computed: {given.get('label')}")


@task("failing_job", required=True)
async def failing_job(_params: t.CallToolRequestParams, _send: Send | None) -> Result:
    return t.CallToolResult(content=[t.TextContent(text="The job has failed.")], is_error=True)


@task("protocol_error_job")
async def protocol_error_job(_params: t.CallToolRequestParams, _send: Send | None) -> Result:
    raise MCPError(t.INTERNAL_ERROR, "The job could not be done at all")


@task("confirm_delete", _DELETED, required=True)
async def confirm_delete(params: t.CallToolRequestParams, send: Send | None) -> Result:
    assert send is not None
    said = await send(_form(f"Delete {(params.arguments or {})['filename']}?", _CONFIRM))
    return text(f"The person would {said.action} it: {said.content}")


@task("multi_input", required=True)
async def multi_input(_params: t.CallToolRequestParams, send: Send | None) -> Result:
    assert send is not None
    names: list[str] = []

    async def ask(which: str) -> None:
        said = await send(_form(f"What is the {which} name?", _NAME))
        names.append(str((said.content or {}).get("name")))

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "first")
        group.start_soon(ask, "second")
    return text(f"Both are answered: {', '.join(names)}")


@task("test_tool_with_task", required=True, begins=lambda params: content_of(params, "user_name") is not None)
async def tool_with_task(params: t.CallToolRequestParams, _send: Send | None) -> Result:
    said = content_of(params, "user_name")
    if said is None:
        asked = t.ElicitRequest(params=_form("What is your name?", _NAME))
        return t.InputRequiredResult(input_requests={"user_name": asked})
    return text(f"Hello, {said.get('name')}!")
