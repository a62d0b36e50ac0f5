"""The server as everybody gets it, with what the official suite calls beside what everybody calls."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import mcp_types as t

from conformance.fixture_tasks import policies, works
from conformance.fixture_tools import PIXEL, acts, content_of, text, tools
from dynamo_mcp.server import DynamoServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conformance.fixture_tools import Context, Result
    from dynamo_mcp.asking import Send
    from dynamo_mcp.progress import Sink
    from fakes import FakeDynamo

    Own: TypeAlias = Callable[[Context, Any], Awaitable[Any]]

_URI = "test://"
_TEMPLATE = ("test://template/", "/data")


class FixtureServer(DynamoServer):
    """`DynamoServer`, whose own handlers answer whatever is none of the suite's."""

    def __init__(self, fake: FakeDynamo) -> None:
        """Serve what `fake` can do, and the suite's fixtures."""
        super().__init__(fake.dynamo)
        self._fake = fake
        self.tasks.policies |= policies
        for method, wrapping in (
            ("tools/list", _list_tools),
            ("resources/list", _list_resources),
            ("resources/templates/list", _list_resource_templates),
            ("resources/read", _read),
            ("prompts/list", _list_prompts),
            ("prompts/get", _get_prompt),
            ("completion/complete", _complete),
        ):
            own = self.get_request_handler(method)
            assert own is not None, method
            self.add_request_handler(method, own.params_type, partial(wrapping, own.handler))
        self.add_request_handler("logging/setLevel", t.SetLevelRequestParams, _set_level)

    def _input_schema(self, tool: str) -> dict[str, Any] | None:
        return next((each.input_schema for each in tools if each.name == tool), None) or super()._input_schema(tool)

    async def act(self, ctx: Context, params: t.CallToolRequestParams, sink: Sink, send: Send | None = None) -> Result:
        if params.name in {"test_trigger_tool_change", "test_trigger_prompt_change"}:
            self._fake.register("alpha")  # whose tool and prompt change
            return text("They have changed.")
        if (act := acts.get(params.name)) is not None:
            return await act(ctx, params)
        if (work := works.get(params.name)) is not None:
            return await work(params, send)
        return await super().act(ctx, params, sink, send)


async def _set_level(_ctx: Context, _params: t.SetLevelRequestParams) -> t.EmptyResult:
    return t.EmptyResult()


async def _list_tools(own: Own, ctx: Context, params: Any) -> t.ListToolsResult:
    listed: t.ListToolsResult = await own(ctx, params)
    return listed.model_copy(update={"tools": [*listed.tools, *tools]})


async def _list_resources(own: Own, ctx: Context, params: Any) -> t.ListResourcesResult:
    listed: t.ListResourcesResult = await own(ctx, params)
    names = ("static-text", "static-binary", "watched-resource")
    ours = [t.Resource(uri=f"{_URI}{name}", name=name, description="Is read by the suite") for name in names]
    return listed.model_copy(update={"resources": [*listed.resources, *ours]})


async def _list_resource_templates(own: Own, ctx: Context, params: Any) -> t.ListResourceTemplatesResult:
    listed: t.ListResourceTemplatesResult = await own(ctx, params)
    ours = t.ResourceTemplate(uri_template="test://template/{id}/data", name="template", description="Of the suite")
    return listed.model_copy(update={"resource_templates": [*listed.resource_templates, ours]})


async def _read(own: Own, ctx: Context, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
    uri = str(params.uri)
    contents: t.TextResourceContents | t.BlobResourceContents
    begin, end = _TEMPLATE
    if uri == "test://static-text":
        words = "This is the content of the static text resource."
        contents = t.TextResourceContents(uri=uri, mime_type="text/plain", text=words)
    elif uri == "test://static-binary":
        contents = t.BlobResourceContents(uri=uri, mime_type="image/png", blob=PIXEL)
    elif uri == "test://watched-resource":
        contents = t.TextResourceContents(uri=uri, mime_type="text/plain", text="It is watched.")
    elif uri.startswith(begin) and uri.endswith(end):
        key = uri.removeprefix(begin).removesuffix(end)
        words = json.dumps({"id": key, "templateTest": True, "data": f"Data for ID: {key}"})
        contents = t.TextResourceContents(uri=uri, mime_type="application/json", text=words)
    else:
        result: t.ReadResourceResult = await own(ctx, params)
        return result
    return t.ReadResourceResult(contents=[contents])


def _prompt(name: str, *arguments: str) -> t.Prompt:
    given = [t.PromptArgument(name=each, description="Of the suite", required=True) for each in arguments]
    return t.Prompt(name=name, description="Is got by the suite", arguments=given or None)


_PROMPTS = (
    _prompt("test_simple_prompt"),
    _prompt("test_prompt_with_arguments", "arg1", "arg2"),
    _prompt("test_prompt_with_embedded_resource", "resourceUri"),
    _prompt("test_prompt_with_image"),
    _prompt("test_input_required_result_prompt"),
)


async def _list_prompts(own: Own, ctx: Context, params: Any) -> t.ListPromptsResult:
    listed: t.ListPromptsResult = await own(ctx, params)
    return listed.model_copy(update={"prompts": [*listed.prompts, *_PROMPTS]})


def _said(*contents: t.ContentBlock) -> t.GetPromptResult:
    return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=content) for content in contents])


async def _get_prompt(
    own: Own, ctx: Context, params: t.GetPromptRequestParams
) -> t.GetPromptResult | t.InputRequiredResult:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return _said(t.TextContent(text="This is a simple prompt for testing."))
        case "test_prompt_with_arguments":
            words = f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'"
            return _said(t.TextContent(text=words))
        case "test_prompt_with_embedded_resource":
            embedded = t.TextResourceContents(
                uri=given["resourceUri"], mime_type="text/plain", text="Embedded resource content for testing."
            )
            words = "Please process the embedded resource above."
            return _said(t.EmbeddedResource(resource=embedded), t.TextContent(text=words))
        case "test_prompt_with_image":
            image = t.ImageContent(data=PIXEL, mime_type="image/png")
            return _said(image, t.TextContent(text="Please analyze the image above."))
        case "test_input_required_result_prompt":
            if (said := content_of(params, "user_context")) is not None:
                return _said(t.TextContent(text=f"In the context of {said.get('context')}"))
            schema = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
            asked = t.ElicitRequestFormParams(message="What context should the prompt use?", requested_schema=schema)
            return t.InputRequiredResult(input_requests={"user_context": t.ElicitRequest(params=asked)})
    result: t.GetPromptResult = await own(ctx, params)
    return result


async def _complete(own: Own, ctx: Context, params: t.CompleteRequestParams) -> t.CompleteResult:
    if isinstance(params.ref, t.PromptReference) and params.ref.name == "test_prompt_with_arguments":
        values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
        return t.CompleteResult(completion=t.Completion(values=values, total=len(values), has_more=False))
    result: t.CompleteResult = await own(ctx, params)
    return result
