"""Which renderer will be needed first? It is started before anybody asks, or while the machine is still probed."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from dynamo_mcp.confining import Confining
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.registry import Registry
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.sandbox.trust import Permission, permit
from dynamo_mcp.types import Template


async def warm(registry: Registry, environments: Environments, confining: Confining, renderers: Renderers) -> None:
    """Have it started; what stands in its way is told when a project is created."""
    with suppress(DynamoError):
        plain = environments.plain()
        templates = registry.all() if plain else ()
        found: dict[Permission, list[Template]] = {}
        for template in templates:
            with suppress(DynamoError):
                permission = await confining.permitted(partial(permit, template, template.trust))
                found.setdefault(permission, []).append(template)
        if plain and found:
            permission, fitting = max(found.items(), key=lambda each: len(each[1]))
            await renderers.ahead(fitting[0], plain, permission)


def expect(name: str, registry: Registry, environments: Environments, renderers: Renderers) -> None:
    """Have one started that a template will likely need; what stands in its way is told when that is asked for."""
    with suppress(DynamoError):
        if plain := environments.plain():
            renderers.likely(registry.get(name), plain)
