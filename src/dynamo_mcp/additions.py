"""How is a template added? Located, fetched, decided how much of it may run, and registered."""

from __future__ import annotations

import anyio
import msgspec

from dynamo_mcp import sources
from dynamo_mcp.catalogue_form import is_remote
from dynamo_mcp.catalogue_views import CatalogueEntry
from dynamo_mcp.errors import UsageError
from dynamo_mcp.finding import Finding
from dynamo_mcp.groups import Groups
from dynamo_mcp.pinning import check_pin, fetch_pinned
from dynamo_mcp.progress import Progress
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry, check_name
from dynamo_mcp.requirements import normalise
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.trusting import Trusting
from dynamo_mcp.types import Template, Trust
from dynamo_mcp.views import TemplateInfo

_SHOWN = 200


class Addition(msgspec.Struct, frozen=True):
    """What is to be added: the arguments of `Dynamo.add_template`."""

    url: str
    name: str | None
    description: str | None
    checkout: str | None
    directory: str | None
    live: bool
    requirements: tuple[str, ...]
    trust: Trust | None
    grants: tuple[str, ...]
    pin: str | None
    vouched: bool


class Additions:
    """Adds templates to one home."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        registry: Registry,
        registration: Registration,
        groups: Groups,
        trusting: Trusting,
        finding: Finding,
    ) -> None:
        """Take what keeps templates."""
        self._settings = settings
        self._store = store
        self._registry = registry
        self._registration = registration
        self._groups = groups
        self._trusting = trusting
        self._finding = finding

    async def add(self, wanted: Addition, progress: Progress) -> str | TemplateInfo:
        """Add a template, or all that a repository holds.

        Returns:
            The name of the one, or what is told of the whole; raises as `Dynamo.add_template`.
        """
        shown = plain(wanted.url, _SHOWN)
        await progress.begin("resolve", f"resolving `{shown}`")
        entry, location, allowed = await self._finding.locate(
            wanted.url, revision=wanted.checkout, directory=wanted.directory, live=wanted.live
        )
        name = check_name(wanted.name or (entry.name if entry else sources.default_name(location)))
        named = normalise(wanted.requirements)
        if named and location.bundled:
            raise UsageError(f"`{shown}` needs no `requirements`", hint="leave them out")
        word = self._trusting.word(wanted.trust, wanted.grants)
        if entry is not None:
            _check_word(entry, word)
        async with self._registry.claim(name):
            await progress.begin("fetch", f"fetching `{shown}`")
            tree = await fetch_pinned(location, wanted.pin, store=self._store, settings=allowed, progress=progress)
            said = self._trusting.of_added(location, word, tree, vouched=wanted.vouched)
            template = Template(
                name,
                plain(wanted.description or (entry.description if entry else f"Projects from the template `{name}`")),
                **sources.fetched(location, tree),
                named_requirements=named,
                named_by_person=self._settings.person and wanted.vouched,
                trust=said.trust,
                grants=said.grants,
                trusted_for=said.trusted_for,
                category=entry.category if entry else None,
                tags=entry.tags if entry else (),
            )
            try:
                check_pin(template, wanted.pin)
            except BaseException:  # nothing names the checkout yet
                with anyio.CancelScope(shield=True):
                    await self._registration.release(template)
                raise
            # A repository may hold several templates, each of which is then registered as one of its own.
            group = await self._groups.add(template, progress)
            if group is None:
                await self._registration.complete(template, progress, prepare=True)
        return group or name


def _check_word(entry: CatalogueEntry, word: tuple[Trust | None, tuple[str, ...]]) -> None:
    """Let nobody trust what a stranger's catalogue says: it may say otherwise than when it was looked at.

    Raises:
        UsageError: More is to run than of every template.
    """
    trust, grants = word
    if is_remote(entry.catalogue) and (trust == "full" or grants):
        raise UsageError(
            f"`{entry.name}` is wherever `{entry.catalogue}` says, which may be elsewhere since you looked",
            hint=f"say trust and grants of the place itself; it says `{entry.location}` now",
        )
