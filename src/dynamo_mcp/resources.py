"""What can a client read about templates? `templates://list`, and two resources for each template."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mcp_types import Resource, ResourceTemplate, TextResourceContents

from dynamo_mcp.errors import InvalidName, TemplateNotFound
from dynamo_mcp.results import text_of
from dynamo_mcp.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dynamo_mcp.dynamo import Dynamo

LIST = "templates://list"
VARIABLES = "templates://{name}/variables"
INFO = "templates://{name}/info"

RESOURCE_TEMPLATES = (
    ResourceTemplate(
        uri_template=INFO,
        name="info",
        title="About a template",
        description="Everything known about one template: where it comes from, its revision, its variables, its trust",
        mime_type="application/json",
    ),
    ResourceTemplate(
        uri_template=VARIABLES,
        name="variables",
        title="A template's variables",
        description="The questions that one template asks, in its order",
        mime_type="application/json",
    ),
)

_OF_ONE = re.compile(r"templates://(?P<name>[^/?#]+)/(?P<what>info|variables)")
_DESCRIPTION = 300


async def resources(dynamo: Dynamo) -> list[Resource]:
    """Return everything that can be read: the list first, then two for each template, by name."""
    found = [
        Resource(
            uri=LIST,
            name="list",
            title="Registered templates",
            description="A summary of every registered template",
            mime_type="application/json",
        )
    ]
    for template in await dynamo.list_templates():
        for uri, title in ((INFO, f"About {template.name}"), (VARIABLES, f"Variables of {template.name}")):
            found.append(
                Resource(
                    uri=uri.format(name=template.name),
                    name=f"{template.name}/{uri.rpartition('/')[2]}",
                    title=title,
                    description=f"Of the template that its author describes as "
                    f"{quoted(template.description, _DESCRIPTION)}",
                    mime_type="application/json",
                )
            )
    return found


def order(resource: Resource) -> str:
    """Return what `resources` is sorted by."""
    return "" if resource.uri == LIST else resource.uri


async def read(dynamo: Dynamo, uri: str) -> TextResourceContents | None:
    """Return what is at a URI; None if there is nothing.

    Raises:
        DynamoError: It is there and can't be read.
    """
    match = _OF_ONE.fullmatch(uri)
    try:
        if uri == LIST:
            text = text_of(await dynamo.list_templates())
        elif match is None:
            return None
        elif match["what"] == "info":
            text = text_of(await dynamo.template_info(match["name"]))
        else:
            text = text_of(await dynamo.get_template_variables(match["name"]))
    except (TemplateNotFound, InvalidName):
        return None
    return TextResourceContents(uri=uri, text=text, mime_type="application/json")


async def complete(dynamo: Dynamo, uri: str, argument: str) -> list[str] | None:
    """Return what a resource template's argument may be; None if there is no such argument."""
    if uri not in {INFO, VARIABLES} or argument != "name":
        return None
    return [template.name for template in await dynamo.list_templates()]


def uris(templates: Iterable[str]) -> list[str]:
    """Return the URIs whose contents change with these templates."""
    return [LIST, *(uri.format(name=name) for name in sorted(templates) for uri in (INFO, VARIABLES))]
