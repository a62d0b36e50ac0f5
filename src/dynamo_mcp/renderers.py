"""Who renders? A bounded pool of warm workers, one job at a time each; what misbehaves is discarded, never repaired.

A worker serves every template. It is started with the base of cookiecutter alone, since what a template's packages
hold may run confined only: the job itself enters the template's own environment, and may read that template alone
(Landlock). Where the kernel has no Landlock, a worker serves one template only.
"""

from __future__ import annotations

import itertools
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import msgspec

from dynamo_mcp import failures, jobs
from dynamo_mcp.compiled import Compiled
from dynamo_mcp.confining import Confining
from dynamo_mcp.disk import remove
from dynamo_mcp.errors import DynamoError, RendererFailed
from dynamo_mcp.jobs import Job, Resolved
from dynamo_mcp.progress import Progress
from dynamo_mcp.sandbox import CODE, installation
from dynamo_mcp.sandbox.grants import granted
from dynamo_mcp.sandbox.launch import START_SECONDS, Launch, bubblewrap, launched, needed, packages
from dynamo_mcp.sandbox.policy import most, policy
from dynamo_mcp.sandbox.user import FOLDER, available, claimed, readable
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Backend, Inspected, Rendered
from dynamo_mcp.workers import Key, Worker

ANSWER_SECONDS = 5.0
PONG_SECONDS = 2.0  # an idle worker answers at once; its create would wait for one that hangs

Decide = Callable[[str, dict[str, Any]], Awaitable[None]]


class _Heard(msgspec.Struct, frozen=True):
    last: dict[str, Any]
    resolved: Resolved | None
    refusal: DynamoError | None


