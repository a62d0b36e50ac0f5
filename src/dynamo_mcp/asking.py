"""How is a person asked for what is missing? By a form that their client shows, before anything else is done.

In the handshake versions of the protocol the server sends the form as a request of its own and waits. At 2026-07-28 the
call ends with the form as its result, and the client calls again with the answers; nothing is kept in between, since
what was asked comes back, sealed, as the request's state. A task waits, and its client finds the form when it asks.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import msgspec
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from dynamo_mcp.arguments import CreateProject, Placement, as_arguments, parse
from dynamo_mcp.errors import Declined, DynamoError, Failed, InvalidName, TemplateNotFound, TimedOut
from dynamo_mcp.forms import Form, compose
from dynamo_mcp.text import plain
from dynamo_mcp.views import TOOL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mcp.server.context import ServerRequestContext

    from dynamo_mcp.dynamo import Dynamo
    from dynamo_mcp.views import VariableInfo

    Context: TypeAlias = ServerRequestContext[dict[str, Any], Any]

Send: TypeAlias = "Callable[[ElicitRequestFormParams], Awaitable[ElicitResult]]"
"""Shows a form to a person, and returns what they did with it."""

GENERAL = f"{TOOL_PREFIX}project"
"""The general tool that creates; no template may be called so."""

COMPUTE_SECONDS = 20.0
"""Seconds that what a form shows may take to be computed; a person waits for it."""

_FORM = "form"
_AGAIN = "What you answered can't be taken: the form was another call's, too old, or has changed since."
_DEFAULTS_SINCE = "2025-11-25"
_NAMES = 20
_NAME = 80
_SHOWN = 200


class Asked(msgspec.Struct, frozen=True):
    """A call's arguments, as complete as a person made them.

    Attributes:
        arguments: What the tool is to be called with.
        notes: What the caller should know of what was not asked.
        answered: What the person answered.
    """

    arguments: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    answered: dict[str, Any] = {}


async def ask(
    dynamo: Dynamo, ctx: Context, params: CallToolRequestParams, send: Send | None = None
) -> Asked | InputRequiredResult:
    """Ask for the answers that a creating call leaves out, if it wants that.

    Args:
        dynamo: What is called.
        ctx: The call's.
        params: Its name and arguments.
        send: Shows a form, where that is neither a request within the call nor the call's result.

    Returns:
        The call to make; or, at 2026-07-28, the form, as the result of this call.

    Raises:
        InvalidAnswers: What was given does not fit, which the person need not be bothered for.
        Declined: The person would not answer.
        TimedOut: Nobody answered in time; Failed if the client could not ask.
    """
    given = params.arguments or {}
    wish = "ask" if params.name == GENERAL else "_ask"
    if given.get(wish) is not True or not params.name.startswith(TOOL_PREFIX):
        return Asked(given)
    try:
        template, answers = _wanted(params.name, given)
        with as_arguments(template, params.name):
            await dynamo.check_answers(template, answers)
        variables = await dynamo.get_template_variables(template)
    except (TemplateNotFound, InvalidName):
        return Asked(given)  # the call itself says what is wrong with it
    defaults = ctx.protocol_version >= _DEFAULTS_SINCE
    longest = dynamo.settings.answer_characters
    form_of = partial(compose, template, variables, answers, defaults=defaults, longest=longest)
    whole = form_of(values=())
    if whole.asked and not _can_ask(ctx):
        missing = _listed([*whole.asked, *whole.left])
        return Asked(given, (f"the client can't show a form: the defaults were taken for {missing}",))
    modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
    form, response = _answered(params, (whole, form_of())) if modern else (None, None)
    if form is None or response is None:
        form = form_of(values=await _computed(dynamo, template, answers, whole))
        if not form.asked:
            return Asked(given, _notes(form))
        if modern and send is None:
            again = f"{_AGAIN} " if (params.input_responses or {}).get(_FORM) else ""
            request = ElicitRequest(params=_shown(msgspec.structs.replace(form, message=again + form.message)))
            return InputRequiredResult(input_requests={_FORM: request}, request_state=form.fingerprint)
        response = await _answer(form, send or partial(_elicit, ctx), dynamo.settings.ask_seconds)
    if response.action != "accept":
        did = "declined to answer" if response.action == "decline" else "closed the form"
        raise Declined(f"The person {did}; nothing was created", hint="talk to the person before you call again")
    answered = form.answers(response.content)
    complete = {**answered, **answers}  # what was given was not asked for, and stays
    if params.name == GENERAL:
        return Asked({**given, "variables": complete}, _notes(form), answered)
    return Asked({**given, **complete}, _notes(form), answered)


def _wanted(tool: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the template that a call is about and the answers that it gives."""
    if tool == GENERAL:
        call = parse(CreateProject, given, tool=tool)
        return call.template_name, call.variables or {}
    parse(Placement, {name: given[name] for name in given if name.startswith("_")}, tool=tool)
    return tool.removeprefix(TOOL_PREFIX), {name: given[name] for name in given if not name.startswith("_")}


