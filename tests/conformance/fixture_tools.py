"""Tools that the official suite calls, as each of its scenarios describes the one it wants."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mcp.server.context import ServerRequestContext

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]
    Result: TypeAlias = t.CallToolResult | t.InputRequiredResult
    Act: TypeAlias = Callable[[Context, t.CallToolRequestParams], Awaitable[Result]]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
MOMENT_SECONDS = 0.05

_PLAIN: dict[str, Any] = {"type": "object"}
_NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
_COLOR = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
_OK = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}

acts: dict[str, Act] = {}
tools: list[t.Tool] = []


def tool(name: str, **schema: Any) -> Callable[[Act], Act]:
    """Have a function be a tool; `schema` is its input's, any object by default."""

    def register(act: Act) -> Act:
        acts[name] = act
        tools.append(t.Tool(name=name, description=f"Is called by the suite: {name}", input_schema=schema or _PLAIN))
        return act

    return register


def text(words: str) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=words)])


@tool("test_simple_text")
async def simple_text(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    return text("This is a simple text response for testing.")


@tool("greet", **_NAME)
async def greet(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    return text(f"Hello, {(params.arguments or {})['name']}!")


@tool("test_image_content")
async def image_content(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    return t.CallToolResult(content=[t.ImageContent(data=PIXEL, mime_type="image/png")])


@tool("test_audio_content")
async def audio_content(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    return t.CallToolResult(content=[t.AudioContent(data=SILENCE, mime_type="audio/wav")])


def _embedded(uri: str, mime_type: str, words: str) -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=mime_type, text=words))


@tool("test_embedded_resource")
async def embedded_resource(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    words = "This is an embedded resource content."
    return t.CallToolResult(content=[_embedded("test://embedded-resource", "text/plain", words)])


@tool("test_multiple_content_types")
async def multiple_content_types(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    return t.CallToolResult(
        content=[
            t.TextContent(text="Multiple content types test:"),
            t.ImageContent(data=PIXEL, mime_type="image/png"),
            _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ]
    )


@tool("test_error_handling")
async def error_handling(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    words = "This tool intentionally returns an error for testing"
    return t.CallToolResult(content=[t.TextContent(text=words)], is_error=True)


@tool("test_tool_with_progress")
async def tool_with_progress(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
        await anyio.sleep(MOMENT_SECONDS)
    return text("All of it is done.")


@tool("test_tool_with_logging")
async def tool_with_logging(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await _log(ctx, words)
        await anyio.sleep(MOMENT_SECONDS)
    return text("All of it is logged.")


@tool("test_logging_tool")
async def logging_tool(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    await _log(ctx, "Heard by whoever asked for it")
    return text("It is logged, if anybody asked for that.")


async def _log(ctx: Context, words: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # 2026-07-28 deprecates logging, and the suite tries it
        sending = ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
    await sending


@tool("test_sampling", type="object", properties={"prompt": {"type": "string"}}, required=["prompt"])
async def sampling(ctx: Context, params: t.CallToolRequestParams) -> Result:
    answer = await ctx.session.send_request(
        _sampling(str((params.arguments or {})["prompt"]), most=100),
        t.CreateMessageResult,
        metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
    )
    assert isinstance(answer.content, t.TextContent)
    return text(f"LLM response: {answer.content.text}")


def _sampling(words: str, *, most: int) -> t.CreateMessageRequest:
    message = t.SamplingMessage(role="user", content=t.TextContent(text=words))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[message], max_tokens=most))


async def _elicit(ctx: Context, message: str, properties: Mapping[str, Any], required: list[str]) -> t.ElicitResult:
    schema = {"type": "object", "properties": properties, "required": required}
    return await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)


@tool("test_elicitation", type="object", properties={"message": {"type": "string"}}, required=["message"])
async def elicitation(ctx: Context, params: t.CallToolRequestParams) -> Result:
    asked = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    said = await _elicit(ctx, str((params.arguments or {})["message"]), asked, [*asked])
    return text(f"User response: action={said.action}, content={said.content}")


@tool("test_elicitation_sep1034_defaults")
async def elicitation_sep1034_defaults(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    asked = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    said = await _elicit(ctx, "Are the defaults there?", asked, [])
    return text(f"Elicitation completed: action={said.action}, content={said.content}")


def _titled(prefix: str, *titles: str) -> list[dict[str, str]]:
    return [{"const": f"value{number}", "title": f"{title} {prefix}"} for number, title in enumerate(titles, 1)]


@tool("test_elicitation_sep1330_enums")
async def elicitation_sep1330_enums(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    options = ["option1", "option2", "option3"]
    names = ["Option One", "Option Two", "Option Three"]
    ordinals = ("First", "Second", "Third")
    asked = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": _titled("Option", *ordinals)},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": names},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": _titled("Choice", *ordinals)}},
    }
    said = await _elicit(ctx, "Which of them?", asked, [])
    return text(f"Elicitation completed: action={said.action}, content={said.content}")


@tool("test_reconnection")
async def reconnection(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await anyio.sleep(2 * MOMENT_SECONDS)
    return text("This came on another stream than the call.")


def _form(message: str, schema: Mapping[str, Any]) -> t.ElicitRequest:
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=dict(schema)))


def _ask(state: str | None = None, /, **requests: t.InputRequest) -> t.InputRequiredResult:
    return t.InputRequiredResult(input_requests=requests, request_state=state)


def content_of(params: Any, key: str) -> dict[str, Any] | None:
    """Return what a form was answered with, if it was."""
    said = (params.input_responses or {}).get(key)
    return said.content or {} if isinstance(said, t.ElicitResult) and said.action == "accept" else None


@tool("test_input_required_result_elicitation")
async def input_required_result_elicitation(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    said = content_of(params, "user_name")
    if said is None or not isinstance(said.get("name"), str):
        return _ask(user_name=_form("What is your name?", _NAME))
    return text(f"Hello, {said['name']}!")


@tool("test_input_required_result_sampling")
async def input_required_result_sampling(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    said = (params.input_responses or {}).get("capital_question")
    if not isinstance(said, t.CreateMessageResult) or not isinstance(said.content, t.TextContent):
        return _ask(capital_question=_sampling("What is the capital of France?", most=100))
    return text(f"The model said: {said.content.text}")


@tool("test_input_required_result_list_roots")
async def input_required_result_list_roots(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    said = (params.input_responses or {}).get("client_roots")
    if not isinstance(said, t.ListRootsResult):
        return _ask(client_roots=t.ListRootsRequest())
    return text(f"The roots: {', '.join(str(root.uri) for root in said.roots)}")


@tool("test_input_required_result_request_state")
async def input_required_result_request_state(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    if content_of(params, "confirm") is None or params.request_state != "asked":
        return _ask("asked", confirm=_form("Please confirm", _OK))
    return text("state-ok")


@tool("test_input_required_result_tampered_state")
async def input_required_result_tampered_state(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    if content_of(params, "confirm") is None or params.request_state != "asked":
        return _ask("asked", confirm=_form("Please confirm", _OK))
    return text("The state is as it was given.")


@tool("test_input_required_result_multiple_inputs")
async def input_required_result_multiple_inputs(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    requests: dict[str, t.InputRequest] = {
        "user_name": _form("What is your name?", _NAME),
        "greeting": _sampling("Generate a greeting", most=50),
        "client_roots": t.ListRootsRequest(),
    }
    if params.request_state != "asked" or requests.keys() - (params.input_responses or {}).keys():
        return _ask("asked", **requests)
    return text("All of it is answered.")


@tool("test_input_required_result_multi_round")
async def input_required_result_multi_round(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    match params.request_state:
        case "step 1" if (said := content_of(params, "step1")) is not None:
            return _ask(f"step 2 {said.get('name')}", step2=_form("Step 2: What is your favorite color?", _COLOR))
        case str(state) if state.startswith("step 2 ") and (said := content_of(params, "step2")) is not None:
            return text(f"{state.removeprefix('step 2 ')} likes {said.get('color')}")
    return _ask("step 1", step1=_form("Step 1: What is your name?", _NAME))


@tool("test_input_required_result_capabilities")
async def input_required_result_capabilities(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    has = ctx.session.client_capabilities or t.ClientCapabilities()
    requests: dict[str, t.InputRequest] = {}
    if has.elicitation is not None:
        requests["form"] = _form("What is your name?", _NAME)
    if has.sampling is not None:
        requests["model"] = _sampling("Say something", most=50)
    return _ask(None, **requests) if requests else text("There is nothing that the client could be asked for.")


@tool("test_missing_capability")
async def missing_capability(ctx: Context, _params: t.CallToolRequestParams) -> Result:
    has = ctx.session.client_capabilities
    if has is None or has.sampling is None:
        lacks: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "The client has no sampling", data=lacks)
    return text("The client has it.")


@tool("test_streaming_elicitation")
async def streaming_elicitation(ctx: Context, params: t.CallToolRequestParams) -> Result:
    await ctx.session.report_progress(1, 2)
    if content_of(params, "user_name") is None:
        return _ask(user_name=_form("What is your name?", _NAME))
    return text("It is answered.")


@tool(
    "test_x_mcp_header",
    type="object",
    properties={"region": {"type": "string", "x-mcp-header": "Region"}},
    required=["region"],
)
async def x_mcp_header(_ctx: Context, params: t.CallToolRequestParams) -> Result:
    return text(f"In {(params.arguments or {}).get('region')}")


@tool(
    "json_schema_2020_12_tool",
    **{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12(_ctx: Context, _params: t.CallToolRequestParams) -> Result:
    return text("Its schema is the point.")
