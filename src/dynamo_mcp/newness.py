"""Is there another revision of a template by now? Asked for many at once, each by itself, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec

from dynamo_mcp import catalogue
from dynamo_mcp.errors import DynamoError, TimedOut
from dynamo_mcp.registry import Registry
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.newer import revision_there
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Location, Template
from dynamo_mcp.views import Newer, TemplateInfo

TOGETHER = 16
"""Places that are asked at once."""
SECONDS = 30.0
"""Seconds that one place may take to answer, where fetching from it may not take less."""
UNKNOWN = "that can't be known without a download: `update_template` downloads and compares"
OFFLINE = "nobody is asked offline"


class Newness:
    """Checks the templates of one home."""

    def __init__(self, settings: Settings, store: Store, registry: Registry) -> None:
        """Take what knows the templates."""
        self._settings = settings
        self._store = store
        self._registry = registry

    async def of(self, infos: Sequence[TemplateInfo]) -> tuple[TemplateInfo, ...]:
        """Return what is told of templates, and of each whether there is another revision; one that fails says so.

        Args:
            infos: Of templates, or of repositories of several as a whole.
        """
        recorded = {template.name: template for template in self._registry.all()}
        known = {info.name: self._recorded(info.name, recorded) for info in infos}
        places = {_place(template) for template in known.values() if template is not None}
        found: dict[Location, str | DynamoError | None] = {}
        limiter = anyio.CapacityLimiter(TOGETHER)

        async def ask(place: Location) -> None:
            async with limiter:
                found[place] = await self._ask(place)

        async with anyio.create_task_group() as tasks:
            for place in places:
                tasks.start_soon(ask, place)
        return tuple(
            msgspec.structs.replace(info, newer=self._compared(template, found[_place(template)])) if template else info
            for info in infos
            for template in [known[info.name]]
        )

    def _recorded(self, name: str, recorded: dict[str, Template]) -> Template | None:
        """Return a template, or of a repository of several the one that was fetched last."""
        members = self._registry.group(name)
        return max(members, key=lambda each: each.last_updated) if members else recorded.get(name)

    async def _ask(self, place: Location) -> str | DynamoError | None:
        seconds = min(self._settings.fetch_seconds, SECONDS)
        try:
            with anyio.fail_after(seconds):
                return await revision_there(place, store=self._store, settings=self._settings)
        except TimeoutError:
            return TimedOut(f"It did not answer within {seconds:g} seconds", hint="try again later")
        except DynamoError as error:
            return error

    def _compared(self, template: Template, there: str | DynamoError | None) -> Newer:
        if isinstance(there, DynamoError):
            return Newer("failed", None, plain(there.message))
        if there is None:
            return Newer("unknown", None, OFFLINE if self._settings.offline else UNKNOWN)
        if _is_elsewhere(template):
            return _by_validator(template.validator, there)
        pinned = (template.revision if template.location.kind != "local" else None) or template.digest
        if there == pinned or (template.location.kind == "git" and pinned.startswith(there)):
            return Newer("current", pinned)
        return Newer("newer", there)


def _place(template: Template) -> Location:
    """Return what is asked about a template; those of one repository ask the same."""
    return msgspec.structs.replace(catalogue.relocate(template.location), directory=None)


def _is_elsewhere(template: Template) -> bool:
    return template.location.kind == "archive" and not template.location.address.startswith("/")


def _by_validator(kept: str, there: str) -> Newer:
    """Compare what a host called the version that was fetched with what it calls the one that is there."""
    header = kept.partition(":")[0]
    if not kept or header != there.partition(":")[0]:
        return Newer("unknown", None, UNKNOWN)
    return Newer("current") if kept == there else Newer("newer", None, f"its host tells another `{header}`")
