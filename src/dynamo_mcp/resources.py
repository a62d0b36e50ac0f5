"""What can a client read about templates? Lists of all, those of a category or that fit, and two for each template."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from mcp_types import Resource, ResourceTemplate, TextResourceContents

from dynamo_mcp.errors import DynamoError
from dynamo_mcp.results import text_of
from dynamo_mcp.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dynamo_mcp.dynamo import Dynamo

LIST = "templates://list"
VARIABLES = "templates://{name}/variables"
INFO = "templates://{name}/info"
CATEGORIES = "templates://categories"
CATEGORY = "templates://category/{category}"
SEARCH = "templates://search/{query}"

RESOURCE_TEMPLATES = (
    ResourceTemplate(
        uri_template=CATEGORY,
        name="category",
        title="Templates of a category",
        description="The registered templates of one category, and the catalogue's, each with whether it is registered",
        mime_type="application/json",
    ),
    ResourceTemplate(
        uri_template=SEARCH,
        name="search",
        title="Templates that fit some words",
        description="The ten templates that fit some words best, registered or not, each with what of it fits",
        mime_type="application/json",
    ),
    ResourceTemplate(
        uri_template=INFO,
        name="info",
        title="About a template",
        description="Everything known about one template: where it comes from, its revision, its variables, its trust; "
        "or which templates a repository of several holds, by the name that it was added by. With `?check=true` behind "
        "it, also whether another revision is there where it comes from",
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

_OF_ONE = re.compile(r"templates://(?P<name>[^/?#]+)/(?P<what>info|variables|info\?check=true)")
_OF_CATEGORY = re.compile(r"templates://category/(?P<category>[^/?#]+)")
_OF_SEARCH = re.compile(r"templates://search/(?P<query>[^/?#]+)")
_DESCRIPTION = 300


async def resources(dynamo: Dynamo) -> list[Resource]:
    """Return everything that can be read, in the order of `order`: the lists first, then two for each template."""
    found = [
        _resource(LIST, "list", "Registered templates", "A summary of every registered template"),
        _resource(
            CATEGORIES,
            "categories",
            "Categories of templates",
            "Every category, with how many templates of it are registered and how many more could be added",
        ),
    ]
    for template in await dynamo.list_templates():
        said = f"Of the template that its author describes as {quoted(template.description, _DESCRIPTION)}"
        for uri, title in ((INFO, f"About {template.name}"), (VARIABLES, f"Variables of {template.name}")):
            name = f"{template.name}/{uri.rpartition('/')[2]}"
            found.append(_resource(uri.format(name=template.name), name, title, said))
    return found


def order(resource: Resource) -> str:
    """Return what `resources` is sorted by."""
    first = (LIST, CATEGORIES)
    return str(first.index(resource.uri)) if resource.uri in first else resource.uri


async def read(dynamo: Dynamo, uri: str) -> TextResourceContents | None:
    """Return what is at a URI; None if no resource has such a URI.

    Raises:
        NotFound: There is no such template or category, and InvalidName likewise.
        UsageError: A query says nothing.
        DynamoError: It is there and can't be read.
    """
    value: object
    if uri == LIST:
        value = await dynamo.list_templates()
    elif uri == CATEGORIES:
        value = await dynamo.categories()
    # A template may be called `category` or `search`; no category is called `info` or `variables`, a query may be.
    elif (one := _OF_ONE.fullmatch(uri)) and (one["name"] != "search" or await _is_registered(dynamo, "search")):
        if one["what"] == "variables":
            value = await dynamo.get_template_variables(one["name"])
        else:
            value = await dynamo.template_info(one["name"])
            if one["what"] != "info":
                (value,) = await dynamo.check_templates([value])
    elif category := _OF_CATEGORY.fullmatch(uri):
        value = await dynamo.category(unquote(category["category"]))
    elif search := _OF_SEARCH.fullmatch(uri):
        value = await dynamo.search_templates(unquote(search["query"]))
    else:
        return None
    return TextResourceContents(uri=uri, text=text_of(value), mime_type="application/json")


async def complete(dynamo: Dynamo, uri: str, argument: str) -> list[str] | None:
    """Return what a resource template's argument may be; None if there is no such argument."""
    match uri, argument:
        case ("templates://category/{category}", "category"):
            return [category.name for category in await dynamo.categories()]
        case ("templates://{name}/info", "name"):
            templates = await dynamo.list_templates()
            return sorted({name for template in templates for name in (template.name, template.group) if name})
        case ("templates://{name}/variables", "name"):
            return [template.name for template in await dynamo.list_templates()]
        case _:
            return None


async def uris(dynamo: Dynamo, templates: Iterable[str]) -> list[str]:
    """Return the URIs whose contents may change with these templates."""
    names = sorted(templates)
    # What a template that is gone came with is known by its own name alone.
    groups = {
        ".".join(words[:count]) for name in names for words in [name.split(".")] for count in range(1, len(words))
    }
    changed = [LIST, CATEGORIES]
    with suppress(DynamoError):  # the records can't be read for now
        changed += [CATEGORY.format(category=quote(category.name)) for category in await dynamo.categories()]
        groups |= {each.group for each in await dynamo.list_templates() if each.name in names and each.group}
    changed += [INFO.format(name=name) for name in sorted({*names, *groups})]
    return [*changed, *(VARIABLES.format(name=name) for name in names)]


async def _is_registered(dynamo: Dynamo, name: str) -> bool:
    return any(template.name == name for template in await dynamo.list_templates())


def _resource(uri: str, name: str, title: str, description: str) -> Resource:
    return Resource(uri=uri, name=name, title=title, description=description, mime_type="application/json")