class Renderers:
    """The pool of one server; use it as a context manager, which ends every worker on the way out."""

    def __init__(self, settings: Settings, store: Store, confining: Confining) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._store = store
        self._confining = confining
        self._compiled = Compiled(store)
        self._idle: OrderedDict[int, Worker] = OrderedDict()
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        """Enter."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every worker."""
        with anyio.CancelScope(shield=True):
            while self._idle:
                await self._end(self._idle.popitem()[1])

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
        await self._compile(job)
        async with self._done(job, decide, progress) as (heard, worker, output):
            if heard.last.get("event") == "done":
                rendered = jobs.rendered(heard.last, worker.at, output, self._settings)
                mechanisms = ("bubblewrap",) if worker.key.backend == "bubblewrap" else ()
                yield rendered, (*mechanisms, *jobs.mechanisms(heard.last))
        if heard.last.get("event") != "done":
            raise heard.refusal or failures.failure(job, heard.last, self._settings)

    async def _compile(self, job: Job) -> None:
        """Have a template compiled that is not yet, by a job that is told nothing which later ones must not know."""
        place = self._compiled.place(job)
        if place is None or self._compiled.found(place):
            return
        untold = msgspec.structs.replace(job, answers={}, variables={}, hooks=False)
        async with self._done(untold, None, Progress(()), action="compile") as (_, worker, output):
            await self._compiled.keep(place, worker.seen(worker.at.temporary / output.name))

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
        worker = await self._take(job)
        healthy = False
        identity = uuid.uuid4().hex
        paths = [worker.at.output / identity, worker.at.temporary / identity]
        try:
            place = self._compiled.place(job) if action == "create" else None
            known = place if self._compiled.found(place) else None
            message = self._message(job, identity, worker, *paths, known=known)
            await worker.tell({**message, "action": action})
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
            healthy = await self._clear(worker, job, paths)
        finally:
            if healthy:
                await self._give_back(worker)
            else:
                await self._end(worker)

    def _message(
        self, job: Job, identity: str, worker: Worker, output: Path, temporary: Path, *, known: Path | None
    ) -> dict[str, Any]:
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

    async def _take(self, job: Job) -> Worker:
        confinement = await self._confining.confinement()
        landlock = any(name.startswith("landlock") for name in confinement.mechanisms)
        key = Key(
            job.environment.plain,
            job.confined,
            job.template.checkout if job.template.location.live else None,
            None if landlock or not job.confined else job.template.name,
            job.trust == "full",
            granted(job.template.name, job.grants, self._settings),
            confinement.backend if job.confined else None,
        )
        for number in [number for number in reversed(self._idle) if self._idle[number].key == key]:
            worker = self._idle.pop(number, None)
            if worker is not None and await self._lives(worker):
                return worker
        return await self._start(key)

    async def _lives(self, worker: Worker) -> bool:
        """Tell whether an idle worker still answers; end it if not, or if the caller leaves."""
        alive = False
        try:
            with suppress(RendererFailed), anyio.move_on_after(PONG_SECONDS):
                await worker.tell({"action": "ping"})
                alive = (await worker.hear()).get("event") == "pong"
        finally:
            if not alive:
                await self._end(worker)
        return alive

    async def _start(self, key: Key) -> Worker:
        room = self._store.scratch / f"renderer-{uuid.uuid4().hex}"
        room.mkdir()
        room.chmod(0o700)  # nobody else gets at what a template makes, and it inherits no set-gid bit
        home = self._settings.home
        launch = Launch(
            python=key.plain / "bin" / "python",
            packages=packages(key.plain),
            visible=(
                home / "bases",
                home / "venvs",
                home / "checkouts",
                self._compiled.folder,
                *([key.live] if key.live else []),
            ),
            room=room,
            bubblewrap=bubblewrap(self._settings) if key.backend == "bubblewrap" else None,
            git_identity=await self._confining.git_identity(),
            own=self._settings.environment if key.full else None,
            grants=key.grants,
        )
        stack = AsyncExitStack()
        stack.push_async_callback(anyio.to_thread.run_sync, remove, room)
        try:
            launch = await self._with_user(launch, key.backend, stack)
            at = await stack.enter_async_context(launched(launch, self._settings))
            worker = Worker(key, at, stack, self._settings)
            with anyio.fail_after(START_SECONDS):
                await worker.greet()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await stack.aclose()
            if isinstance(error, TimeoutError):
                raise RendererFailed(
                    f"A renderer was not ready after {START_SECONDS:g} seconds", hint="try again on a less busy machine"
                ) from error
            raise
        return worker

    async def _with_user(self, launch: Launch, backend: Backend | None, stack: AsyncExitStack) -> Launch:
        """Have root's jobs become a user of their own; under bubblewrap they do without where that can't be."""
        user = None
        if backend is not None and available() and all(readable(path) for path in needed(launch)):
            user = await stack.enter_async_context(claimed(self._settings.python))
        if backend == "user" and user is None:
            raise RendererFailed(
                "There is no user that a renderer's jobs could become",
                hint=f"make `{FOLDER}` a folder that only root may write to, or install bubblewrap",
            )
        return msgspec.structs.replace(launch, user=user)

    async def _clear(self, worker: Worker, job: Job, paths: list[Path]) -> bool:
        """Have the worker remove what a job left; return whether it can serve another.

        It is not cancelled: the project is in its place by now, and its create has succeeded.
        """
        with anyio.CancelScope(shield=True), anyio.move_on_after(ANSWER_SECONDS):
            try:
                await worker.tell({"action": "clear", "paths": [str(path) for path in paths]})
                said = await worker.hear()
                if "readable" in said:
                    worker.readable[job.template.path] = said["readable"] is True
                return said.get("event") == "cleared"
            except RendererFailed:
                return False
        return False

    async def _give_back(self, worker: Worker) -> None:
        self._idle[next(self._numbers)] = worker
        while len(self._idle) > self._settings.renderers:
            await self._end(self._idle.popitem(last=False)[1])

    async def _end(self, worker: Worker) -> None:
        with anyio.CancelScope(shield=True):
            await worker.stack.aclose()


async def _refusal(resolved: Resolved, decide: Decide | None) -> DynamoError | None:
    """Return why a project is not to be made."""
    try:
        if decide is not None:
            await decide(resolved.directory, resolved.answers)
    except DynamoError as error:
        return error
    return None
