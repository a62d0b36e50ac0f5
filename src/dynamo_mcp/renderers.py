"""Who renders? A warm worker of the pool, one job at a time: it is told what is wanted, and heard out.

A worker serves every template. It is started with the base of cookiecutter alone, since what a template's packages
hold may run confined only: the job itself enters the template's own environment, and may read that template alone
(Landlock). Where the kernel has no Landlock, a worker serves one template only.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from dynamo_mcp import failures, jobs
from dynamo_mcp.compiled import Compiled
from dynamo_mcp.compiling import Compiling
from dynamo_mcp.confining import Confining
from dynamo_mcp.errors import DynamoError, RendererFailed
from dynamo_mcp.jobs import Job, Resolved
from dynamo_mcp.pool import Pool
from dynamo_mcp.progress import Progress
from dynamo_mcp.sandbox import CODE, installation
from dynamo_mcp.sandbox.policy import most, policy
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import Settings
from dynamo_mcp.starting import Starting
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Inspected, Rendered, Template
from dynamo_mcp.workers import Worker

ANSWER_SECONDS = 5.0

Decide = Callable[[str, dict[str, Any]], Awaitable[None]]


class _Heard(msgspec.Struct, frozen=True):
    last: dict[str, Any]
    resolved: Resolved | None
    refusal: DynamoError | None


class Renderers:
    """What has the jobs of one server done."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        confining: Confining,
        tasks: TaskGroup,
        *,
        recorded: Callable[[str], Template | None],
    ) -> None:
        """Start nothing yet.

        Args:
            settings: Of the server.
            store: The home.
            confining: What this machine offers.
            tasks: Runs what nobody waits for; what is idle ends when they are cancelled.
            recorded: Returns the template of a name as it is recorded now, or None.
        """
        self._settings = settings
        self._recorded = recorded
        self._compiled = Compiled(store)
        self._starting = Starting(settings, store, confining, self._compiled.folder)
        self._pool = Pool(self._starting.start, settings, tasks)
        self._compiling = Compiling(self._compile_aside, tasks)

    async def ahead(self, template: Template, plain: Path, permission: Permission) -> None:
        """Have a worker started that the next job of a template will need; nobody waits for it.

        Args:
            template: Which.
            plain: The base environment of cookiecutter alone, which has to be there.
            permission: What may run of it.
        """
        self._pool.ahead(await self._starting.key(template, plain, permission))

    def likely(self, template: Template, plain: Path) -> None:
        """Have a worker started that a job of a template will likely need, while this machine is still probed.

        Args:
            template: Which.
            plain: The base environment of cookiecutter alone, which has to be there.

        Raises:
            UsageError: Something that the template was granted is not there.
        """
        key = self._starting.likely(template, plain)
        if key is not None:
            self._pool.ahead(key)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many workers wait for a job, are at one, and will wait soon."""
        return self._pool.counts

    @asynccontextmanager
    async def render(
        self, job: Job, decide: Decide, progress: Progress
    ) -> AsyncIterator[tuple[Rendered, tuple[str, ...]]]:
        """Render one project; what it made is there while the caller stays in the context.

        Args:
            job: What to render.
            decide: Called with the project folder's name and the answers before anything is made; it raises to stop.
            progress: Told in words what is being done, and what a hook had printed that was ended.

        Yields:
            What was made, and the mechanisms that confined it.

        Raises:
            HookFailed: With what the hook printed.
            RenderFailed: Saying where in the template.
            InvalidAnswers: An answer that only rendering could check.
            InvalidTemplate: The template can't be understood.
            RendererFailed: The worker died, or can't be started.
        """
        place = self._compiled.place(job)
        lacking = None if self._compiled.found(place) else place
        if lacking is not None and (not self._settings.serves or self._compiling.is_due(lacking)):
            await self._compile(lacking, job, progress)
            lacking = None
        async with self._done(job, decide, progress) as (heard, worker, output):
            if heard.last.get("event") == "done":
                rendered = jobs.rendered(heard.last, worker.at, output, self._settings)
                mechanisms = ("bubblewrap",) if worker.key.backend == "bubblewrap" else ()
                yield rendered, (*mechanisms, *jobs.mechanisms(heard.last))
        if heard.last.get("event") != "done":
            raise heard.refusal or failures.failure(job, heard.last, self._settings)
        if lacking is not None:
            self._compiling.want(lacking, _untold(job))

    async def _compile(self, place: Path, job: Job, progress: Progress) -> None:
        """Have a template compiled, by a job that is told nothing which later ones must not know."""
        await progress.detail("compiling the template")
        with suppress(RendererFailed):  # what is wrong is told when the job itself meets it
            async with self._done(_untold(job), None, Progress(()), action="compile") as (_, worker, output):
                await self._compiled.keep(place, worker.seen(worker.at.temporary / output.name))

    async def _compile_aside(self, place: Path, job: Job, quiet: float) -> bool:
        """Have a template compiled by a renderer that nobody waits for; tell whether there was one, or no need."""
        if self._compiled.found(place) or not self._may_still(job):
            return True
        permission = Permission(job.trust, job.confined, "none", job.grants)
        key = await self._starting.key(job.template, job.environment.plain, permission)
        if not self._pool.can_spare(key, quiet):
            return False
        with suppress(RendererFailed), anyio.move_on_after(self._settings.create_seconds) as in_time:
            async with self._done(job, None, Progress(()), action="compile") as (_, worker, output):
                # What was taken away while the job read it is kept for nobody: half of it may be missing.
                if self._may_still(job):
                    await self._compiled.keep(place, worker.seen(worker.at.temporary / output.name))
        if in_time.cancelled_caught:
            await self._compiled.keep(place, None)
        return True

    def _may_still(self, job: Job) -> bool:
        """Tell whether what nobody waits for may run: its template is there, and trusted, as when it was asked for."""
        known = self._recorded(job.template.name)
        there = job.template.path.is_dir() and job.environment.path.is_dir()
        return there and known == job.template and known.trust == job.trust

    async def resolve(self, job: Job, progress: Progress) -> Resolved:
        """Compute every answer, and stop before anything is made; raises as `render`."""
        async with self._done(job, None, progress) as (heard, _, _):
            if heard.last.get("event") == "done":  # it was told to stop, or said nothing of what it has resolved
                raise jobs.nonsense()
        if heard.resolved is None or heard.last.get("kind") != "stopped":
            raise failures.failure(job, heard.last, self._settings)
        return heard.resolved

    async def inspect(self, job: Job, progress: Progress) -> Inspected:
        """Run a template's `pre_prompt` hook on a copy of the template; return what it left.

        Args:
            job: What to look at; its answers are not used.
            progress: Told in words what is being done, and what a hook had printed that was ended.

        Raises:
            HookFailed: With what the hook printed.
            InvalidTemplate: What it left can't be read.
            RendererFailed: The worker died, or can't be started.
        """
        async with self._done(job, None, progress, action="inspect") as (heard, _, _):
            pass
        if heard.last.get("event") != "done":
            raise failures.failure(job, heard.last, self._settings)
        return jobs.inspected(heard.last)

    @asynccontextmanager
    async def _done(
        self, job: Job, decide: Decide | None, progress: Progress, *, action: str = "create"
    ) -> AsyncIterator[tuple[_Heard, Worker, Path]]:
        """Have a worker do a job; yields what it said, itself, and the job's output, which is removed afterwards."""
        permission = Permission(job.trust, job.confined, "none", job.grants)
        identity = uuid.uuid4().hex
        place = self._compiled.place(job) if action == "create" else None
        known = place if self._compiled.found(place) else None

        def ask(worker: Worker) -> dict[str, Any]:
            return {**self._message(job, identity, worker, known), "action": action}

        worker = await self._pool.take(await self._starting.key(job.template, job.environment.plain, permission), ask)
        healthy = False
        paths = _folders(worker, identity)
        try:
            try:
                heard = await self._follow(worker, identity, decide, progress)
            except anyio.get_cancelled_exc_class():
                progress.printed = worker.printed(paths[1])
                raise
            if failures.was_ended(heard.last):
                last = failures.killed(heard.last, progress.last, worker.printed(paths[1]))
                heard = msgspec.structs.replace(heard, last=last)
            if known is not None and heard.last.get("kind") == "died":
                self._compiled.discard(known)
            yield heard, worker, paths[0]
            healthy = True
        finally:
            if healthy:
                self._pool.give_back(worker, partial(self._clear, worker, job.template.path, paths))
            else:
                await self._pool.end(worker)

    def _message(self, job: Job, identity: str, worker: Worker, known: Path | None) -> dict[str, Any]:
        output, temporary = _folders(worker, identity)
        environment, key = job.environment, worker.key
        python = installation.parts(environment.plain / "bin" / "python")
        read = [job.template.checkout, environment.path, environment.plain, *python, CODE]
        read += [known] if known else []
        return {
            "id": identity,
            "template": str(job.template.path),
            "environment": str(environment.path),
            "output": str(output),
            "temporary": str(temporary),
            "answers": job.answers,
            "trust": job.trust,
            "variables": job.variables,
            "hooks": job.hooks,
            "compiled": str(known) if known else None,
            "warm_hooks": self._settings.hook_interpreter == "warm",
            "hook_output_bytes": self._settings.hook_output_bytes,
            "message_bytes": self._settings.message_bytes,
            "policy": policy(
                self._settings, read=read, write=(output, temporary), backend=key.backend, grants=key.grants
            )
            if job.confined
            else None,
            "most": most(self._settings, output, temporary, key.backend) if job.confined else None,
            # What is used in place may change.
            "readable": None if key.live else worker.readable.get(job.template.path),
        }

    async def _follow(self, worker: Worker, identity: str, decide: Decide | None, progress: Progress) -> _Heard:
        """Hear a job out; without `decide` it is stopped as soon as it has resolved."""
        resolved: Resolved | None = None
        refusal: DynamoError | None = None
        steps = 0
        while True:
            message = await worker.hear()
            if message.get("id") != identity:
                raise jobs.nonsense()
            match message.get("event"):
                case "resolved":
                    if resolved is not None:
                        raise jobs.nonsense()
                    resolved = jobs.resolved(message)
                    refusal = await _refusal(resolved, decide)
                    stop = decide is None or refusal is not None
                    await worker.tell({"action": "stop" if stop else "proceed", "id": identity})
                case "step" if steps < jobs.MOST_STEPS:
                    steps += 1
                    await progress.detail(plain(str(message.get("message")), jobs.WORD))
                case "done" if resolved is None and decide is not None:
                    raise jobs.nonsense()
                case "done" | "failed":
                    # What a job says last may not contradict what was decided on.
                    decided = {"answers": resolved.answers, "directory": resolved.directory} if resolved else {}
                    return _Heard({**message, **decided}, resolved, refusal)
                case _:
                    raise jobs.nonsense()

    async def _clear(self, worker: Worker, template: Path, paths: list[Path]) -> bool:
        """Have the worker remove what a job left; return whether it can serve another."""
        with suppress(RendererFailed), anyio.move_on_after(ANSWER_SECONDS):
            await worker.tell({"action": "clear", "paths": [str(path) for path in paths]})
            said = await worker.hear()
            if "readable" in said:
                worker.readable[template] = said["readable"] is True
            return said.get("event") == "cleared"
        return False


def _untold(job: Job) -> Job:
    """Return a job that is told nothing of what a caller has said."""
    return msgspec.structs.replace(job, answers={}, variables={}, hooks=False)


def _folders(worker: Worker, identity: str) -> list[Path]:
    """Return where a worker has a job write: its output, and what is temporary."""
    return [worker.at.output / identity, worker.at.temporary / identity]


async def _refusal(resolved: Resolved, decide: Decide | None) -> DynamoError | None:
    """Return why a project is not to be made."""
    try:
        if decide is not None:
            await decide(resolved.directory, resolved.answers)
    except DynamoError as error:
        return error
    return None
