"""What does MCP see? Names become calls, values become results, errors become words.

One server serves every connection of every transport, in both eras of the protocol: 2026-07-28, where each request
stands alone and a client listens for changes on a stream of its own, and the handshake versions before it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from dynamo_mcp import __version__, background, bodies, calling, prompts, resources, slots
from dynamo_mcp.asking import Asked, ask
from dynamo_mcp.errors import Busy, DynamoError, Failed, InvalidName, NotFound, UsageError
from dynamo_mcp.keys import shared
from dynamo_mcp.listed import Listed
from dynamo_mcp.observing import Observing
from dynamo_mcp.ongoing import Calls
from dynamo_mcp.permission import Permission
from dynamo_mcp.quiet import quiet
from dynamo_mcp.results import failure, noted, page
from dynamo_mcp.sealing import Sealing
from dynamo_mcp.tasks import Tasks
from dynamo_mcp.telling import Telling
from dynamo_mcp.template_tools import TemplateTools
from dynamo_mcp.text import plain
from dynamo_mcp.tools import GENERAL_TOOLS, instructions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anyio.abc import TaskStatus
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.models import InitializationOptions

    from dynamo_mcp.asking import Send
    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.progress import Sink, Step

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

_RESOURCE_NOT_FOUND_BEFORE_2026 = -32002
_STATIC = CacheHint(ttl_ms=3_600_000, scope="public")
# A client that adds a template must find its tool in the very next list, so lists are stale at once.
_CHANGING = CacheHint(ttl_ms=0, scope="private")
_COMPLETIONS = 100
_SHOWN = 100

_log = logging.getLogger(__name__)
_rank = {name: f"{index:02}" for index, name in enumerate(GENERAL_TOOLS)}
_general = [spec.tool for spec in GENERAL_TOOLS.values()]


def build(dynamo: Dynamo) -> DynamoServer:
    """Return the server of all transports; its `announce` must run for as long as one of them serves."""
    quiet()
    return DynamoServer(dynamo)


class DynamoServer(Server[dict[str, Any]]):
    """The SDK's low-level server, with this program's tools, resources and prompts."""

    def __init__(self, dynamo: Dynamo) -> None:
        """Serve what `dynamo` can do."""
        self._dynamo = dynamo
        self._template_tools = TemplateTools(dynamo)
        self._calls = Calls()
        self.tasks = Tasks(dynamo, self.act, self._template_tools.has)
        self._telling = Telling(dynamo, self.tasks.running)
        super().__init__(
            "dynamo-mcp",
            version=__version__,
            title="dynamo-mcp",
            instructions=instructions(compact=dynamo.settings.tools == "compact"),
            cache_hints={
                "server/discover": _STATIC,
                "tools/list": _CHANGING,
                "prompts/list": _CHANGING,
                "resources/list": _CHANGING,
                "resources/templates/list": _STATIC,
                "resources/read": _CHANGING,
            },
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=cast("Any", self._call_tool),  # which an extension may answer as it wants
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_resource_templates,
            on_read_resource=self._read_resource,
            on_subscribe_resource=self._telling.subscribe,
            on_unsubscribe_resource=self._telling.unsubscribe,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_completion=self._complete,
            on_subscriptions_listen=self._telling.listeners,
        )
        self.tasks.extend(self)
        self.observing = Observing(dynamo)
        self.middleware.append(Permission(self.observing.logged.refused))
        self.middleware.append(self._telling.remember)
        self.middleware.append(self._telling.tell_before_the_answer)
        # What was asked comes back through the client, which must not change it, and maybe to another server.
        self.middleware.append(Sealing(shared(dynamo.settings.home, "forms"), dynamo.settings.ask_seconds))
        self.middleware.append(Listed(self._template_tools.listed, dynamo.list_templates, self.observing.call))
        self.middleware.append(_holding)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Say to clients of the handshake versions that lists change, which the SDK denies by default."""
        return super().create_initialization_options(
            notification_options
            or NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True),
            experimental_capabilities,
            extensions or {},  # none of ours can be used there
        )

    def close(self) -> None:
        """End the streams on which clients listen, and cancel what runs; each call gets its last frame or answer."""
        self._telling.close()
        self.tasks.running.close()
        self._calls.cancel()

    async def finish(self, seconds: float) -> None:
        """End the streams on which clients listen, begin nothing more, and let calls and tasks finish for so long."""
        self._telling.close()
        self.tasks.running.ending = True
        with anyio.move_on_after(seconds):
            await self._calls.finish()
            await self.tasks.running.finish()

    @property
    def takes_calls(self) -> bool:
        """Whether a call would be begun."""
        return not self._calls.ending

    @property
    def home(self) -> Path:
        """Where everything is kept."""
        return self._dynamo.settings.home

    async def announce(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Tell every client what changes, do what tasks do, and log who did what, until cancelled."""
        async with background.to_the_end(self.observing.logged.run), anyio.create_task_group() as group:
            await group.start(self.tasks.running.run)
            await self._telling.run(task_status=task_status)

    def _input_schema(self, tool: str) -> dict[str, Any] | None:
        if tool in GENERAL_TOOLS:
            return next(general.input_schema for general in _general if general.name == tool)
        return self._template_tools.schema(tool)

    async def _list_tools(self, _ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        with _words():
            tools, following = page(
                [*_general, *await self._template_tools.listed()],
                _cursor(params),
                of="tools",
                key=lambda tool: f"{_rank.get(tool.name, '99')} {tool.name}",
            )
            return ListToolsResult(tools=list(tools), next_cursor=following)

    async def _call_tool(
        self, ctx: Context, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult | dict[str, Any]:
        slots.caller.set(calling.name_of(ctx))
        begun = self.takes_calls
        if begun and (task := await self.tasks.begin(ctx, params)) is not None:
            return task
        try:
            result = await self._calls.run(slots.caller.get(), lambda: self.act(ctx, params, _sink(ctx)))
        except Busy as error:
            return failure(error)
        if result is not None:
            return result
        what = f"`{plain(params.name, _SHOWN)}` was {'cancelled' if begun else 'not begun'}"
        return failure(Failed(f"{what}, since the server is ending", hint="call again when it is back"))

    async def act(
        self, ctx: Context, params: CallToolRequestParams, sink: Sink, send: Send | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Do what a tool does, within its call or as a task.

        Args:
            ctx: The call's; of a task that goes on, only what the client said of itself is still there.
            params: The tool's name and its arguments.
            sink: Where progress goes.
            send: Shows a form, for a task.

        Raises:
            MCPError: There is no such tool.
        """
        asked = Asked(params.arguments or {})
        with self.observing.call(params.name, asked.arguments) as call:
            try:
                answer = await ask(self._dynamo, ctx, params, send)
                if isinstance(answer, InputRequiredResult):
                    call.outcome = "asked"
                    return answer
                asked = answer
                sink = call.sink(sink)
                if (spec := GENERAL_TOOLS.get(params.name)) is not None:
                    call.result = await spec.call(self._dynamo, asked.arguments, sink)
                else:
                    call.result = await self._template_tools.call(params.name, asked.arguments, sink)
            except DynamoError as error:
                call.outcome = type(error).__name__
                return failure(error, asked.answered)
            except Exception:  # noqa: BLE001 - the edge: whatever it is, the client gets an answer and the log the details
                call.outcome = "fault"
                _log.exception("tool `%s` failed unexpectedly", plain(params.name, _SHOWN))
                return failure(
                    Failed(
                        f"`{plain(params.name, _SHOWN)}` failed through a fault of dynamo-mcp itself",
                        hint="other arguments will not help; tell the person that the server's log has the details",
                    )
                )
            call.outcome = "done" if call.result is not None else "unknown tool"
        result = call.result
        if result is None:
            # MCP specification 2026-07-28, server/tools: an unknown tool is a protocol error.
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {plain(params.name, _SHOWN)}")
        return noted(result, asked.notes)

    async def _list_resources(self, _ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        with _words():
            found, following = page(
                await resources.resources(self._dynamo), _cursor(params), of="resources", key=resources.order
            )
            return ListResourcesResult(resources=list(found), next_cursor=following)

    async def _list_resource_templates(
        self, _ctx: Context, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        with _words():
            found, following = page(
                resources.RESOURCE_TEMPLATES,
                _cursor(params),
                of="resource templates",
                key=lambda template: template.uri_template,
            )
            return ListResourceTemplatesResult(resource_templates=list(found), next_cursor=following)

    async def _read_resource(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        missing = "Resource not found"
        with _words():
            try:
                contents = await resources.read(self._dynamo, params.uri)
            except (NotFound, InvalidName) as error:
                contents, missing = None, f"{missing}: {error}"
        if contents is None:
            # MCP specification 2026-07-28, server/resources; the number of the versions before it was another.
            modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
            code = INVALID_PARAMS if modern else _RESOURCE_NOT_FOUND_BEFORE_2026
            raise MCPError(code, missing, data={"uri": params.uri})
        return ReadResourceResult(contents=[contents])

    async def _list_prompts(self, _ctx: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        with _words():
            found, following = page(
                await prompts.prompts(self._dynamo), _cursor(params), of="prompts", key=lambda prompt: prompt.name
            )
            return ListPromptsResult(prompts=list(found), next_cursor=following)

    async def _get_prompt(self, _ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        with _words():
            result = await prompts.get(self._dynamo, params.name, params.arguments or {})
        if result is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {plain(params.name, _SHOWN)}")
        return result

    async def _complete(self, _ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        with _words():
            if isinstance(params.ref, PromptReference):
                values = await prompts.complete(self._dynamo, params.ref.name, params.argument.name)
            else:
                values = await resources.complete(self._dynamo, params.ref.uri, params.argument.name)
        if values is None:
            raise MCPError(INVALID_PARAMS, f"Nothing to complete for: {plain(params.argument.name, _SHOWN)}")
        begun = params.argument.value.casefold()
        fitting = [value for value in values if begun in value.casefold()]
        fitting.sort(key=lambda value: not value.casefold().startswith(begun))
        return CompleteResult(
            completion=Completion(
                values=fitting[:_COMPLETIONS], total=len(fitting), has_more=len(fitting) > _COMPLETIONS
            )
        )


async def _holding(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Have what was sent count until it is done (middleware): its client may have been answered, or left, before."""
    body = bodies.current.get()
    with nullcontext() if body is None else body.held():
        return await call_next(ctx)


def _sink(ctx: Context) -> Sink:
    async def report(step: Step) -> None:
        await ctx.session.report_progress(step.position, step.total, step.message)

    return report


def _cursor(params: PaginatedRequestParams | None) -> str | None:
    return params.cursor if params is not None else None


@contextmanager
def _words() -> Iterator[None]:
    """Turn what goes wrong outside a tool call into a protocol error."""
    try:
        yield
    except UsageError as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error
    except DynamoError as error:
        raise MCPError(INTERNAL_ERROR, str(error)) from error
    except Exception as error:
        _log.exception("a request failed unexpectedly")
        raise MCPError(INTERNAL_ERROR, "A fault of dynamo-mcp itself; its log has the details") from error
