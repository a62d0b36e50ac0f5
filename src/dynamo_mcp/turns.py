"""Whose turn is it with a renderer, and for what? Answers are checked before it costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec

from dynamo_mcp.attempts import Attempts
from dynamo_mcp.confining import Confining
from dynamo_mcp.defaults import Defaults
from dynamo_mcp.jobs import Request
from dynamo_mcp.outputs import output_folder
from dynamo_mcp.progress import Progress
from dynamo_mcp.registration import Registration
from dynamo_mcp.sandbox.trust import Permission, permit, permit_preview
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.trusting import Trusting
from dynamo_mcp.types import Environment, IfExists, Template, Trust

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Request, Progress], Awaitable[Result]]


class Wanted(msgspec.Struct, frozen=True):
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
        attempts: Attempts,
        *,
        registration: Registration,
        schemas: SchemaCache,
        defaults: Defaults,
        confining: Confining,
        trusting: Trusting,
    ) -> None:
        """Begin with nobody waiting."""
        self._settings = settings
        self._attempts = attempts
        self._registration = registration
        self._schemas = schemas
        self._defaults = defaults
        self._confining = confining
        self._trusting = trusting

    async def take(self, wanted: Wanted, progress: Progress, work: Work[Result], doing: str) -> Result:
        """Do something that needs a renderer; an environment that proves broken is made anew once.

        Args:
            wanted: What is wanted.
            progress: Has the steps "check answers", "prepare environment" and "start renderer", and those of `work`.
            work: What is done, given what may be asked of a renderer.
            doing: What that is, in words, for when it takes too long; the template's name is put behind them.

        Raises:
            Refused: This machine can't confine the template.
            OutputRefused: The folder may not be written.
            InvalidAnswers: With all problems at once.
            Busy: Others were at work for too long; TimedOut if this was.
        """
        template = wanted.template
        doing = f"{doing} `{template.name}`"
        # From here on neither an update nor a removal takes away what is read.
        async with self._registration.using(template):
            trust = wanted.trust or template.trust
            # Nobody waits for what this machine can't confine.
            await self._permitted(wanted, template)
            folder = output_folder(self._settings, wanted.output_dir)
            await progress.begin("check answers")
            schema = await self._schemas.ready(template, hooks=trust != "inert")
            answers, notes = self._defaults.check(template.name, schema, wanted.variables)

            async def attempt(environment: Environment) -> Result:
                # It may have been made anew since, and then be another one.
                async with self._registration.using_environment(environment):
                    return await in_environment(environment)

            async def in_environment(environment: Environment) -> Result:
                await progress.begin("start renderer", "waiting for a renderer")
                # As late as can be: a live folder may have been edited while others were at work.
                permission, edited = await self._now(wanted, progress)
                told = (*edited, *notes)
                request = Request(template, schema, environment, permission, answers, folder, wanted.if_exists, told)
                return await work(request, progress)

            begin = partial(progress.begin, "prepare environment")
            return await self._attempts.run(template, attempt, progress, trust=trust, begin=begin, doing=doing)

    async def _now(self, wanted: Wanted, progress: Progress) -> tuple[Permission, tuple[str, ...]]:
        """Return what may run of a template as its folder is now, and what is to be said of that."""
        template = wanted.template
        edited: tuple[str, ...] = ()
        if wanted.trust in {None, "contained"}:  # otherwise a person's word for this one time counts
            template, edited = await self._trusting.as_it_is(template, progress)
        return await self._permitted(wanted, template), edited

    async def _permitted(self, wanted: Wanted, template: Template) -> Permission:
        decide = permit_preview if wanted.preview else permit
        return await self._confining.permitted(partial(decide, template, wanted.trust or template.trust))
