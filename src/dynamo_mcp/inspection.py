"""What does a template make of itself before it asks? Its `pre_prompt` hook runs on a copy, confined as a create is."""

from __future__ import annotations

from functools import partial

from dynamo_mcp.attempts import Attempts
from dynamo_mcp.confining import Confining
from dynamo_mcp.errors import Refused
from dynamo_mcp.jobs import Job
from dynamo_mcp.progress import Progress
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.sandbox.trust import Permission, permit
from dynamo_mcp.types import Environment, Inspected, Template


class Inspection:
    """Runs the hooks of templates that are added or updated."""

    def __init__(self, confining: Confining, renderers: Renderers, attempts: Attempts) -> None:
        """Take what runs them: as many at a time as creates."""
        self._confining = confining
        self._renderers = renderers
        self._attempts = attempts

    async def permission(self, template: Template) -> Permission | None:
        """Return how a template's hook may run here; None where it may not, and its file counts as it is."""
        if template.trust == "inert":
            return None
        try:
            return await self._confining.permitted(partial(permit, template, template.trust))
        except Refused:
            return None

    async def run(self, template: Template, permission: Permission, progress: Progress) -> Inspected:
        """Run a template's `pre_prompt` hook on a copy of the template; return what it left.

        Raises:
            HookFailed: With what the hook printed.
            InvalidTemplate: What it left can't be read.
            TimedOut: It took longer than a create may.
            RendererFailed: A renderer is at fault.
            Busy: Too many creates run for too long.
        """

        async def attempt(environment: Environment) -> Inspected:
            job = Job(template, environment, {}, permission.trust, permission.confined, {}, grants=permission.grants)
            return await self._renderers.inspect(job, progress)

        begin = partial(progress.detail, f"starting the `pre_prompt` hook of `{template.name}`")
        doing = f"The `pre_prompt` hook of `{template.name}`"
        return await self._attempts.run(template, attempt, progress, trust=permission.trust, begin=begin, doing=doing)