def _can_ask(ctx: Context) -> bool:
    """Tell whether the client shows forms; one that says nothing of modes does (specification 2025-11-25)."""
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.session.can_send_request


async def _computed(
    dynamo: Dynamo, template: str, answers: dict[str, Any], form: Form
) -> tuple[VariableInfo, ...] | None:
    """Return what the variables come to as long as a form is not answered; None where that can't be known."""
    if not form.computed:
        return ()
    try:
        with anyio.fail_after(COMPUTE_SECONDS):
            return await dynamo.get_template_variables(template, answers)
    except (DynamoError, TimeoutError):
        return None  # the create says what is wrong, if what the person answers leaves anything wrong


def _answered(params: CallToolRequestParams, forms: tuple[Form, ...]) -> tuple[Form, ElicitResult] | tuple[None, None]:
    """Return which form a call brings the answers to, and the answers.

    What is computed, which may be something else each time, is not computed again to read them.
    """
    response = (params.input_responses or {}).get(_FORM)
    for form in forms:
        if form.fingerprint == params.request_state and isinstance(response, ElicitResult):
            return form, response
    return None, None


def _notes(form: Form) -> tuple[str, ...]:
    """Return what the caller should know of a form."""
    notes = []
    if form.left:
        notes.append(f"a form can't ask for {_listed(form.left)}: the defaults were taken")
    if not form.shows_computed:
        notes.append("the form could not show what is computed, which failed with the answers given so far")
    return tuple(notes)


def _shown(form: Form) -> ElicitRequestFormParams:
    return ElicitRequestFormParams(message=form.message, requested_schema=form.schema)


async def _elicit(ctx: Context, form: ElicitRequestFormParams) -> ElicitResult:
    """Show a form by a request of the server, on the stream of the call where there is one."""
    return await ctx.session.elicit_form(form.message, form.requested_schema, related_request_id=ctx.request_id)


async def _answer(form: Form, send: Send, seconds: float) -> ElicitResult:
    """Send the form and wait for the answer."""
    try:
        with anyio.fail_after(seconds):
            return await send(_shown(form))
    except TimeoutError as error:
        raise TimedOut(
            f"Nobody answered the form within {seconds:g} seconds; nothing was created",
            hint="call again when the person is there, or without asking; `DYNAMO_MCP_ASK_SECONDS` allows more",
        ) from error
    except MCPError as error:
        raise Failed(
            f"The client could not ask the person, and nothing was created: {plain(str(error), _SHOWN)}",
            hint="call again without asking, and pass the answers",
        ) from error
    except ValueError as error:  # pydantic's, whose words mean nothing to whoever called
        raise Failed(
            "The client sent back what is no answer to a form, and nothing was created: its `action` is one of "
            "`accept`, `decline`, `cancel`, and its `content` an object",
            hint="call again without asking, and pass the answers",
        ) from error


def _listed(names: tuple[str, ...] | list[str]) -> str:
    words = ", ".join(f"`{plain(name, _NAME)}`" for name in names[:_NAMES])
    return f"{words} and {len(names) - _NAMES} more" if len(names) > _NAMES else words
