"""How a person is asked, over every transport and in both eras of the protocol."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as t
import msgspec
import pytest
from mcp.shared.exceptions import MCPError

from dynamo_mcp.errors import RenderFailed
from dynamo_mcp.results import noted
from dynamo_mcp.views import VariableInfo
from edge.joining import Era, Transport, in_both_eras, join, over_every_transport, over_http
from edge.raw import start
from edge.test_permission import ByScope, called
from fakes import EVERY_KIND, FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ASKED = ["project_name", "slug", "docker", "tests", "license", "port"]


class Person:
    """Fills in every form alike, and remembers what was asked."""

    def __init__(self, action: str = "accept", **content: Any) -> None:
        self.forms: list[t.ElicitRequestFormParams] = []
        self._result = t.ElicitResult.model_validate({"action": action, "content": content or None})

    async def __call__(self, _context: object, params: Any) -> t.ElicitResult | t.ErrorData:
        assert isinstance(params, t.ElicitRequestFormParams)
        self.forms.append(params)
        return self._result


def text(result: t.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


@over_every_transport
@in_both_eras
async def test_what_is_missing_is_asked_as_a_form_and_what_was_given_stays(
    transport: Transport, era: Era, tmp_path: Path
) -> None:
    person = Person(project_name="Answered", slug="", license="GPL", port=1)
    async with join(transport, era, tmp_path, elicitation_callback=person) as client:
        general = await client.call_tool(
            "create_project", {"template_name": "alpha", "variables": {"docker": True}, "ask": True}
        )
        own = await client.call_tool("create_alpha", {"docker": True, "_ask": True, "_output_dir": "there"})
    for result in (general, own):
        assert not result.is_error, text(result)
        project = result.structured_content
        answers = {"project_name": "Answered", "license": "GPL", "port": 1, "docker": True, "tests": True}
        assert answers.items() <= project["answers"].items()
        assert project["answers"]["slug"] == "{{ cookiecutter.project_name }}"
        assert project["notes"] == ["a form can't ask for `owner`: the defaults were taken"]
        assert "note: a form can't ask for `owner`" in text(result)
    assert own.structured_content["path"].endswith("there/my-project")
    assert len(person.forms) == 2
    for form in person.forms:
        assert list(form.requested_schema["properties"]) == [name for name in ASKED if name != "docker"]
        assert "`alpha`" in form.message


@in_both_eras
@pytest.mark.parametrize(
    ("action", "words"), [("decline", "The person declined to answer"), ("cancel", "The person closed the form")]
)
async def test_a_person_who_will_not_answer_gets_no_project(era: Era, action: str, words: str, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", era, tmp_path, fake=fake, elicitation_callback=Person(action)) as client:
        result = await client.call_tool("create_alpha", {"_ask": True})
    assert result.is_error
    assert text(result) == f"{words}; nothing was created\n\nhint: talk to the person before you call again"
    assert fake.created == []


@over_every_transport
@in_both_eras
async def test_a_client_that_shows_no_forms_gets_the_defaults_and_a_note(
    transport: Transport, era: Era, tmp_path: Path
) -> None:
    async with join(transport, era, tmp_path) as client:
        result = await client.call_tool("create_alpha", {"_ask": True, "port": 1, "docker": True})
    assert not result.is_error
    (note,) = result.structured_content["notes"]
    assert note == (
        "the client can't show a form: the defaults were taken for `project_name`, `slug`, `tests`, `license`, `owner`"
    )


async def test_what_a_person_could_not_be_asked_stands_beside_the_project_s_own_notes() -> None:
    lines = [t.TextContent(type="text", text=text) for text in ("Created", "{}")]
    result = noted(t.CallToolResult(content=[*lines], structured_content={"notes": ["its own"]}), ["not asked"])
    assert result.structured_content == {"notes": ["its own", "not asked"]}
    assert json.loads(result.content[2].text) == result.structured_content  # type: ignore[union-attr]


@in_both_eras
async def test_nobody_is_asked_unless_the_call_says_so_or_where_nothing_is_missing(era: Era, tmp_path: Path) -> None:
    person = Person()
    async with join("memory", era, tmp_path, elicitation_callback=person) as client:
        quiet = await client.call_tool("create_alpha", {"_ask": False})
        complete = await client.call_tool("create_beta", {"project_name": "P", "_ask": True})
        for result in (quiet, complete):
            assert not result.is_error
            assert result.structured_content["notes"] == []
    assert person.forms == []


@in_both_eras
async def test_nobody_is_bothered_for_a_call_that_is_wrong_anyway(era: Era, tmp_path: Path) -> None:
    person = Person()
    async with join("memory", era, tmp_path, elicitation_callback=person) as client:
        for name, given, told in (
            ("create_alpha", {"nmae": 1, "_ask": True}, "`nmae` is not asked"),
            ("create_alpha", {"_if_exists": 1, "_ask": True}, "`_if_exists` can't be a number `1`"),
            ("create_alpha", {"_ask": "yes"}, "`_ask` can't be text `yes`; it is true or false"),
            ("create_project", {"template_name": "alhpa", "ask": True}, "did you mean `alpha`?"),
            ("create_project", {"ask": True}, "`template_name` is missing"),
            ("update_template", {"template_name": "alpha", "_ask": True}, "`_ask` is not an argument"),
        ):
            result = await client.call_tool(name, given)
            assert result.is_error
            assert told in text(result)
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("create_nothing", {"_ask": True})
    assert person.forms == []


@in_both_eras
async def test_what_a_person_answered_is_not_lost_when_the_create_fails(era: Era, tmp_path: Path) -> None:
    class Strict(FakeDynamo):
        async def create_project(self, *given: Any, **_named: Any) -> Any:
            await self.check_answers("beta", {"project_name": given[2]["project_name"], "wrong": 1})

    person = Person(project_name="{{ as typed }}")
    async with join("memory", era, tmp_path, fake=Strict(tmp_path), elicitation_callback=person) as client:
        result = await client.call_tool("create_beta", {"_ask": True})
    assert result.is_error
    assert "`wrong` is not asked" in text(result)
    assert 'The person answered {"project_name":"{{ as typed }}"}' in text(result)


@pytest.mark.parametrize("transport", ["memory", "http"])
async def test_a_form_that_nobody_answers_ends_the_call_in_bounded_time(transport: Transport, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    fake.settings = msgspec.structs.replace(fake.settings, ask_seconds=0.2)

    async def nobody(_context: object, _params: object) -> t.ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(10):
        async with join(transport, "legacy", tmp_path, fake=fake, elicitation_callback=nobody) as client:
            result = await client.call_tool("create_alpha", {"_ask": True})
    assert "Nobody answered the form within 0.2 seconds; nothing was created" in text(result)
    assert fake.created == []


@pytest.mark.parametrize("transport", ["memory", "http"])
async def test_a_client_that_gives_up_while_a_person_is_asked_leaves_nothing(
    transport: Transport, tmp_path: Path
) -> None:
    fake = FakeDynamo(tmp_path)
    asked = anyio.Event()

    async def nobody(_context: object, _params: object) -> t.ElicitResult:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(10):
        async with join(transport, "legacy", tmp_path, fake=fake, elicitation_callback=nobody) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "create_alpha", {"_ask": True})
                await asked.wait()
                tasks.cancel_scope.cancel()
            assert not (await client.call_tool("create_beta")).is_error
    assert [created["template"] for created in fake.created] == ["beta"]


@pytest.mark.parametrize("transport", ["memory", "http"])
async def test_a_client_that_fails_to_ask_is_told_so(transport: Transport, tmp_path: Path) -> None:
    async def broken(_context: object, _params: object) -> t.ErrorData:
        return t.ErrorData(code=-32000, message="no\x1b[31m screen")

    async with join(transport, "legacy", tmp_path, elicitation_callback=broken) as client:
        result = await client.call_tool("create_alpha", {"_ask": True})
    assert "The client could not ask the person, and nothing was created: no[31m screen" in text(result)


async def test_a_client_that_answers_no_form_is_told_so_in_our_words(tmp_path: Path) -> None:
    # The SDK's own client would not send this.
    async with start("stdio", tmp_path) as server:
        client = {"protocolVersion": "2025-11-25", "clientInfo": {"name": "odd", "version": "1"}}
        capabilities: dict[str, Any] = {"elicitation": {"form": {}}}
        await server.send(plain_request(1, "initialize", **client, capabilities=capabilities))
        await server.receive()
        await server.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await server.send(plain_request(2, "tools/call", name="create_alpha", arguments={"_ask": True}))
        with anyio.fail_after(20):
            while (asked := await server.receive()).get("method") != "elicitation/create":
                pass
            await server.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "zzz"}})
            while (told := await server.receive()).get("id") != 2:
                pass
    said = told["result"]["content"][0]["text"]
    assert said.startswith("The client sent back what is no answer to a form, and nothing was created: ")
    assert "ElicitResult" not in said


def plain_request(number: int, method: str, **params: Any) -> dict[str, Any]:
    """A request of the handshake versions."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


