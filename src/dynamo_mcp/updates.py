"""How is a registered template brought up to date? Fetched, compared, prepared; until it works, the old one stays."""

from __future__ import annotations

import msgspec

from dynamo_mcp import catalogue, sources
from dynamo_mcp.changes import Difference, difference, look, look_back
from dynamo_mcp.environments import Environments
from dynamo_mcp.progress import Progress
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry
from dynamo_mcp.requirements import installed
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.types import Template
from dynamo_mcp.vouching import renewed


class Updates:
    """Updates single templates of one home."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        registry: Registry,
        schemas: SchemaCache,
        environments: Environments,
        registration: Registration,
    ) -> None:
        """Take what keeps templates."""
        self._settings = settings
        self._store = store
        self._registry = registry
        self._schemas = schemas
        self._environments = environments
        self._registration = registration

    async def update(self, name: str, progress: Progress, *, force: bool) -> tuple[Template, Template, Difference]:
        """Fetch a template again and use what came.

        Returns:
            The template as it was, as it is, and what is different.

        Raises:
            TemplateNotFound: It is not registered; the others are those of fetching and registering it.
        """
        async with self._registry.hold(name) as old:
            location = catalogue.relocate(old.location)
            await progress.begin("fetch", f"fetching `{sources.display(location)}`")
            tree = await sources.fetch(location, store=self._store, settings=self._settings, progress=progress)
            moved = tree.digest != old.digest
            new = msgspec.structs.replace(old, **sources.fetched(location, tree))
            new = await renewed(old, new, self._settings.trusted)
            if force:
                await self._environments.rebuild(old.name, installed(old, old.trust))
            before = await look_back(old, self._schemas)
            new = await self._registration.complete(new, progress, prepare=moved or force)
            self._schemas.forget(old)
            told = difference(old, new, before, await look(new, self._schemas))
            await self._registration.release(old)
        return old, new, told
