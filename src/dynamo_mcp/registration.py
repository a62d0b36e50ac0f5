"""How does a fetched template become a registered one, and what does it rest on while somebody uses it?"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import msgspec

from dynamo_mcp.configuration import check_project_folder, read
from dynamo_mcp.environments import Environments, modules
from dynamo_mcp.errors import EnvironmentFailed
from dynamo_mcp.holds import Holds
from dynamo_mcp.progress import Progress
from dynamo_mcp.registry import Registry
from dynamo_mcp.requirements import derive, obtainable, packages, verified
from dynamo_mcp.store import Store
from dynamo_mcp.types import Template


class Registration:
    """Prepares and records templates, and keeps their folders for as long as somebody uses them."""

    def __init__(self, store: Store, registry: Registry, environments: Environments) -> None:
        """Begin with nothing in use."""
        self._registry = registry
        self._environments = environments
        self._holds = Holds(store, self._wanted)

    def using(self, template: Template) -> AbstractAsyncContextManager[None]:
        """Keep what a template rests on from being removed while the caller stays in the context."""
        return self._holds.using(*self._folders(template))

    async def release(self, template: Template) -> None:
        """Remove what a template rests on, now or when nobody uses it; what another template needs stays."""
        await self._holds.release(*self._folders(template))

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
            MissingRequirement: It needs a package that nobody named.
            EnvironmentFailed: uv failed.
            StorageFailed: The record can't be written.
        """
        try:
            async with self.using(template):
                if prepare:
                    template = await self._prepare(template, progress)
                await progress.begin("register", f"registering `{template.name}`")
                self._registry.save(template)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.release(template)
            raise
        return template

    async def _prepare(self, template: Template, progress: Progress) -> Template:
        """Read a fetched template's questions and make its environment."""
        await progress.begin("read variables", "reading `cookiecutter.json`")
        schema = read(template.path)
        check_project_folder(template.path, schema.configuration)
        needs = await derive(
            schema.configuration,
            template=template.path,
            checkout=template.checkout,
            given=template.named_requirements,
            lacks=self._environments.lacks,
        )
        await progress.begin("make environment", "making its environment")
        try:
            environment = await self._environments.ensure(template.name, packages(needs))
        except EnvironmentFailed:
            # What a hook imports may be nowhere to be had; then the rest of the template works, and this is told.
            without = await obtainable(needs, self._environments.lacks)
            if without == needs:
                raise
            needs = without
            environment = await self._environments.ensure(template.name, packages(needs))
        needs = verified(needs, modules(environment.path))
        return msgspec.structs.replace(template, asked=schema.fingerprints(), requirements=packages(needs), needs=needs)

    def _wanted(self, folder: Path) -> bool:
        """Tell whether a registered template needs a checkout or an environment."""
        return any(folder in self._folders(template) for template in self._registry.all())

    def _folders(self, template: Template) -> set[Path]:
        """Return the folders of the home that a template rests on; a live one's own folder is not ours."""
        environment = self._environments.path(template.name, template.requirements)
        return {environment} if template.location.live else {environment, template.checkout}
