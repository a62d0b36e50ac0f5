"""Which part of an open home gets which others, and in what order do they end?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp import background, catalogue, defaults
from dynamo_mcp.additions import Additions
from dynamo_mcp.attempts import Attempts
from dynamo_mcp.catalogues import Catalogues
from dynamo_mcp.confining import Confining
from dynamo_mcp.defaults import Defaults
from dynamo_mcp.environments import Environments
from dynamo_mcp.examples import Examples
from dynamo_mcp.finding import Finding
from dynamo_mcp.groups import Groups
from dynamo_mcp.inspection import Inspection
from dynamo_mcp.newness import Newness
from dynamo_mcp.previews import Previews
from dynamo_mcp.projects import Projects
from dynamo_mcp.reclaiming import Reclaiming
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry
from dynamo_mcp.removals import Removals
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.sandbox import cgroup, stuck, user
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.slots import Slots
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.summaries import Summaries
from dynamo_mcp.task_records import TaskRecords
from dynamo_mcp.trusting import Trusting
from dynamo_mcp.turns import Turns
from dynamo_mcp.updates import Updates
from dynamo_mcp.values import Values
from dynamo_mcp.views import Load
from dynamo_mcp.warming import warm


class Parts(msgspec.Struct, frozen=True):
    """Everything that serves one open home."""

    settings: Settings
    store: Store
    registry: Registry
    schemas: SchemaCache
    defaults: Defaults
    environments: Environments
    confining: Confining
    renderers: Renderers
    registration: Registration
    additions: Additions
    removals: Removals
    groups: Groups
    updates: Updates
    trusting: Trusting
    summaries: Summaries
    finding: Finding
    turns: Turns
    projects: Projects
    previews: Previews
    values: Values
    reclaiming: Reclaiming
    newness: Newness
    slots: Slots
    task_records: TaskRecords

    def load(self) -> Load:
        """Tell how much is being done at the moment, and how often what was asked for was there."""
        idle, busy, coming = self.renderers.counts
        return Load(
            working=self.slots.working,
            waiting=self.slots.waiting,
            renderers={"idle": idle, "busy": busy, "coming": coming},
            environments={"hit": self.environments.hits, "miss": self.environments.misses},
            schemas={"hit": self.schemas.hits, "miss": self.schemas.misses},
        )


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open a home and everything that serves it; on the way out nothing stays behind.

    Raises:
        StorageFailed: The home can't be used.
        UsageError: The operator's cookiecutter configuration can't be understood.
    """
    async with open_store(settings.home, lock_seconds=settings.lock_seconds) as store:
        await cgroup.sweep(store.home, cgroup.place())
        if settings.serves:
            await anyio.to_thread.run_sync(stuck.sweep, store.home / "scratch")
        if user.available():
            await user.sweep(settings.python)
        confining = Confining(settings)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            environments = Environments(settings, store, tasks)
            if settings.serves:
                background.start(tasks, "keeping spare environments", environments.keep_spares)
            try:
                registry = Registry(store, settings.templates)
                renderers = Renderers(settings, store, confining, tasks, recorded=registry.find)
                catalogues = Catalogues(settings, store, tasks, bundled=catalogue.entries())
                parts = _compose(
                    settings,
                    store,
                    registry,
                    confining=confining,
                    renderers=renderers,
                    environments=environments,
                    catalogues=catalogues,
                )
                if settings.serves:
                    background.start(tasks, "warming", warm, registry, environments, confining, renderers)
                    background.start(tasks, "reclaiming", parts.reclaiming.watch)
                    background.start(tasks, "reading catalogues", catalogues.known)
                yield parts
            except Exception as error:  # noqa: BLE001 - kept out of the task group, which would wrap it, and raised below
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _compose(
    settings: Settings,
    store: Store,
    registry: Registry,
    *,
    confining: Confining,
    renderers: Renderers,
    environments: Environments,
    catalogues: Catalogues,
) -> Parts:
    schemas = SchemaCache()
    given = defaults.read(settings.user_config, settings.answer_characters, settings.total_answer_characters)
    summaries = Summaries(schemas, environments, settings)
    slots = Slots(settings.concurrent_creates, settings.queued_creates, settings.lock_seconds)
    trusting = Trusting(settings, store, registry, confining)
    attempts = Attempts(settings, slots, environments)
    registration = Registration(
        store,
        registry,
        environments,
        inspection=Inspection(confining, renderers, attempts),
        examples=Examples(
            settings,
            slots,
            schemas=schemas,
            defaults=given,
            environments=environments,
            confining=confining,
            renderers=renderers,
        ),
        compute_seconds=settings.create_seconds,
    )
    finding = Finding(settings, registry, schemas, catalogues=catalogues)
    groups = Groups(
        settings,
        store,
        environments,
        confining=confining,
        registry=registry,
        schemas=schemas,
        summaries=summaries,
        registration=registration,
        trusting=trusting,
    )
    return Parts(
        settings,
        store,
        registry,
        schemas,
        given,
        environments,
        confining,
        renderers,
        registration,
        additions=Additions(
            settings,
            store,
            registry=registry,
            registration=registration,
            groups=groups,
            trusting=trusting,
            finding=finding,
        ),
        removals=Removals(
            settings,
            registry=registry,
            schemas=schemas,
            summaries=summaries,
            registration=registration,
            groups=groups,
            trusting=trusting,
        ),
        groups=groups,
        updates=Updates(
            settings,
            store,
            registry=registry,
            schemas=schemas,
            environments=environments,
            registration=registration,
        ),
        trusting=trusting,
        summaries=summaries,
        finding=finding,
        turns=Turns(
            settings,
            attempts,
            registration=registration,
            schemas=schemas,
            defaults=given,
            confining=confining,
            trusting=trusting,
        ),
        projects=Projects(settings, store, renderers),
        previews=Previews(settings, store, renderers),
        values=Values(renderers),
        reclaiming=Reclaiming(settings, store, registry=registry, environments=environments, registration=registration),
        newness=Newness(settings, store, registry),
        slots=slots,
        task_records=TaskRecords(store),
    )
