"""What happens, in order? One readable recipe per operation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp import changes, scripts, warming
from dynamo_mcp.additions import Addition
from dynamo_mcp.catalogue_views import CatalogueEntry, Category, CategoryInfo, Found
from dynamo_mcp.errors import TemplateBroken
from dynamo_mcp.manifest import Manifest, manifest_of
from dynamo_mcp.news import News
from dynamo_mcp.parts import Parts, open_parts
from dynamo_mcp.pinning import Target
from dynamo_mcp.previews import Look
from dynamo_mcp.progress import (
    STEPS_OF_ADD,
    STEPS_OF_CREATE,
    STEPS_OF_PREVIEW,
    STEPS_OF_RESOLVE,
    STEPS_OF_UPDATE,
    Progress,
    Sink,
    ignore,
)
from dynamo_mcp.project_views import Preview, Project
from dynamo_mcp.settings import Settings
from dynamo_mcp.turns import Wanted
from dynamo_mcp.types import Confinement, IfExists, Trust
from dynamo_mcp.views import Load, Reclaimed, TemplateChange, TemplateInfo, TrustInfo, VariableInfo
from dynamo_mcp.vouching import dropped


@asynccontextmanager
async def open_dynamo(settings: Settings) -> AsyncIterator[Dynamo]:
    """Open a home and everything that serves it; on the way out nothing stays behind.

    Raises:
        StorageFailed: The home can't be used.
        UsageError: The operator's cookiecutter configuration can't be understood.
    """
    async with open_parts(settings) as parts:
        yield Dynamo(parts)


class Dynamo:
    """Everything that one server or one command can do; `open_dynamo` makes it."""

    def __init__(self, parts: Parts) -> None:
        """Use `open_dynamo` instead."""
        self.settings = parts.settings
        self.task_records = parts.task_records
        self._parts = parts

    async def confinement(self) -> Confinement:
        """Return how well this machine can confine a template."""
        return await self._parts.confining.confinement()

    async def list_templates(self) -> tuple[TemplateInfo, ...]:
        """Return every registered template, sorted by name, as summaries; the same tuple while nothing has changed."""
        return await self._parts.summaries.all(self._parts.registry.all(), await self.confinement())

    async def template_info(self, template_name: str) -> TemplateInfo:
        """Return one template with its variables, or a repository of several as a whole; raises TemplateNotFound."""
        if members := self._parts.registry.group(template_name):
            return await self._parts.groups.info(template_name, members)
        template = self._parts.registry.get(template_name)
        info = await self._parts.summaries.one(template, await self.confinement())
        try:
            variables = await self.get_template_variables(template_name)
        except TemplateBroken:
            return info  # which says what is wrong
        return msgspec.structs.replace(info, variables_cache=variables)

    async def check_templates(self, told: Sequence[TemplateInfo]) -> tuple[TemplateInfo, ...]:
        """Return the same, and of each whether another revision is there by now; nothing is fetched, nothing raised."""
        return await self._parts.newness.of(told)

    async def get_template_variables(
        self,
        template_name: str,
        answers: dict[str, Any] | None = None,
        *,
        trust: Trust | None = None,
        sink: Sink = ignore,
    ) -> tuple[VariableInfo, ...]:
        """Return what a template asks, in its order.

        Args:
            template_name: Which template.
            answers: Literal answers, from which the value of every variable is computed; None computes nothing.
            trust: How much of the template may run to compute them; only a person may say so.
            sink: Where progress goes.

        Raises:
            TemplateNotFound: It is not registered.
            InvalidTemplate: Its `cookiecutter.json` can't be understood any more, and so is NotATemplate.
            InvalidAnswers: With all problems at once; further ones of computing are those of `create_project`.
        """
        template = self._parts.registry.get(template_name)
        if answers is None:
            schema = await self._parts.schemas.ready(template)
            return self._parts.defaults.show(schema, tuple(variable.info() for variable in schema.variables))
        wanted = Wanted(template, answers, self._parts.trusting.word(trust)[0])
        progress = Progress(STEPS_OF_RESOLVE, sink)
        return await self._parts.turns.take(wanted, progress, self._parts.values.resolve, "Computing the values of")

    async def json_schema(self, template_name: str) -> dict[str, Any]:
        """Return the JSON Schema of a template's answers; raises as `get_template_variables`."""
        template = self._parts.registry.get(template_name)
        schema = await self._parts.schemas.ready(template)
        return self._parts.defaults.show_schema(schema, self._parts.schemas.json_schema(template, schema))

    async def check_answers(self, template_name: str, answers: dict[str, Any]) -> None:
        """Check answers as `create_project` does first, and do nothing else.

        Raises:
            InvalidAnswers: With all problems at once; others as `get_template_variables`.
        """
        schema = await self._parts.schemas.ready(self._parts.registry.get(template_name))
        self._parts.defaults.check(template_name, schema, answers)

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
        grants: Sequence[str] = (),
        pin: str | None = None,
        vouched: bool = True,
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
            grants: What it is given besides; likewise.
            pin: The commit, or the digest of the file or the folder, that it has to be; updates follow `checkout`.
            vouched: Whoever asks names all of this; otherwise a file does, whose word is a program's.
            sink: Where progress goes.

        Raises:
            InvalidLocation: It can't be understood, or may not be used.
            NameTaken: There is a template of that name already; InvalidName if it can't be one.
            FetchFailed: It can't be fetched.
            NotATemplate: It has none; InvalidTemplate if it can't be understood, HookFailed if its hook failed.
            EnvironmentFailed: uv failed; MissingRequirement where a package is needed that nobody named.
            Refused: A grant would undo the sandbox.
        """
        wanted = Addition(
            url,
            name,
            description,
            checkout,
            directory,
            live,
            tuple(requirements),
            trust,
            tuple(grants),
            pin,
            vouched,
        )
        added = await self._parts.additions.add(wanted, Progress(STEPS_OF_ADD, sink))
        return await self.template_info(added) if isinstance(added, str) else added

    async def update_template(
        self, template_name: str, *, force: bool = False, to: Target | None = None, sink: Sink = ignore
    ) -> TemplateChange:
        """Fetch a template again and use what came; when that fails, the old one stays as it was.

        Args:
            template_name: Which; or the name that all templates of a repository were added by.
            force: Prepare it anew even if nothing has changed.
            to: What it is to become; None is what is there now.
            sink: Where progress goes.

        Raises:
            TemplateNotFound: It is not registered; the others are those of `add_template`.
        """
        progress = Progress(STEPS_OF_UPDATE, sink)
        await progress.begin("resolve", f"resolving `{template_name}`")
        if self._parts.registry.group(template_name):
            return await self._parts.groups.update(template_name, progress, force=force, to=to)
        old, new, told = await self._parts.updates.update(template_name, progress, force=force, to=to)
        info = await self.template_info(template_name)
        return changes.change([old], info, told, trust_dropped=await dropped([(old, new)]))

    def damaged_records(self) -> tuple[str, ...]:
        """Return the names of templates whose records can't be read, sorted."""
        return self._parts.registry.damaged()

    def export(self, folder: Path | None = None) -> Manifest:
        """Return all that is registered, as a file in a folder would name it."""
        return manifest_of(self._parts.registry.all(), folder)

    async def trust(self, template_name: str) -> tuple[TrustInfo, ...]:
        """Tell how much of a template may run, or of each of a repository's; raises TemplateNotFound."""
        return await self._parts.trusting.show(template_name, Progress((), ignore))

    def check_grants(self, trust: Trust, grants: Sequence[str]) -> tuple[str, ...]:
        """Return grants as they would be kept; raises as `trust_template` does."""
        return self._parts.trusting.word(trust, grants)[1]

    async def trust_template(self, name: str, trust: Trust, grants: Sequence[str] = ()) -> tuple[TrustInfo, ...]:
        """Set how much of a template may run, or of all of a repository's, and exactly what it is given besides.

        Raises TemplateNotFound; UsageError where a program asks, or they do not go together; Refused as `add_template`.
        """
        return await self._parts.trusting.set(name, trust, grants, Progress((), ignore))

    async def remove_template(self, template_name: str) -> str:
        """Forget a template, or all of a repository by the name it was added by; the projects made from it stay.

        Returns what was done, as a sentence; raises TemplateNotFound, and Refused where that undid a person's word.
        """
        return await self._parts.removals.remove(template_name)

    async def discover_templates(self, category: str | None = None) -> tuple[CatalogueEntry, ...]:
        """Return the catalogues' templates that are not registered, sorted by name; NotFound: no such category."""
        return await self._parts.finding.discover(category)

    async def search_templates(self, query: str, **filters: Any) -> Found:
        """Return what fits some words, registered or not; takes, and raises, what `Finding.search` does."""
        return await self._parts.finding.search(query, **filters)

    async def recommend_templates(self, wanted: str) -> Found:
        """Return the five templates that fit a sentence best, and why; raises UsageError where it says nothing."""
        return await self._parts.finding.recommend(wanted)

    async def categories(self) -> tuple[CategoryInfo, ...]:
        """Return every category of registered templates and of the catalogues, sorted by name."""
        return await self._parts.finding.categories()

    async def category(self, name: str) -> Category:
        """Return the templates and the catalogues' entries of one category; raises NotFound if there is no such one."""
        return await self._parts.finding.category(name, await self.list_templates())

    def expect(self, template_name: str) -> None:
        """Have a renderer started for a template that is asked for next, while this machine is still probed."""
        warming.expect(template_name, self._parts.registry, self._parts.environments, self._parts.renderers)

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
        template = self._parts.registry.get(template_name)
        wanted = Wanted(template, variables or {}, self._parts.trusting.word(trust)[0], output_dir, if_exists)
        return await self._parts.turns.take(wanted, progress, self._parts.projects.create, "Creating a project from")

    async def preview_project(
        self,
        template_name: str,
        output_dir: str | None = None,
        variables: dict[str, Any] | None = None,
        *,
        if_exists: IfExists = "error",
        file: str | None = None,
        diff: bool = False,
        hooks: bool = False,
        trust: Trust | None = None,
        sink: Sink = ignore,
    ) -> Preview:
        """Show what `create_project` would make of the same arguments, and make nothing.

        Args:
            template_name: As there.
            output_dir: As there.
            variables: As there.
            if_exists: As there.
            file: A file of the project whose text is wanted.
            diff: Compare with the folder that is there.
            hooks: Run the hooks too, which happens in the sandbox or not at all.
            trust: As there.
            sink: As there.

        Raises:
            NotFound: There would be no such file; the others are those of `create_project`.
        """
        progress = Progress(STEPS_OF_PREVIEW, sink)
        await progress.begin("resolve", f"resolving `{template_name}`")
        template = self._parts.registry.get(template_name)
        wanted = Wanted(
            template, variables or {}, self._parts.trusting.word(trust)[0], output_dir, if_exists, preview=True
        )
        look = partial(self._parts.previews.preview, look=Look(scripts.hooks(template.path), file, diff, hooks))
        return await self._parts.turns.take(wanted, progress, look, "Previewing a project from")

    async def reclaim(self) -> Reclaimed:
        """Remove what nothing leads to, and beyond the limits what was used least recently; raises Busy."""
        return await self._parts.reclaiming.run()

    def load(self) -> Load:
        """Tell how much is being done at the moment, and how often what was asked for was there."""
        return self._parts.load()

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[frozenset[str]]]:
        """Tell the names of templates that appeared, changed or vanished, whoever did it."""
        return News(self._parts.registry, self._parts.store.home / "templates").open()
