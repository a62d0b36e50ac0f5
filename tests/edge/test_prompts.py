"""What a prompt of a template says, and what its arguments may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, TextContent

from dynamo_mcp.views import VariableInfo
from edge.joining import Era, in_both_eras, join
from fakes import FakeDynamo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@in_both_eras
async def test_each_template_has_a_prompt_that_asks_for_what_is_recommended(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        prompts = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in prompts] == ["create_alpha", "create_beta"]
    arguments = prompts[0].arguments or []
    assert [argument.name for argument in arguments] == ["project_name", "tests", "license"]
    assert not any(argument.required for argument in arguments)


@in_both_eras
async def test_a_prompt_names_the_tool_the_variables_and_what_was_answered(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        (message,) = (await client.get_prompt("create_alpha", {"project_name": 'My "thing"'})).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    text = message.content.text
    assert "with the tool `create_alpha`" in text
    assert '- "license" (choice, default "MIT"), one of "MIT", "BSD-3", "GPL": "Which licence?"' in text
    assert '- "tests" (boolean, default "true"): "With tests?"' in text
    assert 'It also has "slug", "docker", "port", "owner"' in text
    assert 'I have answered: {"project_name":"My \\"thing\\""}' in text


@in_both_eras
async def test_an_answer_to_no_question_is_refused_with_the_nearest_name(era: Era, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        with pytest.raises(MCPError, match='did you mean "license"') as refused:
            await client.get_prompt("create_alpha", {"licence": "MIT"})
        assert refused.value.code == -32602
        with pytest.raises(MCPError, match="read the template's variables"):
            await client.get_prompt("create_alpha", {"zzz": "MIT"})


@in_both_eras
@pytest.mark.parametrize(
    ("argument", "value", "values"),
    [("license", "", ["MIT", "BSD-3", "GPL"]), ("tests", "t", ["true"]), ("port", "", []), ("license", "x", [])],
)
async def test_choices_are_completed(era: Era, argument: str, value: str, values: list[str], tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        reference = PromptReference(type="ref/prompt", name="create_alpha")
        completed = await client.complete(reference, {"name": argument, "value": value})
        assert completed.completion.values == values
        assert completed.completion.total == len(values)


@in_both_eras
async def test_at_most_a_hundred_are_completed_those_that_begin_so_first_and_how_many_there_are_is_told(
    era: Era, tmp_path: Path
) -> None:
    fake = FakeDynamo(tmp_path)
    choices = [f"v{number:03}" for number in range(250)]
    odd = (*choices, "{{ cookiecutter.slug }}-v", "hidden\u202ev", "000v")
    fake.register(
        "many", variables=(VariableInfo("pick", "", choices[0], odd, required=False, type="choice", recommended=True),)
    )
    reference = PromptReference(type="ref/prompt", name="create_many")
    async with join("memory", era, tmp_path, fake=fake) as client:
        every = (await client.complete(reference, {"name": "pick", "value": "V"})).completion
        few = (await client.complete(reference, {"name": "pick", "value": "00"})).completion
    assert every.values == choices[:100]
    assert (every.total, every.has_more) == (251, True)
    assert few.values[0] == "000v"
    assert "v100" in few.values
    assert (few.total, few.has_more) == (len(few.values), False)


@in_both_eras
@pytest.mark.parametrize(("prompt", "argument"), [("create_alpha", "nothing"), ("create_nothing", "x"), ("alpha", "x")])
async def test_what_does_not_exist_can_not_be_completed(era: Era, prompt: str, argument: str, tmp_path: Path) -> None:
    async with join("memory", era, tmp_path) as client:
        with pytest.raises(MCPError) as refused:
            await client.complete(PromptReference(type="ref/prompt", name=prompt), {"name": argument, "value": ""})
        assert refused.value.code == -32602
