from collections.abc import AsyncIterator

import pytest
from mcp import Client, MCPError
from mcp.types import TextContent, TextResourceContents

from {{ cookiecutter.package_name }} import Notes, build_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["auto", "legacy"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of today's protocol, and one from before it, in this very process."""
    async with Client(build_server(Notes()), mode=request.param) as client:
        yield client


async def text_of(client: Client, uri: str) -> str:
    """Reads a resource that is one text."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    return contents.text


async def test_introduces_itself(client: Client) -> None:
    assert client.server_info is not None
    assert client.server_info.name == "{{ cookiecutter.project_slug }}"
    assert client.instructions


async def test_offers_its_tool_resources_and_prompt(client: Client) -> None:
    tools = (await client.list_tools()).tools
    resources = (await client.list_resources()).resources
    templates = (await client.list_resource_templates()).resource_templates
    prompts = (await client.list_prompts()).prompts
    assert [tool.name for tool in tools] == ["add_note"]
    assert [resource.uri for resource in resources] == ["notes://names"]
    assert [template.uri_template for template in templates] == ["note://{name}"]
    assert [prompt.name for prompt in prompts] == ["review_notes"]


async def test_a_note_can_be_read_once_it_is_added(client: Client) -> None:
    added = await client.call_tool("add_note", {"name": "tea", "text": "Three minutes"})
    assert added.structured_content == {"name": "tea", "text": "Three minutes"}
    assert await text_of(client, "note://tea") == "Three minutes"
    assert await text_of(client, "notes://names") == '["tea"]'


async def test_a_taken_name_is_refused_in_words_for_the_model(client: Client) -> None:
    await client.call_tool("add_note", {"name": "tea", "text": "Three minutes"})
    refused = await client.call_tool("add_note", {"name": "tea", "text": "Five"})
    assert refused.is_error
    assert isinstance(refused.content[0], TextContent)
    assert "choose another name" in refused.content[0].text
    assert await text_of(client, "note://tea") == "Three minutes"


async def test_a_name_with_spaces_is_refused(client: Client) -> None:
    refused = await client.call_tool("add_note", {"name": "My tea", "text": "Hot"})
    assert refused.is_error


async def test_an_unknown_note_is_not_found(client: Client) -> None:
    with pytest.raises(MCPError, match="no note named `coffee`"):
        await client.read_resource("note://coffee")


async def test_the_prompt_holds_every_note_and_the_question(client: Client) -> None:
    await client.call_tool("add_note", {"name": "tea", "text": "Three minutes"})
    prompt = await client.get_prompt("review_notes", {"question": "How long?"})
    assert isinstance(prompt.messages[0].content, TextContent)
    assert "# tea\n\nThree minutes" in prompt.messages[0].content.text
    assert prompt.messages[0].content.text.endswith("How long?")
