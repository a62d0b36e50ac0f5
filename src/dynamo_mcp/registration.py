"""How does a fetched template become a registered one, and what does it rest on while somebody uses it?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp.configuration import (
    check_project_folder,
    compile_schema,
    content_of,
    fingerprint,
    has_pre_prompt,
    holding,
    nested,
    read,
)
from dynamo_mcp.environments import Environments, modules
from dynamo_mcp.errors import DynamoError, EnvironmentFailed, InvalidTemplate, StorageFailed
from dynamo_mcp.examples import Examples
from dynamo_mcp.holds import Holds
from dynamo_mcp.inspection import Inspection
from dynamo_mcp.nesting import none_usable
from dynamo_mcp.parsing import parse
from dynamo_mcp.progress import Progress
from dynamo_mcp.reading import read as read_code
from dynamo_mcp.recorded import packages_of
from dynamo_mcp.registry import Registry
from dynamo_mcp.requirements import derive, installed, obtainable, packages, verified
from dynamo_mcp.sources import display
from dynamo_mcp.store import Store
from dynamo_mcp.types import Environment, Needs, Template
from dynamo_mcp.undeclared import with_undeclared
from dynamo_mcp.variables import Schema
from dynamo_mcp.vouching import bound, is_bound

ROUNDS = 4
"""Times that an environment is made anew with what its packages need and do not say."""


class Registration:
    """Prepares and records templates, and keeps their folders for as long as somebody uses them."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        environments: Environments,
        *,
        inspection: Inspection,
        examples: Examples,
        compute_seconds: float,
    ) -> None:
        """Begin with nothing in use.

        Args:
            store: Where what templates rest on is.
            registry: Where they are recorded.
            environments: Makes what they run in.
            inspection: Runs their `pre_prompt` hooks.
            examples: Computes their defaults.
            compute_seconds: Seconds that the defaults of all templates of one repository may take.
        """
        self._registry = registry
        self._examples = examples
        self._compute_seconds = compute_seconds
        self._environments = environments
        self._inspection = inspection
        self._holds = Holds(store, self._wanted)

    def using(self, template: Template) -> AbstractAsyncContextManager[None]:
        """Keep what a template rests on from being removed while the caller stays in the context."""
        return self._holds.using(*self.rests_on(template))

    def using_environment(self, environment: Environment) -> AbstractAsyncContextManager[None]:
        """Keep an environment from being removed likewise: made anew, a template's is another one."""
        return self._holds.using(environment.path)

    async def release(self, template: Template) -> None:
        """Remove what a template rests on, now or when nobody uses it; what another template needs stays."""
        await self._holds.release(*self.rests_on(template))

    async def complete(self, template: Template, progress: Progress, *, prepare: bool) -> Template:
        """Prepare a fetched template and write its record; on any failure nothing of it is left.

        Args:
            template: With a checkout; its name is claimed by the caller.
            progress: Is told the steps.
            prepare: Read its questions and make its environment first.

        Returns:
            The template as it was recorded.

        Raises:
            NotATemplate: There is no `cookiecutter.json`; InvalidTemplate if it can't be understood.
            HookFailed: Its `pre_prompt` hook failed; TimedOut if that took too long.
            MissingRequirement: It needs a package that nobody named.
            EnvironmentFailed: uv failed.
            StorageFailed: The record can't be written.
        """
        (completed,), _ = await self.complete_all([template], progress, prepare=prepare)
        return completed

    async def complete_all(
        self, templates: Sequence[Template], progress: Progress, *, prepare: bool
    ) -> tuple[tuple[Template, ...], dict[str, DynamoError]]:
        """Prepare several templates and write their records; one that fails does not keep the others from it.

        Returns:
            The templates as they were recorded, and by name why others were not; nothing of those is left.

        Raises:
            DynamoError: As `complete`: not one could be prepared, or the disk failed; nothing is left of any.
        """
        failures: dict[str, DynamoError] = {}
        prepared = list(templates)
        try:
            async with AsyncExitStack() as using:
                for template in templates:
                    await using.enter_async_context(self.using(template))
                if prepare:
                    await progress.begin("read variables", "reading `cookiecutter.json`")
                    prepared = await self._each(self._read, prepared, failures, progress)
                    await progress.begin("make environment", "making its environment")
                    prepared = await self._each(self._equip, prepared, failures, progress)
                    await progress.begin("compute values", "computing its defaults")
                    prepared = await self._computed(prepared, progress)
                await progress.begin("register", "registering " + ", ".join(f"`{new.name}`" for new in prepared))
                prepared = [await bound(new) if _of_its_own(new) else new for new in _together(prepared)]
                # Whoever is cancelled meanwhile waits for it: what is recorded is registered.
                await anyio.to_thread.run_sync(self._save, prepared)
        except BaseException:  # also when cancelled, nothing of it is left
            with anyio.CancelScope(shield=True):
                for template in (*templates, *prepared):
                    await self.release(template)
            raise
        return tuple(prepared), failures

    async def _each(
        self,
        work: Callable[[Template, Progress], Awaitable[Template]],
        templates: Sequence[Template],
        failures: dict[str, DynamoError],
        progress: Progress,
    ) -> list[Template]:
        """Do one step of the preparation for each, and leave out those that fail."""
        done = []
        try:
            for template in templates:
                if len(templates) > 1:
                    await progress.detail(f"preparing `{template.name}`")
                try:
                    done.append(await work(template, progress))
                except StorageFailed:
                    raise
                except DynamoError as error:
                    failures[template.name] = error
                    await self.release(template)
        except BaseException:  # also when cancelled, nothing is left of those that are done
            with anyio.CancelScope(shield=True):
                for prepared in done:
                    await self.release(prepared)
            raise
        if done:
            return done
        if len(failures) == 1:
            raise next(iter(failures.values()))
        raise none_usable({name: error.message for name, error in failures.items()})

    async def _read(self, template: Template, progress: Progress) -> Template:
        """Read a fetched template's questions, as its `pre_prompt` hook leaves them where it has one."""
        permission = await self._inspection.permission(template) if has_pre_prompt(template.path) else None
        if permission is None:
            schema = await anyio.to_thread.run_sync(read, template.path, f"`{display(template.location)}`")
            check_project_folder(template.path, schema.configuration)
            plain = msgspec.structs.replace(template, configuration=None, configured_from=None)
            return await self._asking(plain, schema)
        template = await self._needing(template, _as_it_is(template))
        try:
            before = fingerprint(template.path)
            template = await self._equip(template, progress)
            async with self.using(template):
                found = await self._inspection.run(template, permission, progress)
            hooked = msgspec.structs.replace(template, configuration=found.configuration, configured_from=before)
            try:
                configuration = parse(found.configuration.encode())
                if several := nested(configuration):
                    raise holding(several, hint="add each of them by naming its folder with `directory`")
                schema = await anyio.to_thread.run_sync(compile_schema, configuration)
            except InvalidTemplate as error:
                raise InvalidTemplate(f"{error.message} (as its `pre_prompt` hook left it)", hint=error.hint) from error
            check_project_folder(template.path, schema.configuration, names=found.names)
            asking = await self._asking(hooked, schema)
        except BaseException:  # also when cancelled, nothing of it is left
            with anyio.CancelScope(shield=True):
                await self.release(template)
            raise
        if asking.requirements != template.requirements:
            await self.release(template)
        return asking

    async def _asking(self, template: Template, schema: Schema) -> Template:
        """Return a template with what it asks and needs."""
        template = msgspec.structs.replace(template, asked=schema.fingerprints())
        return await self._needing(template, schema.configuration)

    async def _needing(self, template: Template, configuration: dict[str, Any]) -> Template:
        """Return a template with what it needs, as far as its files say."""
        permission = await self._inspection.permission(template)
        needs = await derive(
            configuration,
            template=template.path,
            checkout=template.checkout,
            given=template.named_requirements,
            lacks=self._environments.lacks,
            guess=permission is not None and permission.sandboxed,
        )
        return msgspec.structs.replace(template, requirements=packages(needs), needs=needs)

    async def _equip(self, template: Template, progress: Progress) -> Template:
        """Make a template's environment; what only a higher trust needs is installed when that is first used."""
        if template.trust == "inert":
            await self._environments.ensure(template.name, installed(template, "inert"), progress.detail)
            return template
        try:
            template, environment = await self._obtained(template, progress)
            for _ in range(ROUNDS):
                more = await self._undeclared(template, environment, install=True)
                if more.requirements == template.requirements:
                    return more
                if await self._environments.lacks(more.requirements) is not None:
                    break
                old, template = template, more
                try:
                    environment = await self._environments.ensure(template.name, template.requirements, progress.detail)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self.release(old)
            return await self._undeclared(template, environment, install=False)
        except BaseException:  # the caller may know nothing of this environment
            with anyio.CancelScope(shield=True):
                await self.release(template)
            raise

    async def _obtained(self, template: Template, progress: Progress) -> tuple[Template, Environment]:
        """Make an environment of what can be had: the rest of the template works without, and this is told."""
        try:
            return template, await self._environments.ensure(template.name, template.requirements, progress.detail)
        except EnvironmentFailed:
            needs = await obtainable(template.needs, self._environments.lacks)
            if needs == template.needs:
                raise
        without = msgspec.structs.replace(template, requirements=packages(needs), needs=needs)
        try:
            return without, await self._environments.ensure(without.name, without.requirements, progress.detail)
        except BaseException:  # the caller knows nothing of this environment
            with anyio.CancelScope(shield=True):
                await self.release(without)
            raise

    async def _undeclared(self, template: Template, environment: Environment, *, install: bool) -> Template:
        """Return a template with what its packages need and do not say, as far as its environment lets that be seen."""
        present = modules(environment.path)
        needs = verified(template.needs, present)
        folders = (template.path, template.checkout, packages_of(environment.path))
        needs = await read_code(with_undeclared, needs, *folders, present, kind=Needs, otherwise=needs, install=install)
        return msgspec.structs.replace(template, requirements=packages(needs), needs=needs)

    async def _computed(self, templates: Sequence[Template], progress: Progress) -> list[Template]:
        """Return templates with what their defaults come to, as far as that is known in time."""
        deadline = anyio.current_time() + self._compute_seconds
        done = []
        for template in templates:
            async with self.using(template):
                left = deadline - anyio.current_time()
                computed = await self._examples.of(template, progress, seconds=left)
            found = {field: getattr(computed, field) for field in computed.__struct_fields__}
            done.append(msgspec.structs.replace(template, **found))
        return done

    def _save(self, templates: Sequence[Template]) -> None:
        """Write records; when one can't be written, those of templates that are new are not there either."""
        # Others may have been added since the names were claimed.
        self._registry.make_room(template.name for template in templates)
        known = {template.name for template in self._registry.all()}
        try:
            for template in templates:
                self._registry.save(template)
        except StorageFailed:
            for template in templates:
                if template.name not in known:
                    self._registry.delete(template.name)
            raise

    def _wanted(self, folder: Path) -> bool:
        """Tell whether a registered template needs a checkout or an environment."""
        return any(folder in self.rests_on(template) for template in self._registry.all())

    def rests_on(self, template: Template) -> set[Path]:
        """Return the folders of the home that a template rests on; a live one's own folder is not ours."""
        requirements = {template.requirements, installed(template, "inert")}
        environments = {self._environments.path(template.name, each) for each in requirements}
        return environments if template.location.live else {*environments, template.checkout}


def _as_it_is(template: Template) -> dict[str, Any]:
    """Return what stands in a `cookiecutter.json` that a hook will rewrite; nothing where it is none yet."""
    try:
        return parse(content_of(template.path))
    except InvalidTemplate:
        return {}


def _of_its_own(template: Template) -> bool:
    """Tell whether a person's word was given for what is being registered, and is still to be bound to it."""
    given = template.trusted_for
    return given is not None and given.digest == template.digest and not is_bound(given)


def _together(templates: Sequence[Template]) -> list[Template]:
    """Let each template of a group know the folders of all that came with it."""
    members = {template.location.directory or "" for template in templates if template.group}
    return [
        msgspec.structs.replace(
            template,
            group=msgspec.structs.replace(template.group, members=tuple(sorted(members | {*template.group.members}))),
        )
        if template.group
        else template
        for template in templates
    ]
