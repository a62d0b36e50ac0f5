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

from dynamo_mcp.copying import Copied, Limits, carry_over, copy_tree, link_tree
from dynamo_mcp.disk import words
from dynamo_mcp.errors import DynamoError, OutputRefused, StorageFailed, TargetExists
from dynamo_mcp.jobs import Job
from dynamo_mcp.progress import Progress
from dynamo_mcp.relocation import Move, repair
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.text import plain
from dynamo_mcp.types import Environment, IfExists, Project, Rendered, Template

STRAYS = 10


class Request(msgspec.Struct, frozen=True):
    """What is asked for.

    Attributes:
        answers: Literal values that fit the template's schema.
        folder: The real folder in which the project's folder will be made.
        notes: What is worth knowing of the request, for the result.
    """

    template: Template
    environment: Environment
    permission: Permission
    answers: dict[str, Any]
    folder: Path
    if_exists: IfExists = "error"
    notes: tuple[str, ...] = ()


class Projects:
    """The projects of one home."""

    def __init__(self, settings: Settings, store: Store, renderers: Renderers) -> None:
        """Make nothing yet."""
        self._settings = settings
        self._store = store
        self._renderers = renderers
        self._limits = Limits(settings.output_bytes, settings.output_files)

    def output_folder(self, wanted: str | None) -> Path:
        """Return the real folder that projects may be written to.

        Args:
            wanted: A path; relative ones count from `outputs/`, for a person from the working directory. None is
                `outputs/` itself.

        Raises:
            OutputRefused: It lies outside what may be written.
        """
        start = Path.cwd() if self._settings.person else self._settings.outputs
        if wanted is not None and ("\0" in wanted or not wanted.strip()):
            raise OutputRefused(f"`{wanted!r}` is not a folder", hint="leave `output_dir` out, or name a folder")
        try:
            folder = self._settings.outputs if wanted is None else start / Path(wanted).expanduser()
            real = Path(os.path.realpath(folder))
            str(real).encode()  # what is told of it is UTF-8
            occupied = os.path.lexists(real) and not real.is_dir()
        except (OSError, RuntimeError, ValueError) as error:
            raise OutputRefused(
                f"`{plain(wanted or '', 200)}` can't be a folder: {error}",
                hint="leave `output_dir` out, or name a folder",
            ) from error
        allowed = [Path(os.path.realpath(root)) for root in (self._settings.outputs, *self._settings.output_roots)]
        if not self._settings.person and not any(real.is_relative_to(root) for root in allowed):
            raise OutputRefused(
                f"Projects may not be written to `{folder}`",
                hint="allowed are folders below "
                + ", ".join(f"`{root}`" for root in allowed)
                + "; an operator allows more with `--output-root` or `DYNAMO_MCP_OUTPUT_ROOTS`",
            )
        if occupied:
            raise OutputRefused(f"`{folder}` is not a folder", hint="name a folder; a missing one is made")
        return real

    async def create(self, request: Request, progress: Progress) -> Project:
        """Make one project; on any failure nothing of it is left.

        Raises:
            TargetExists: Its folder exists, and `if_exists` is `error`.
            RenderFailed: The template is at fault, and so are HookFailed, InvalidTemplate, InvalidAnswers.
            RendererFailed: A renderer is.
            StorageFailed: The disk is.
        """
        with words("make the output folder", request.folder):
            made = _make_folders(request.folder)
        try:
            return await self._create(request, progress)
        except BaseException:
            for folder in made:
                with suppress(OSError):  # another create has put something in it meanwhile
                    folder.rmdir()
            raise

    async def _create(self, request: Request, progress: Progress) -> Project:
        template = request.template

        async def decide(directory: str, _answers: dict[str, Any]) -> None:
            self._refuse_existing(request, request.folder / directory)
            await progress.begin("render", f"rendering `{template.name}`")

        job = Job(
            template,
            request.environment,
            request.answers,
            request.permission.trust,
            request.permission.confined,
            {
                "_template": template.location.address,
                "_output_dir": str(request.folder),
                "_checkout": template.location.revision,
            },
        )
        async with self._renderers.render(job, decide, progress.detail) as (rendered, mechanisms):
            await progress.begin("publish", "checking and publishing")
            return await self._publish(request, rendered, mechanisms, progress)

    def _record(self, identity: str) -> Path:
        return self._store.home / "projects" / f"{identity}.json"

    async def _publish(
        self, request: Request, rendered: Rendered, mechanisms: tuple[str, ...], progress: Progress
    ) -> Project:
        target = request.folder / rendered.directory
        # Few locks for many targets: a lock file stays on the disk.
        name = hashlib.sha256(os.fsencode(target)).hexdigest()[:2]
        async with self._store.lock(f"target-{name}"), self._store.staged(beside=request.folder) as staged:
            self._refuse_existing(request, target)
            merging = target.exists()
            move = Move(str(rendered.seen), str(request.folder), rendered.directory)
            if_exists = request.if_exists if merging else "error"
            copy = partial(copy_tree, limits=self._limits, if_exists=if_exists, move=move)
            with words("write the project", target):
                if merging:
                    await anyio.to_thread.run_sync(link_tree, target, staged)
                copied = await anyio.to_thread.run_sync(copy, rendered.root / rendered.directory, staged)
                notes = await anyio.to_thread.run_sync(repair, staged, copied.marked, move)
                copied.left_out += await anyio.to_thread.run_sync(_strays, rendered)
            project = _project(
                request,
                rendered=rendered,
                mechanisms=mechanisms,
                copied=copied,
                move=move,
                notes=notes,
                progress=progress,
            )
            # The record is there first, and from here on nothing waits: a project in its place is a created one.
            record = self._record(project.id)
            self._store.write(record, msgspec.json.encode(project) + b"\n")
            try:
                if merging:
                    self._store.swap(staged, target)
                else:
                    self._store.publish(staged, target)
            except (FileExistsError, DynamoError) as error:
                record.unlink(missing_ok=True)
                self._refuse_existing(request, target)
                raise StorageFailed(f"`{target}` can't be published: {error}", hint="try again") from error
            if merging:
                with suppress(OSError):
                    carry_over(staged, target, set(copied.files))
        return project

    def _refuse_existing(self, request: Request, target: Path) -> None:
        if not os.path.lexists(target):
            return
        if request.if_exists == "error":
            raise TargetExists(
                f"`{target}` exists already",
                hint="answer so that the project gets another folder name, choose another `output_dir`, or ask for "
                "`if_exists` `skip` (keep what is there) or `overwrite` (replace the files that the template makes)",
            )
        if target.is_symlink() or not target.is_dir():
            raise TargetExists(f"`{target}` is not a folder", hint="remove it, or choose another `output_dir`")


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
    copied: Copied,
    move: Move,
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
        mechanisms=mechanisms,
        hooks=tuple(
            msgspec.structs.replace(run, output=run.output.replace(move.made, move.published)) for run in rendered.hooks
        ),
        left_out=tuple(copied.left_out),
        kept=tuple(copied.kept),
        notes=(*request.notes, *notes),
        seconds={**progress.finish(), **{f"render: {name}": value for name, value in rendered.seconds.items()}},
    )


def _strays(rendered: Rendered) -> list[str]:
    """Report what the template wrote beside its project folder; it is not published."""
    found = []
    try:
        with os.scandir(rendered.root) as entries:
            for entry in entries:
                if entry.name != rendered.directory:
                    found.append(plain(f"../{entry.name}: it is outside the project"))
                if len(found) == STRAYS:
                    break
    except OSError:
        return []
    return sorted(found)
