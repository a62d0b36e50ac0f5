"""How is work with a renderer tried? In its turn, in time, and once more where the environment proved broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import EnvironmentFailed, RendererFailed, TemplateBroken
from dynamo_mcp.failures import timed_out
from dynamo_mcp.inventory import identity
from dynamo_mcp.progress import Progress
from dynamo_mcp.requirements import installed
from dynamo_mcp.settings import Settings
from dynamo_mcp.slots import Place, Slots
from dynamo_mcp.types import Environment, Template, Trust

Result = TypeVar("Result")


class Attempts:
    """Tries what needs a renderer: so many at a time, and none for ever."""

    def __init__(self, settings: Settings, slots: Slots, environments: Environments) -> None:
        """Try nothing yet."""
        self._settings = settings
        self._slots = slots
        self._environments = environments

    async def run(
        self,
        template: Template,
        work: Callable[[Environment], Awaitable[Result]],
        progress: Progress,
        *,
        trust: Trust,
        begin: Callable[[], Awaitable[None]],
        doing: str,
    ) -> Result:
        """Do something in a template's environment; one that proves broken is made anew once.

        Args:
            template: Whose; the caller keeps what it rests on in use.
            work: What is done, in an environment.
            progress: Says what was done last when it takes too long.
            trust: How much of the template runs, which is what its environment holds the packages of.
            begin: Called when the turn has come, before there is an environment.
            doing: What is done, in words, for when it takes too long.

        Raises:
            Busy: Others were at work for too long; TimedOut if this was.
            EnvironmentFailed: uv failed, or somebody took the environment away meanwhile.
            RendererFailed: A renderer did, though the environment works.
        """

        async def waiting(place: Place) -> None:
            await progress.detail(f"waiting for other creates to end, {place.words}")

        async with self._slots.one(waiting):
            await begin()
            requirements = installed(template, trust)
            environment = await self._environments.ensure(template.name, requirements, progress.detail)
            folders = (environment.path, environment.plain)
            before = [identity(folder) for folder in folders]
            try:
                return await self._in_time(work(environment), progress, trust, doing)
            except TemplateBroken as error:
                if [identity(folder) for folder in folders] != before:
                    raise EnvironmentFailed(
                        f"The environment of `{template.name}` was gone or replaced while it was used: {error.message}",
                        hint="try again",
                    ) from error
                raise
            except RendererFailed:
                if await self._environments.works(environment):
                    raise
            environment = await self._environments.rebuild(
                template.name, requirements, progress.detail, broken=environment
            )
            return await self._in_time(work(environment), progress, trust, doing)

    async def _in_time(self, work: Awaitable[Result], progress: Progress, trust: Trust, doing: str) -> Result:
        try:
            with anyio.fail_after(self._settings.create_seconds):
                return await work
        except TimeoutError as error:
            raise timed_out(doing, self._settings, progress, trust) from error