COMPUTED = (
    *EVERY_KIND[:2],
    VariableInfo(
        "layout", "Where?", "{{ a }}", ("{{ a }}", "src/{{ a }}"), required=False, type="choice", derived=True
    ),
)
"""What follows from other answers: a default, and what a choice offers."""


@over_every_transport
@in_both_eras
async def test_what_is_computed_is_asked_as_it_comes_to_with_the_answers_given(
    transport: Transport, era: Era, tmp_path: Path
) -> None:
    person = Person(slug="", port=1)
    async with join(transport, era, tmp_path, elicitation_callback=person) as client:
        result = await client.call_tool("create_alpha", {"docker": True, "_ask": True})
    assert not result.is_error, result.content
    (form,) = person.forms
    described = form.requested_schema["properties"]["slug"]["description"]
    assert described == "Leave it empty to have it computed from the other answers; with those so far it is: computed-1"


@in_both_eras
async def test_a_computed_choice_is_asked_by_what_it_comes_to_and_computed_once(era: Era, tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    fake.register("gamma", variables=COMPUTED)
    person = Person(layout="src/{{ a }}")
    async with join("http", era, tmp_path, fake=fake, elicitation_callback=person) as client:
        result = await client.call_tool("create_gamma", {"project_name": "P", "_ask": True})
    assert result.structured_content["notes"] == []
    assert person.forms[0].requested_schema["properties"]["layout"]["oneOf"] == [
        {"const": "{{ a }}", "title": "choice-1-0"},
        {"const": "src/{{ a }}", "title": "choice-1-1"},
    ]
    assert fake.computed == [{"template": "gamma", "answers": {"project_name": "P"}}]
    assert [created["variables"] for created in fake.created] == [{"layout": "src/{{ a }}", "project_name": "P"}]


@in_both_eras
async def test_where_it_can_not_be_computed_the_rest_is_asked_and_a_note_says_so(era: Era, tmp_path: Path) -> None:
    class Failing(FakeDynamo):
        async def get_template_variables(
            self, template_name: str, answers: dict[str, Any] | None = None, **options: Any
        ) -> tuple[VariableInfo, ...]:
            if answers is not None:
                raise RenderFailed("the default of `slug`: undefined", hint="mend it")
            return await super().get_template_variables(template_name, **options)

    fake = Failing(tmp_path)
    fake.register("gamma", variables=COMPUTED)
    person = Person(project_name="P")
    async with join("http", era, tmp_path, fake=fake, elicitation_callback=person) as client:
        result = await client.call_tool("create_gamma", {"_ask": True})
        fake.register("gamma", variables=COMPUTED[2:])
        nothing = await client.call_tool("create_gamma", {"_ask": True})
    assert [list(form.requested_schema["properties"]) for form in person.forms] == [["project_name", "slug"]]
    failed = "the form could not show what is computed, which failed with the answers given so far"
    left = "a form can't ask for `layout`: the defaults were taken"
    assert result.structured_content["notes"] == [left, failed]
    assert nothing.structured_content["notes"] == [left, failed]


async def test_nothing_is_computed_for_a_form_that_nobody_sees_or_that_shows_nothing_of_it(tmp_path: Path) -> None:
    fake = FakeDynamo(tmp_path)
    async with join("memory", "auto", tmp_path, fake=fake) as client:
        await client.call_tool("create_alpha", {"_ask": True})
    async with join("memory", "auto", tmp_path, fake=fake, elicitation_callback=Person()) as client:
        await client.call_tool("create_alpha", {"slug": "s", "_ask": True})
        await client.call_tool("create_beta", {"_ask": True})
    assert len(fake.created) == 3
    assert fake.computed == []


class TestRounds:
    """At 2026-07-28 a call that asks ends with the form, and a second one brings the answers."""

    GIVEN: dict[str, Any] = {"project_name": "P", "_ask": True}  # noqa: RUF012 - never changed
    ACCEPTED = t.ElicitResult(action="accept", content={"port": 7})

    async def test_the_answers_are_taken_with_the_state_that_came_with_the_form(self, tmp_path: Path) -> None:
        fake = FakeDynamo(tmp_path)
        async with join("http", "2026-07-28", tmp_path, fake=fake, elicitation_callback=Person()) as client:
            form = await self.call(client, self.GIVEN)
            assert isinstance(form, t.InputRequiredResult)
            (key,) = form.input_requests or {}
            again = await self.call(client, self.GIVEN, {key: self.ACCEPTED}, form.request_state)
            assert isinstance(again, t.CallToolResult)
            assert again.structured_content["answers"]["port"] == 7
        assert len(fake.created) == 1

    async def test_with_a_state_of_another_call_nothing_is_made_and_the_form_comes_again(self, tmp_path: Path) -> None:
        fake = FakeDynamo(tmp_path)
        async with join("http", "2026-07-28", tmp_path, fake=fake, elicitation_callback=Person()) as client:
            form = await self.call(client, self.GIVEN)
            assert isinstance(form, t.InputRequiredResult)
            answers: dict[str, Any] = dict.fromkeys(form.input_requests or {}, self.ACCEPTED)
            given = self.GIVEN | {"port": 1}
            again = await self.call(client, given, answers, form.request_state)
            assert isinstance(again, t.InputRequiredResult)
            assert self.message(again).startswith("What you answered can't be taken: ")
            assert self.message(again).endswith(self.message(form))
            assert fake.created == []
            made = await self.call(client, given, answers, again.request_state)
            assert isinstance(made, t.CallToolResult)
        assert len(fake.created) == 1

    async def test_a_state_of_another_caller_is_not_believed_and_the_form_comes_again(self, tmp_path: Path) -> None:
        fake = FakeDynamo(tmp_path)
        async with over_http(fake, authenticators=(ByScope(),)) as url, AsyncExitStack() as stack:
            one, other = [
                await stack.enter_async_context(called(url, "2026-07-28", name, "admin", elicitation_callback=Person()))
                for name in ("one", "other")
            ]
            form = await self.call(one, self.GIVEN)
            assert isinstance(form, t.InputRequiredResult)
            answers: dict[str, Any] = dict.fromkeys(form.input_requests or {}, self.ACCEPTED)
            again = await self.call(other, self.GIVEN, answers, form.request_state)
            assert isinstance(again, t.InputRequiredResult)
            assert fake.created == []
            assert isinstance(await self.call(one, self.GIVEN, answers, form.request_state), t.CallToolResult)

    async def test_a_state_that_was_changed_is_refused_and_nothing_is_made(self, tmp_path: Path) -> None:
        fake = FakeDynamo(tmp_path)
        async with join("http", "2026-07-28", tmp_path, fake=fake, elicitation_callback=Person()) as client:
            form = await self.call(client, self.GIVEN)
            assert isinstance(form, t.InputRequiredResult)
            assert form.request_state is not None
            answers: dict[str, Any] = dict.fromkeys(form.input_requests or {}, self.ACCEPTED)
            for state in (form.request_state[:-4] + "AAAA", form.request_state + "AAAA", "nonsense", ""):
                with pytest.raises(MCPError, match="Invalid or expired requestState") as refused:
                    await self.call(client, self.GIVEN, answers, state)
                assert refused.value.error.code == t.INVALID_PARAMS
        assert fake.created == []

    @pytest.mark.parametrize("same_home", [True, False])
    async def test_another_server_takes_the_answers_if_it_has_the_same_home_and_otherwise_refuses_the_state(
        self, tmp_path: Path, *, same_home: bool
    ) -> None:
        homes = (tmp_path / "one", tmp_path / ("one" if same_home else "other"))
        first, second = (FakeDynamo(tmp_path, home=home) for home in homes)
        async with join("http", "2026-07-28", tmp_path, fake=first, elicitation_callback=Person()) as client:
            form = await self.call(client, self.GIVEN)
        assert isinstance(form, t.InputRequiredResult)
        answers: dict[str, Any] = dict.fromkeys(form.input_requests or {}, self.ACCEPTED)
        async with join("http", "2026-07-28", tmp_path, fake=second, elicitation_callback=Person()) as client:
            if not same_home:
                with pytest.raises(MCPError, match="Invalid or expired requestState"):
                    await self.call(client, self.GIVEN, answers, form.request_state)
                assert second.created == []
                return
            result = await self.call(client, self.GIVEN, answers, form.request_state)
        assert isinstance(result, t.CallToolResult)
        assert result.structured_content["answers"]["port"] == 7

    async def test_answers_that_come_too_late_are_asked_for_again(self, tmp_path: Path) -> None:
        fake = FakeDynamo(tmp_path)
        fake.settings = msgspec.structs.replace(fake.settings, ask_seconds=1e-6)
        async with join("http", "2026-07-28", tmp_path, fake=fake, elicitation_callback=Person()) as client:
            form = await self.call(client, self.GIVEN)
            assert isinstance(form, t.InputRequiredResult)
            answers: dict[str, Any] = dict.fromkeys(form.input_requests or {}, self.ACCEPTED)
            again = await self.call(client, self.GIVEN, answers, form.request_state)
        assert isinstance(again, t.InputRequiredResult)
        assert "too old" in self.message(again)
        assert fake.created == []

    async def test_without_answers_or_state_or_after_the_template_changed_the_form_comes_again(
        self, tmp_path: Path
    ) -> None:
        fake = FakeDynamo(tmp_path)
        async with join("http", "2026-07-28", tmp_path, fake=fake, elicitation_callback=Person()) as client:
            form = await self.call(client, self.GIVEN)
            assert isinstance(form, t.InputRequiredResult)
            answers: dict[str, Any] = dict.fromkeys(form.input_requests or {}, self.ACCEPTED)
            assert isinstance(await self.call(client, self.GIVEN, None, form.request_state), t.InputRequiredResult)
            assert isinstance(await self.call(client, self.GIVEN, answers, None), t.InputRequiredResult)
            fake.register("alpha", variables=(await fake.get_template_variables("alpha"))[:4])
            changed = await self.call(client, self.GIVEN, answers, form.request_state)
            assert isinstance(changed, t.InputRequiredResult)
            assert "license" in json.dumps(form.model_dump())
            assert "license" not in json.dumps(changed.model_dump())
            assert "has changed since" in self.message(changed)
            assert "can't be taken" not in self.message(form)
        assert fake.created == []

    @staticmethod
    def message(form: t.InputRequiredResult) -> str:
        (request,) = (form.input_requests or {}).values()
        assert isinstance(request, t.ElicitRequest)
        return request.params.message

    @staticmethod
    async def call(
        client: Any, given: dict[str, Any], answers: dict[str, Any] | None = None, state: str | None = None
    ) -> t.CallToolResult | t.InputRequiredResult:
        result: t.CallToolResult | t.InputRequiredResult = await client.session.call_tool(
            "create_alpha", given, input_responses=answers, request_state=state, allow_input_required=True
        )
        return result
