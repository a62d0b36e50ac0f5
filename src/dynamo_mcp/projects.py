"""How is a project made? Rendered in the sandbox, copied out and checked, and published all at once."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from dynamo_mcp.beside import Beside, looked_beside
from dynamo_mcp.copying import BOUNDLESS, Copied, Limits, copy_tree
from dynamo_mcp.disk import words
from dynamo_mcp.errors import DynamoError, StorageFailed
from dynamo_mcp.jobs import Request
from dynamo_mcp.merging import carry_over, link_tree
from dynamo_mcp.outputs import refuse_existing, refuse_moved
from dynamo_mcp.progress import Progress
from dynamo_mcp.project_views import Project
from dynamo_mcp.relocation import Move, repair
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.targets import refuse_target, remember
from dynamo_mcp.types import HookRun, Rendered


class Projects:
    """The projects of one home."""

    def __init__(self, settings: Settings, store: Store, renderers: Renderers) -> None:
        """Make nothing yet."""
        self._settings = settings
        self._store = store
        self._renderers = renderers
        self._limits = Limits(settings.output_bytes, settings.output_files)

    async def create(self, request: Request, progress: Progress) -> Project:
        """Make one project; on any failure nothing of it is left.

        Raises:
            TargetExists: Its folder exists, and `if_exists` is `error`, or nobody asked for it.
        OutputRefused: It may not be written.
            RenderFailed: The template is at fault, and so are HookFailed, InvalidTemplate, InvalidAnswers.
            RendererFailed: A renderer is.
            StorageFailed: The disk is.
        """
        with words("make the output folder", request.folder):
            made = _make_folders(request.folder)
        try:
            refuse_moved(request.folder)
            return await self._create(request, progress)
        except BaseException:  # also a cancelled create leaves no folder
            for folder in made:
                with suppress(OSError):  # another create has put something in it meanwhile
                    folder.rmdir()
            raise

    async def _create(self, request: Request, progress: Progress) -> Project:
        async def decide(directory: str, _answers: dict[str, Any]) -> None:
            refuse_target(request, directory, self._settings)
            await progress.begin("render", f"rendering `{request.template.name}`")

        async with self._renderers.render(request.job(), decide, progress) as (rendered, mechanisms):
            await progress.begin("publish", "checking and publishing")
            return await self._publish(request, rendered, mechanisms, progress)

    def _record(self, identity: str) -> Path:
        return self._store.home / "projects" / f"{identity}.json"

    async def _publish(
        self, request: Request, rendered: Rendered, mechanisms: tuple[str, ...], progress: Progress
    ) -> Project:
        target = request.folder / rendered.directory
        full = request.permission.trust == "full"
        # Few locks for many targets: a lock file stays on the disk.
        name = hashlib.sha256(os.fsencode(target)).hexdigest()[:2]
        async with self._store.lock(f"target-{name}"), self._store.staged(beside=request.folder) as staged:
            refuse_target(request, rendered.directory, self._settings)
            merging = target.exists()
            move = Move(str(rendered.seen), str(request.folder), rendered.directory)
            if_exists = request.if_exists if merging else "error"
            limits = BOUNDLESS if full else self._limits
            within = rendered.within
            copy = partial(copy_tree, limits=limits, within=within, if_exists=if_exists, move=move)
            with words("write the project", target):
                if merging:
                    await anyio.to_thread.run_sync(link_tree, target, staged)
                copied = await anyio.to_thread.run_sync(copy, rendered.root / rendered.directory, staged)
                room = limits.bytes - copied.bytes
                notes = await anyio.to_thread.run_sync(repair, staged, copied.marked, move, room)
            async with looked_beside(self._store, rendered.root, move, take=full, within=within) as beside:
                # From here on nothing waits: a project in its place is a created one, with all that belongs to it.
                with beside.published():
                    project = _project(
                        request,
                        rendered=rendered,
                        mechanisms=mechanisms,
                        hooks=move.told(rendered.hooks, self._settings.hook_output_bytes),
                        copied=copied,
                        beside=beside,
                        notes=notes,
                        progress=progress,
                    )
                    self._put(request, project, staged, target, merging=merging)
                    remember(request, rendered.directory, self._settings)
                    if merging:
                        with suppress(OSError):
                            carry_over(staged, target, set(copied.files))
        return project

    def _put(self, request: Request, project: Project, staged: Path, target: Path, *, merging: bool) -> None:
        refuse_moved(request.folder)
        record = self._record(project.id)
        self._store.write(record, msgspec.json.encode(project) + b"\n")
        try:
            if merging:
                self._store.swap(staged, target)
            else:
                self._store.publish(staged, target)
        except (FileExistsError, DynamoError) as error:
            record.unlink(missing_ok=True)
            refuse_existing(target, request.if_exists)
            raise StorageFailed(f"`{target}` can't be published: {error}", hint="try again") from error


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; return those that were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _project(
    request: Request,
    *,
    rendered: Rendered,
    mechanisms: tuple[str, ...],
    hooks: tuple[HookRun, ...],
    copied: Copied,
    beside: Beside,
    notes: list[str],
    progress: Progress,
) -> Project:
    template = request.template
    return Project(
        id=uuid.uuid4().hex,
        path=str(request.folder / rendered.directory),
        files=tuple(copied.files),
        answers=rendered.answers,
        template=template.name,
        revision=template.revision or template.digest,
        trust=request.permission.trust,
        tier=request.permission.tier,
        grants=request.permission.grants,
        mechanisms=mechanisms,
        hooks=hooks,
        left_out=(*copied.told, *beside.copied.told),
        kept=tuple(copied.kept),
        notes=(*request.notes, *notes, *beside.notes),
        seconds={**progress.finish(), **{f"render: {name}": value for name, value in rendered.seconds.items()}},
    )
