"""How is a template forgotten? Its record goes at once, and what it rests on when nobody uses that any more."""

from __future__ import annotations

from dynamo_mcp.errors import Refused
from dynamo_mcp.groups import Groups
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.summaries import Summaries
from dynamo_mcp.text import plain
from dynamo_mcp.trusting import Trusting


class Removals:
    """Removes templates of one home."""

    def __init__(
        self,
        settings: Settings,
        *,
        registry: Registry,
        schemas: SchemaCache,
        summaries: Summaries,
        registration: Registration,
        groups: Groups,
        trusting: Trusting,
    ) -> None:
        """Take what keeps templates."""
        self._settings = settings
        self._registry = registry
        self._schemas = schemas
        self._summaries = summaries
        self._registration = registration
        self._groups = groups
        self._trusting = trusting

    async def remove(self, name: str) -> str:
        """Forget a template, or all of a repository, or a record that can't be read.

        Returns:
            What was done, as a sentence.

        Raises:
            TemplateNotFound: There is none.
            Refused: A program would undo what a person has said, or may have.
        """
        if self._registry.group(name):
            return await self._groups.remove(name)
        if self._registry.is_damaged(name):
            return await self._remove_damaged(name)
        async with self._registry.hold(name) as template:
            self._trusting.check_removal([template])
            self._registry.delete(name)
            self._schemas.forget(template)
            self._summaries.forget(name)
            await self._registration.release(template)
        return f"Template `{name}` was removed; the projects made from it stay."

    async def _remove_damaged(self, name: str) -> str:
        shown = plain(name)
        if not self._settings.person:
            raise Refused(
                f"The record of the template `{shown}` can't be read; maybe a person lets it run nothing",
                hint=f"a person can remove it in a shell: `dynamo-mcp remove {shown}`",
            )
        async with self._registry.hold_damaged(name):
            self._registry.delete(name)
        return f"The record of `{shown}`, which could not be read, was removed; the projects made from it stay."
