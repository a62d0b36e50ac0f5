"""How is a registered template brought up to date? Fetched, compared, prepared; until it works, the old one stays."""

from __future__ import annotations

import anyio
import msgspec

from dynamo_mcp import catalogue, sources
from dynamo_mcp.changes import Difference, difference, look, look_back
from dynamo_mcp.environments import Environments
from dynamo_mcp.pinning import Target, check_pin, fetch_pinned
from dynamo_mcp.progress import Progress
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry
from dynamo_mcp.requirements import installed, normalise
from dynamo_mcp.sandbox.trust import lowered, raised
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
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

    async def update(
        self, name: str, progress: Progress, *, force: bool, to: Target | None = None
    ) -> tuple[Template, Template, Difference]:
        """Fetch a template again, or what it is to become, and use what came.

        Returns:
            The template as it was, as it is, and what is different.

        Raises:
            TemplateNotFound: It is not registered; the others are those of fetching and registering it.
        """
        async with self._registry.hold(name) as old:
            location = to.location if to else catalogue.relocate(old.location)
            await progress.begin("fetch", f"fetching `{sources.display(location)}`")
            pin = to.pin if to else None
            tree = await fetch_pinned(location, pin, store=self._store, settings=self._settings, progress=progress)
            new = msgspec.structs.replace(old, **sources.fetched(location, tree))
            try:
                check_pin(new, pin)
                new = await renewed(old, new, self._settings.trusted)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await self._registration.release(new)
                raise
            if to:
                new = _become(old, new, to, person=self._settings.person)
            moved = tree.digest != old.digest or new.named_requirements != old.named_requirements
            if force:
                await self._environments.rebuild(old.name, installed(old, old.trust), progress.detail)
            before = await look_back(old, self._schemas)
            new = await self._registration.complete(new, progress, prepare=moved or force)
            self._schemas.forget(old)
            told = difference(old, new, before, await look(new, self._schemas))
            await self._registration.release(old)
        return old, new, told


def _become(old: Template, new: Template, to: Target, *, person: bool) -> Template:
    """Return an updated template as somebody wants it to be; packages that no person names end a person's word."""
    named = normalise(to.requirements)
    if to.description is not None:
        new = msgspec.structs.replace(new, description=plain(to.description))
    if to.vouched and person:
        return msgspec.structs.replace(new, named_requirements=named, named_by_person=True)
    if named == old.named_requirements:
        return new
    new = msgspec.structs.replace(new, named_requirements=named, named_by_person=False)
    return lowered(new) if raised(new) else new
