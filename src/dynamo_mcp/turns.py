"""Whose turn is it with a renderer, with which environment, and for how long? Answers are checked before it costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import anyio
import msgspec

from dynamo_mcp.defaults import Defaults
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import RendererFailed, TimedOut
from dynamo_mcp.jobs import Request
from dynamo_mcp.outputs import output_folder
from dynamo_mcp.progress import Progress
from dynamo_mcp.registration import Registration
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.requirements import installed
from dynamo_mcp.sandbox.trust import permit, permit_preview
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.slots import Slots
from dynamo_mcp.types import IfExists, Template, Trust

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Request, Progress], Awaitable[Result]]


class Asked(msgspec.Struct, frozen=True):
    """What a caller wants a renderer for.

    Attributes:
        variables: Answers as they were given.
        output_dir: The folder that was named; None is the default one.
        preview: Nothing is to come of it.
        trust: How much of the template may run; None is what is recorded.
    """

    template: Template
    variables: dict[str, Any]
    trust: Trust | None = None
    output_dir: str | None = None
    if_exists: IfExists = "error"
    preview: bool = False


class Turns:
    """Everybody who needs a renderer waits here."""

    def __init__(
        self,
        settings: Settings,
        slots: Slots,
        *,
        registration: Registration,
        schemas: SchemaCache,
        defaults: Defaults,
        environments: Environments,
        renderers: Renderers,
    ) -> None:
        """Begin with nobody waiting."""
        self._settings = settings
        self._registration = registration
        self._schemas = schemas
        self._defaults = defaults
        self._environments = environments
        self._renderers = renderers
        self._slots = slots

    async def take(self, asked: Asked, progress: Progress, work: Work[Result], doing: str) -> Result:
        """Do something that needs a renderer; an environment that proves broken is made anew once.

        Args:
            asked: What is wanted.
            progress: Has the steps "check answers", "prepare environment" and "start renderer", and those of `work`.
            work: What is done, given what may be asked of a renderer.
            doing: What that is, in words, for when it takes too long; the template's name is put behind them.

        Raises:
            Refused: This machine can't confine the template.
            OutputRefused: The folder may not be written.
            InvalidAnswers: With all problems at once.
            Busy: Others were at work for too long; TimedOut if this was.
        """
        template = asked.template
        doing = f"{doing} `{template.name}`"
        # From here on neither an update nor a removal takes away what is read.
        async with self._registration.using(template):
            decide = permit_preview if asked.preview else permit
            permission = decide(template, asked.trust or template.trust, await self._renderers.confinement())
            folder = output_folder(self._settings, asked.output_dir)
            await progress.begin("check answers")
            schema = self._schemas.get(template, hooks=permission.trust != "inert")
            answers = schema.check(template.name, self._defaults.fill(schema, asked.variables))
            async with self._slots.one():
                await progress.begin("prepare environment")
                requirements = installed(template, permission.trust)
                environment = await self._environments.ensure(template.name, requirements)
                await progress.begin("start renderer", "waiting for a renderer")
                notes = self._defaults.of(schema)[1]
                request = Request(template, schema, environment, permission, answers, folder, asked.if_exists, notes)
                try:
                    return await self._in_time(work(request, progress), progress, doing)
                except RendererFailed:
                    if await self._environments.works(environment):
                        raise
                environment = await self._environments.rebuild(template.name, requirements)
                request = msgspec.structs.replace(request, environment=environment)
                return await self._in_time(work(request, progress), progress, doing)

    async def _in_time(self, work: Awaitable[Result], progress: Progress, doing: str) -> Result:
        try:
            with anyio.fail_after(self._settings.create_seconds):
                return await work
        except TimeoutError as error:
            raise TimedOut(
                f"{doing} took more than {self._settings.create_seconds:g} seconds and was ended while "
                f"{progress.last}; nothing of it was left",
                hint="mend a hook that never ends, or allow more seconds with `DYNAMO_MCP_CREATE_SECONDS`",
            ) from error
