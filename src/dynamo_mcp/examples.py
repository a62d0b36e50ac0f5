"""What does each computed default come to when nothing is answered, or why to nothing? A confined job tells it."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import msgspec

from dynamo_mcp.confining import Confining
from dynamo_mcp.defaults import Defaults
from dynamo_mcp.environments import Environments
from dynamo_mcp.errors import DynamoError, Refused, TimedOut, UnusableTemplate
from dynamo_mcp.jobs import Request
from dynamo_mcp.problems import is_plain
from dynamo_mcp.progress import Progress
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.sandbox.trust import permit_preview
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.slots import Slots
from dynamo_mcp.text import plain
from dynamo_mcp.types import Template
from dynamo_mcp.values import as_given

MOST = 100
"""Examples that are kept of one template; each is as long as a value that is shown."""
SECONDS = 20.0
"""Seconds that the defaults of one template may take: a create may take longer, but nobody waits for this one."""

UNCONFINED = (
    "its defaults were not computed when it was prepared, since this machine could not confine it: `update_template` "
    "with `force` does that where it can"
)
LATE = "its defaults were not computed when it was prepared, since those of the other templates took too long"


class Computed(msgspec.Struct, frozen=True):
    """What a template's defaults came to.

    Attributes:
        examples: Values by variable, as a caller would give them; of computed defaults only, and short and plain ones.
        notes: Why there are none.
        problem: Why no project can be made of it, whatever is answered.
    """

    examples: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    problem: str | None = None


class Examples:
    """Computes the defaults of templates that are added or updated."""

    def __init__(
        self,
        settings: Settings,
        slots: Slots,
        *,
        schemas: SchemaCache,
        defaults: Defaults,
        environments: Environments,
        confining: Confining,
        renderers: Renderers,
    ) -> None:
        """Take what computes them: as many at a time as creates."""
        self._settings = settings
        self._slots = slots
        self._schemas = schemas
        self._defaults = defaults
        self._environments = environments
        self._confining = confining
        self._renderers = renderers

    async def of(self, template: Template, progress: Progress, *, seconds: float) -> Computed:
        """Compute the defaults of a prepared template; one that can't compute them may still be of use.

        Args:
            template: With an environment, which the caller keeps from being removed.
            progress: Is told what is being done.
            seconds: Seconds that are left for it, of which it takes `SECONDS` at most.
        """
        if template.trust == "inert":
            return Computed()
        try:
            permission = await self._confining.permitted(partial(permit_preview, template, template.trust))
        except Refused:
            return Computed(notes=(UNCONFINED,))
        if not permission.confined and not template.location.bundled:
            return Computed(notes=(UNCONFINED,))
        if seconds <= 0:
            return Computed(notes=(LATE,))
        try:
            schema = self._schemas.get(template)
            environment = await self._environments.ensure(template.name, template.requirements, progress.detail)
            given, _ = self._defaults.check(template.name, schema, {})
            request = Request(template, schema, environment, permission, given, self._settings.outputs)
            answers = await self._resolve(request, progress, min(seconds, SECONDS))
        except UnusableTemplate as error:
            why = plain(f"{error.message}; {error.hint}")
            # A live one may be mended at any time, and nobody would look again.
            return Computed(notes=(why,)) if template.location.live else Computed(problem=why)
        except DynamoError as error:
            return Computed(notes=(plain(f"its defaults can't be computed: {error.message}; {error.hint}"),))
        values = {
            variable.name: as_given(variable, answers[variable.name])
            for variable in schema.variables
            if variable.derived and variable.name in answers and variable.name not in given
        }
        told = [name for name, value in values.items() if isinstance(value, (str, dict)) and is_plain(value)]
        return Computed({name: values[name] for name in told[:MOST]})

    async def _resolve(self, request: Request, progress: Progress, seconds: float) -> dict[str, Any]:
        async with self._slots.one():
            try:
                with anyio.fail_after(seconds):
                    return (await self._renderers.resolve(request.job(), progress)).answers
            except TimeoutError as error:
                raise TimedOut(
                    f"that took more than {seconds:.3g} seconds and was ended",
                    hint="mend a default that is never done",
                ) from error
