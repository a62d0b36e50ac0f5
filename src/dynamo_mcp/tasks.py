"""How does a client see long work? As a task, if it can: a handle at once, and everything else when it asks.

The Tasks extension of MCP (`io.modelcontextprotocol/tasks`, SEP-2663): a call of a tool in `Tasks.policies` is answered
with a task where the client declares the extension on that very request, and any other is answered when it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field, ValidationError

from dynamo_mcp import callers
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.results import failure
from dynamo_mcp.running_tasks import CANCELLED, Outcome, RunningTasks
from dynamo_mcp.text import plain
from dynamo_mcp.views import TOOL_PREFIX

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server

    from dynamo_mcp.asking import Send
    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.progress import Sink, Step
    from dynamo_mcp.running_tasks import Running
    from dynamo_mcp.task_records import Task

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

EXTENSION = "io.modelcontextprotocol/tasks"

_SHOWN = 200


def _always(_params: CallToolRequestParams) -> bool:
    return True


class Policy(msgspec.Struct, frozen=True):
    """How a tool is done as a task.

    Attributes:
        left: What there is of its work before its last step has begun, as a sentence's second half.
        left_last: What there may be of it from then on.
        poll: Seconds that a client should wait before it asks again.
        required: Clients without the extension are refused.
        begins: Whether a call is ready to become a task; one that is not is answered as without the extension.
    """

    left: str
    left_last: str
    poll: float = 1.0
    required: bool = False
    begins: Callable[[CallToolRequestParams], bool] = _always


POLICIES = {
    "add_template": Policy(
        "no template was registered", "whether the template was registered is told by `list_templates`"
    ),
    "create_project": Policy(
        "no project was made", "the project may be in its place, and is complete if it is", poll=0.2
    ),
    "update_template": Policy(
        "the template is as it was", "the template is as it was or updated: `list_templates` tells its revision"
    ),
}
"""By the tool's name; the templates' own tools are done as `create_project` is."""


class TaskParams(RequestParams):
    """What is asked of one task."""

    task_id: str = Field(alias="taskId")


class UpdateParams(TaskParams):
    """Answers to what a task waits for, by key."""

    input_responses: dict[str, Any] = Field(alias="inputResponses")


class Tasks:
    """The extension, for one server.

    Attributes:
        policies: Which tools are done as tasks, and how, by name.
        running: Does them; its `run` must run for as long as the server serves.
    """

    def __init__(
        self,
        dynamo: Dynamo,
        act: Callable[[Context, CallToolRequestParams, Sink, Send], Awaitable[CallToolResult | InputRequiredResult]],
        is_of_template: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Begin with the tools of `POLICIES`.

        Args:
            dynamo: Keeps what is known of them.
            act: Does what a call asks for.
            is_of_template: Tells whether a tool is a registered template's own.
        """
        self.policies = dict(POLICIES)
        settings = dynamo.settings
        self.running = RunningTasks(
            dynamo.task_records,
            most=settings.tasks,
            most_of_caller=settings.caller_tasks,
            kept=settings.task_seconds,
        )
        self._act = act
        self._is_of_template = is_of_template

    def extend(self, server: Server[Any]) -> None:
        """Have a server declare the extension, and answer what it adds to the protocol."""
        server.extensions[EXTENSION] = {}
        server.add_request_handler("tasks/get", TaskParams, self._get)
        server.add_request_handler("tasks/update", UpdateParams, self._update)
        server.add_request_handler("tasks/cancel", TaskParams, self._cancel)

    async def begin(self, ctx: Context, params: CallToolRequestParams) -> dict[str, Any] | CallToolResult | None:
        """Answer a call with a task, if it is to be one; else None.

        Raises:
            MCPError: The tool is done as a task only, and the client knows none.
        """
        policy = await self._policy(params.name)
        if policy is None or not policy.begins(params):
            return None
        if not is_declared(ctx):
            if policy.required:
                raise undeclared()
            return None
        if not self.running.serves:
            return None

        async def work(running: Running) -> Outcome:
            return await self._work(ctx, params, policy, running)

        try:
            owner = callers.current.get().name
            task = await self.running.begin(owner, work, left=policy.left, poll=policy.poll)
        except DynamoError as error:
            return failure(error)
        return {"resultType": "task", **_handle(task)}

    async def _policy(self, tool: str) -> Policy | None:
        if (own := self.policies.get(tool)) is not None:
            return own
        if tool.startswith(TOOL_PREFIX) and await self._is_of_template(tool):
            return self.policies.get("create_project")
        return None

    async def _work(self, ctx: Context, params: CallToolRequestParams, policy: Policy, running: Running) -> Outcome:
        async def sink(step: Step) -> None:
            number = min(int(step.position) + 1, step.total)
            last = number == step.total
            message = f"step {number}/{step.total}: {plain(step.message, _SHOWN)}"
            await running.say(message, policy.left_last if last else policy.left)

        async def send(form: ElicitRequestFormParams) -> ElicitResult:
            asked = ElicitRequest(params=form).model_dump(by_alias=True, mode="json", exclude_none=True)
            return ElicitResult.model_validate(await running.ask(asked), by_name=False)

        try:
            result = await self._act(ctx, params, sink, send)
        except MCPError as error:
            told = error.error.model_dump(by_alias=True, mode="json", exclude_none=True)
            return Outcome("failed", plain(error.error.message, _SHOWN), error=told)
        return Outcome("completed", result=result.model_dump(by_alias=True, mode="json", exclude_none=True))

    async def _get(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        return described(await self._task(ctx, params))

    async def _update(self, ctx: Context, params: UpdateParams) -> dict[str, Any]:
        task = await self._task(ctx, params)
        answers = {key: _checked(key, answer) for key, answer in params.input_responses.items() if key in task.requests}
        if (running := self._running(task)) is not None:
            running.answer(answers)
        return {}

    async def _cancel(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        task = await self._task(ctx, params)
        if (running := self._running(task)) is not None:
            running.why = CANCELLED
            running.scope.cancel()
        return {}

    async def _task(self, ctx: Context, params: TaskParams) -> Task:
        if not is_declared(ctx):
            raise undeclared()
        _check_name(ctx, params.task_id)
        try:
            task = await self.running.get(callers.current.get().name, params.task_id)
        except DynamoError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from error
        if task is None:
            raise MCPError(INVALID_PARAMS, f"There is no task `{plain(params.task_id, _SHOWN)}`, or no more")
        return task

    def _running(self, task: Task) -> Running | None:
        """Return the work of a task, if any is left to do."""
        running = self.running.running(task.owner, task.name)
        if running is None and task.unfinished:
            raise MCPError(INTERNAL_ERROR, f"The task `{task.name}` is done by another server of this home; ask that")
        return running


def is_declared(ctx: Context) -> bool:
    """Tell whether the client declares the extension, on this request."""
    capabilities = ctx.session.client_capabilities
    modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    return modern and capabilities is not None and EXTENSION in (capabilities.extensions or {})


def undeclared() -> MCPError:
    """Return what a client is told that does not declare the extension, where it has to."""
    needed: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    return MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, f"This needs the client capability `{EXTENSION}`", data=needed)


def described(task: Task) -> dict[str, Any]:
    """Return all that a client is told of a task (`DetailedTask`)."""
    more: dict[str, Any] = {}
    if task.status == "input_required":
        more["inputRequests"] = task.requests
    if task.result is not None:
        more["result"] = task.result
    if task.error is not None:
        more["error"] = task.error
    return _handle(task) | more


def _handle(task: Task) -> dict[str, Any]:
    said = {"statusMessage": task.message} if task.message else {}
    return {
        "taskId": task.name,
        "status": task.status,
        **said,
        "createdAt": _time(task.created),
        "lastUpdatedAt": _time(task.updated),
        "ttlMs": round((task.expires - task.created) * 1000),
        "pollIntervalMs": round(task.poll * 1000),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check_name(ctx: Context, task: str) -> None:
    """Check what a proxy in between has routed the request by (MCP Tasks extension, Routing Headers)."""
    headers = getattr(ctx.request, "headers", None)
    # Only streamable HTTP has these headers, and every request of it says its method in one.
    if headers is None or "mcp-method" not in headers:
        return
    named = headers.get("mcp-name")
    if named is None or decode_header_value(named) != task:
        raise MCPError(HEADER_MISMATCH, "The header `Mcp-Name` is not the request's `taskId`")


def _checked(key: str, answer: Any) -> dict[str, Any]:
    try:
        ElicitResult.model_validate(answer, by_name=False)
    except ValidationError:
        message = f"What answers `{plain(key, _SHOWN)}` is no answer to a form: `action` and, if it accepts, `content`"
        raise MCPError(INVALID_PARAMS, message) from None
    checked: dict[str, Any] = answer
    return checked
