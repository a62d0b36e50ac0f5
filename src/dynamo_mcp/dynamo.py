"""What happens, in order? One readable recipe per operation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec

from dynamo_mcp import catalogue, sources
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import RendererFailed, TimedOut, UsageError
from dynamo_mcp.groups import Groups
from dynamo_mcp.inspection import Inspection
from dynamo_mcp.news import News
from dynamo_mcp.progress import STEPS_OF_ADD, STEPS_OF_CREATE, STEPS_OF_UPDATE, Progress, Sink, ignore
from dynamo_mcp.projects import Projects, Request
from dynamo_mcp.registration import Registration
from dynamo_mcp.registry import Registry, check_name
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.requirements import normalise
from dynamo_mcp.sandbox.trust import permit
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.slots import Slots
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.summaries import Summaries
from dynamo_mcp.text import plain
from dynamo_mcp.types import (
    CatalogueEntry,
    Checkout,
    Confinement,
    IfExists,
    Location,
    Project,
    Template,
    TemplateChange,
    TemplateInfo,
    Trust,
    VariableInfo,
)


@asynccontextmanager
async def open_dynamo(settings: Settings) -> AsyncIterator[Dynamo]:
    """Open a home and everything that serves it; on the way out nothing stays behind.

    Raises:
        StorageFailed: The home can't be used.
    """
    async with open_store(settings.home, lock_seconds=settings.lock_seconds) as store:
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            try:
                async with Renderers(settings, store) as renderers:
                    yield Dynamo(settings, store, renderers, Environments(settings, store, tasks))
            except Exception as error:  # noqa: BLE001 - kept out of the task group, which would wrap it, and raised below
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


class Dynamo:
    """Everything that one server or one command can do; `open_dynamo` makes it."""

    def __init__(self, settings: Settings, store: Store, renderers: Renderers, environments: Environments) -> None:
        """Use `open_dynamo` instead."""
        self.settings = settings
        self._store = store
        self._renderers = renderers
        self._environments = environments
        self._registry = Registry(store)
        self._schemas = SchemaCache()
        self._projects = Projects(settings, store, renderers)
        self._summaries = Summaries(self._schemas, self._environments)
        self._slots = Slots(settings.concurrent_creates, settings.lock_seconds)
        inspection = Inspection(settings, renderers, self._slots)
        self._registration = Registration(store, self._registry, environments, inspection)
        self._groups = Groups(
            settings,
            store,
            environments,
            renderers=renderers,
            registry=self._registry,
            schemas=self._schemas,
            registration=self._registration,
        )

    async def confinement(self) -> Confinement:
        """Return how well this machine can confine a template."""
        return await self._renderers.confinement()

    async def list_templates(self) -> tuple[TemplateInfo, ...]:
        """Return every registered template, sorted by name, as summaries."""
        confinement = await self.confinement()
        return tuple(self._summaries.of(template, confinement) for template in self._registry.all())

    async def template_info(self, template_name: str) -> TemplateInfo:
        """Return one template with its variables.

        Raises:
            TemplateNotFound: It is not registered.
        """
        template = self._registry.get(template_name)
        info = self._summaries.of(template, await self.confinement())
        variables = await self.get_template_variables(template_name) if info.problem is None else None
        return msgspec.structs.replace(info, variables_cache=variables)

    async def get_template_variables(self, template_name: str) -> tuple[VariableInfo, ...]:
        """Return what a template asks, in its order.

        Raises:
            TemplateNotFound: It is not registered.
            InvalidTemplate: Its `cookiecutter.json` can't be understood any more, and so is NotATemplate.
        """
        schema = self._schemas.get(self._registry.get(template_name))
        return tuple(variable.info() for variable in schema.variables)

    async def json_schema(self, template_name: str) -> dict[str, Any]:
        """Return the JSON Schema of a template's answers; raises as `get_template_variables`."""
        return self._schemas.get(self._registry.get(template_name)).json_schema()

    async def add_template(
        self,
        url: str,
        *,
        name: str | None = None,
        description: str | None = None,
        checkout: str | None = None,
        directory: str | None = None,
        live: bool = False,
        requirements: Iterable[str] = (),
        trust: Trust | None = None,
        sink: Sink = ignore,
    ) -> TemplateInfo:
        """Register a template, or all that a repository holds, and make its environment.

        Args:
            url: A location, or the name of an entry of the catalogue.
            name: What it will be called; derived from the location when None.
            description: What it makes; the catalogue's, or a plain sentence, when None.
            checkout: Branch, tag or commit.
            directory: The template's folder inside the repository.
            live: Use a local folder in place.
            requirements: Packages that it needs besides those that are found.
            trust: How much of it may run; only a person may say so.
            sink: Where progress goes.

        Raises:
            InvalidLocation: It can't be understood, or may not be used.
            NameTaken: There is a template of that name already; InvalidName if it can't be one.
            FetchFailed: It can't be fetched.
            NotATemplate: There is no `cookiecutter.json`; InvalidTemplate if it can't be understood.
            HookFailed: Its `pre_prompt` hook failed.
            MissingRequirement: It needs a package that nobody named.
            EnvironmentFailed: uv failed.
        """
        progress = Progress(STEPS_OF_ADD, sink)
        await progress.begin("resolve", f"resolving `{plain(url, 200)}`")
        entry, location = catalogue.locate(
            url, settings=self.settings, revision=checkout, directory=directory, live=live
        )
        name = check_name(name or (entry.name if entry else sources.default_name(location)))
        named = normalise(requirements)
        if named and location.bundled:
            raise UsageError(f"`{plain(url, 200)}` needs no `requirements`", hint="leave them out")
        trust = self._trust(trust) or "contained"
        async with self._registry.claim(name):
            await progress.begin("fetch", f"fetching `{plain(url, 200)}`")
            tree = await sources.fetch(location, store=self._store, settings=self.settings, progress=progress)
            template = Template(
                name,
                plain(description or (entry.description if entry else f"Projects from the template `{name}`")),
                location,
                path=_inside(tree, location),
                checkout=tree.path,
                digest=tree.digest,
                revision=tree.revision,
                last_updated=_now(),
                named_requirements=named,
                trust=trust,
                category=entry.category if entry else None,
                tags=entry.tags if entry else (),
            )
            # A repository may hold several templates, each of which is then registered as one of its own.
            group = await self._groups.add(template, progress)
            if group is None:
                await self._registration.complete(template, progress, prepare=True)
        return group or await self.template_info(name)

    async def update_template(self, template_name: str, *, force: bool = False, sink: Sink = ignore) -> TemplateChange:
        """Fetch a template again and use what came; when that fails, the old one stays as it was.

        Args:
            template_name: Which; or the name that all templates of a repository were added by.
            force: Prepare it anew even if nothing has changed.
            sink: Where progress goes.

        Raises:
            TemplateNotFound: It is not registered.
            FetchFailed: As in `add_template`, and so are the others.
        """
        progress = Progress(STEPS_OF_UPDATE, sink)
        await progress.begin("resolve", f"resolving `{template_name}`")
        if self._registry.group(template_name):
            return await self._groups.update(template_name, progress, force=force)
        async with self._registry.hold(template_name) as old:
            location = catalogue.relocate(old.location)
            await progress.begin("fetch", f"fetching `{sources.display(location)}`")
            tree = await sources.fetch(location, store=self._store, settings=self.settings, progress=progress)
            changed = tree.digest != old.digest
            new = msgspec.structs.replace(
                old,
                location=location,
                path=_inside(tree, location),
                checkout=tree.path,
                digest=tree.digest,
                revision=tree.revision,
                last_updated=_now(),
                # A raised trust is bound to what was looked at when it was given.
                trust="contained" if changed and old.trust == "full" else old.trust,
            )
            if force:
                await self._environments.rebuild(old.name, old.requirements)
            new = await self._registration.complete(new, progress, prepare=changed or force)
            self._schemas.forget(old)
            await self._registration.release(old)
        before, after = old.asked, new.asked
        return TemplateChange(
            await self.template_info(template_name),
            changed,
            from_revision=old.revision or old.digest,
            to_revision=new.revision or new.digest,
            variables_added=tuple(name for name in after if name not in before),
            variables_removed=tuple(name for name in before if name not in after),
            variables_changed=tuple(name for name in after if name in before and after[name] != before[name]),
        )

    async def remove_template(self, template_name: str) -> str:
        """Forget a template, or all of a repository by the name it was added by; the projects made from it stay.

        Returns:
            What was done, as a sentence.

        Raises:
            TemplateNotFound: It is not registered.
        """
        if self._registry.group(template_name):
            return await self._groups.remove(template_name)
        async with self._registry.hold(template_name) as template:
            self._registry.delete(template_name)
            self._schemas.forget(template)
            await self._registration.release(template)
        return f"Template `{template_name}` was removed; the projects made from it stay."

    async def discover_templates(self) -> tuple[CatalogueEntry, ...]:
        """Return the catalogue's templates that are not registered, sorted by name."""
        return catalogue.unregistered(self._registry.all())

    async def create_project(
        self,
        template_name: str,
        output_dir: str | None = None,
        variables: dict[str, Any] | None = None,
        *,
        if_exists: IfExists = "error",
        trust: Trust | None = None,
        sink: Sink = ignore,
    ) -> Project:
        """Create a project.

        Args:
            template_name: From which template.
            output_dir: The folder in which the project's folder is made; `outputs/` of the home when None.
            variables: Literal answers; what is left out takes its default.
            if_exists: What to do when the project's folder exists: fail, keep its files, or replace them.
            trust: How much of the template may run; only a person may say so.
            sink: Where progress goes.

        Raises:
            TemplateNotFound: It is not registered.
            InvalidAnswers: With all problems at once.
            OutputRefused: The folder may not be written; TargetExists if the project is there already.
            Refused: This machine can't confine the template.
            HookFailed: With the hook's output; RenderFailed where the template is at fault.
        """
        progress = Progress(STEPS_OF_CREATE, sink)
        await progress.begin("resolve", f"resolving `{template_name}`")
        template = self._registry.get(template_name)
        # From here on neither an update nor a removal takes away what this create reads.
        async with self._registration.using(template):
            permission = permit(template, self._trust(trust) or template.trust, await self.confinement())
            folder = self._projects.output_folder(output_dir)
            await progress.begin("check answers")
            schema = self._schemas.get(template, hooks=permission.trust != "inert")
            answers = schema.check(template.name, variables or {})
            async with self._slots.one():
                await progress.begin("prepare environment")
                environment = await self._environments.ensure(template.name, template.requirements)
                await progress.begin("start renderer", "waiting for a renderer")
                request = Request(template, environment, permission, answers, folder, if_exists)
                try:
                    return await self._create(request, progress)
                except RendererFailed:
                    if await self._environments.works(environment):
                        raise
                environment = await self._environments.rebuild(template.name, template.requirements)
                return await self._create(msgspec.structs.replace(request, environment=environment), progress)

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[frozenset[str]]]:
        """Tell the names of templates that appeared, changed or vanished, whoever did it."""
        return News(self._registry, self._store.home / "templates").open()

    async def _create(self, request: Request, progress: Progress) -> Project:
        try:
            with anyio.fail_after(self.settings.create_seconds):
                return await self._projects.create(request, progress)
        except TimeoutError as error:
            raise TimedOut(
                f"Creating a project from `{request.template.name}` took more than {self.settings.create_seconds:g} "
                "seconds and was ended; nothing of it was left",
                hint="mend a hook that never ends, or allow more seconds with `DYNAMO_MCP_CREATE_SECONDS`",
            ) from error

    def _trust(self, wanted: Trust | None) -> Trust | None:
        if wanted is not None and not self.settings.person:
            raise UsageError("Only a person can say how much of a template may run", hint="use the shell: `--trust`")
        return wanted


def _inside(tree: Checkout, location: Location) -> Path:
    return tree.path / location.directory if location.directory else tree.path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
