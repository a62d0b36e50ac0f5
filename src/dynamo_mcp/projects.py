"""How is a project made? Rendered in the sandbox, copied out and checked, and published all at once."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from dynamo_mcp.beside import Beside, looked_beside
from dynamo_mcp.copying import BOUNDLESS, Copied, Limits, copy_tree, leave_strays
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


class _Staged(msgspec.Struct, frozen=True):
    """A project that is written, and not in its place yet.

    Attributes:
        folder: Where it is.
        merging: It is a copy of what is in its place, and of what the template made.
        copied: What the template made of it.
        strays: What the template made beside it.
        notes: What is worth knowing of it.
    """

    folder: Path
    merging: bool
    copied: Copied
    strays: Copied
    notes: list[str]


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
        made: list[Path] = []
        with words("make the output folder", request.folder):
            if not request.folder.is_dir():
                made = await anyio.to_thread.run_sync(_make_folders, request.folder)
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

    async def _publish(
        self, request: Request, rendered: Rendered, mechanisms: tuple[str, ...], progress: Progress
    ) -> Project:
        target = request.folder / rendered.directory
        move = Move(str(rendered.seen), str(request.folder), rendered.directory)
        full = request.permission.trust == "full"
        # Few locks for many targets: a lock file stays on the disk.
        name = hashlib.sha256(os.fsencode(target)).hexdigest()[:2]
        async with self._store.lock(f"target-{name}"), self._store.staged(beside=request.folder) as folder:
            with words("write the project", target):
                staged = await anyio.to_thread.run_sync(self._stage, request, rendered, move, folder)
            taken = rendered.root if full else None
            async with looked_beside(self._store, staged.strays, move, take=taken) as beside:

                def finish() -> Project:
                    # Whoever is cancelled from here on waits for it: a project in its place is a created one, with
                    # all that belongs to it.
                    with beside.published():
                        project = _project(
                            request,
                            rendered=rendered,
                            mechanisms=mechanisms,
                            hooks=move.told(rendered.hooks, self._settings.hook_output_bytes),
                            staged=staged,
                            beside=beside,
                            progress=progress,
                        )
                        self._put(request, project, staged, target)
                    return project

                return await anyio.to_thread.run_sync(finish)

    def _stage(self, request: Request, rendered: Rendered, move: Move, folder: Path) -> _Staged:
        """Write a project where it is not seen yet; for a thread, and so is `_put`: a disk may be slow."""
        refuse_target(request, rendered.directory, self._settings)
        target = request.folder / rendered.directory
        merging = target.exists()
        limits = BOUNDLESS if request.permission.trust == "full" else self._limits
        if merging:
            link_tree(target, folder)
        copied = copy_tree(
            rendered.root / rendered.directory,
            folder,
            limits=limits,
            within=rendered.within,
            if_exists=request.if_exists if merging else "error",
            move=move,
        )
        notes = repair(folder, copied.marked, move, limits.bytes - copied.bytes)
        strays = Copied()
        leave_strays(rendered.root, rendered.directory, strays, within=rendered.within)
        return _Staged(folder, merging, copied, strays, notes)

    def _put(self, request: Request, project: Project, staged: _Staged, target: Path) -> None:
        """Put a staged project, its record and what is remembered of it in their places.

        None of it is forced to the disk unless it replaces something: what a power cut takes of a new project, with
        its record, can be made again, and its files are not forced either.
        """
        refuse_moved(request.folder)
        record = self._store.home / "projects" / f"{project.id}.json"
        self._store.write(record, msgspec.json.encode(project) + b"\n", force=False)
        try:
            if staged.merging:
                self._store.swap(staged.folder, target)
            else:
                self._store.publish(staged.folder, target, force=False)
        except (FileExistsError, DynamoError) as error:
            record.unlink(missing_ok=True)
            refuse_existing(target, request.if_exists)
            raise StorageFailed(f"`{target}` can't be published: {error}", hint="try again") from error
        remember(request, target.name, self._settings)
        if staged.merging:
            with suppress(OSError):
                carry_over(staged.folder, target, set(staged.copied.files))


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
    staged: _Staged,
    beside: Beside,
    progress: Progress,
) -> Project:
    template = request.template
    return Project(
        id=uuid.uuid4().hex,
        path=str(request.folder / rendered.directory),
        files=tuple(staged.copied.files),
        answers=rendered.answers,
        template=template.name,
        revision=template.revision or template.digest,
        trust=request.permission.trust,
        tier=request.permission.tier,
        grants=request.permission.grants,
        mechanisms=mechanisms,
        hooks=hooks,
        left_out=(*staged.copied.told, *beside.copied.told),
        kept=tuple(staged.copied.kept),
        notes=(*request.notes, *staged.notes, *beside.notes),
        seconds={**progress.finish(), **{f"render: {name}": value for name, value in rendered.seconds.items()}},
    )
