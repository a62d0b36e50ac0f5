{% from "literals.jinja" import python %}
"""What does the server offer to a model?"""

import json
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from {{ cookiecutter.package_name }}.notes import NameTakenError, NoNoteError, Note, Notes

Name = Annotated[
    str,
    Field(
        description="Lower-case letters, digits and hyphens, such as `shopping-list`",
        pattern="^[a-z0-9][a-z0-9-]*$",
        max_length=60,
    ),
]
Text = Annotated[str, Field(description="What to remember, in Markdown", min_length=1)]


def build_server(notes: Notes) -> MCPServer:
    """Returns a server for these notes, ready to run on any transport."""
    server = MCPServer(
        name="{{ cookiecutter.project_slug }}",
        title={{ python(cookiecutter.project_name) }},
        instructions=files(__package__).joinpath("instructions.md").read_text("utf-8").strip(),
        version=version("{{ cookiecutter.project_slug }}"),
    )

    @server.tool(
        title="Add a note",
        annotations=ToolAnnotations(
            destructive_hint=False, idempotent_hint=False, open_world_hint=False
        ),
    )
    def add_note(name: Name, text: Text) -> Note:
        """Keeps a note under a new name."""
        try:
            return notes.add(name, text)
        except NameTakenError:
            message = f"there is a note named `{name}` already; choose another name"
            raise ToolError(message) from None

    @server.resource("notes://names", title="Names", mime_type="application/json")
    def names() -> str:
        """The names of all notes, as a JSON array."""
        return json.dumps(notes.names())

    @server.resource("note://{name}", title="Note", mime_type="text/markdown")
    def note(name: str) -> str:
        """One note by its name."""
        try:
            return notes.get(name).text
        except NoNoteError:
            message = f"there is no note named `{name}`"
            raise ResourceNotFoundError(message) from None

    @server.prompt(title="Review the notes")
    def review_notes(question: str) -> str:
        """Asks a question about all the notes at once."""
        kept = [notes.get(name) for name in notes.names()]
        texts = "\n\n".join(f"# {note.name}\n\n{note.text}" for note in kept)
        return f"These are my notes:\n\n{texts or '(none yet)'}\n\n{question}"

    return server
