"""What would be made? Rendered and copied out as a create does it, then looked at and removed: nothing is published."""

from __future__ import annotations

import os
import posixpath
import stat
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec

from dynamo_mcp.comparing import Existing
from dynamo_mcp.copying import Copied, Limits, copy_tree, leave_strays
from dynamo_mcp.differences import Differences, decode
from dynamo_mcp.disk import words
from dynamo_mcp.errors import NotFound, Refused, TargetExists
from dynamo_mcp.jobs import Request
from dynamo_mcp.outputs import refuse_existing
from dynamo_mcp.problems import nearest
from dynamo_mcp.progress import Progress
from dynamo_mcp.project_views import FileText, Preview, PreviewFile
from dynamo_mcp.relocation import Move, repair
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store
from dynamo_mcp.targets import refuse_unasked
from dynamo_mcp.text import plain
from dynamo_mcp.types import Change

FILES = 500
"""Files that are listed; of the others it is told how many there are."""
TEXT_BYTES = 64 << 10
"""Bytes of one file's text, and of a diff."""
COMPARED_BYTES = 1 << 20
"""Bytes that a file may have to be in a diff."""
REASONS = 100


class Look(msgspec.Struct, frozen=True):
    """What of a project is to be seen.

    Attributes:
        hooks: The names of the hooks that a create would run.
        file: The file whose text is wanted.
        diff: A diff against the existing folder is wanted.
        run_hooks: The hooks are to run, too.
    """

    hooks: tuple[str, ...]
    file: str | None = None
    diff: bool = False
    run_hooks: bool = False


class _Seen(msgspec.Struct):
    files: list[PreviewFile]
    bytes: int
    text: FileText | None = None
    differences: Differences | None = None
    not_compared: list[str] = []
    untold: int = 0


class Previews:
    """Looks at projects that are not made."""

    def __init__(self, settings: Settings, store: Store, renderers: Renderers) -> None:
        """Look at nothing yet."""
        self._settings = settings
        self._store = store
        self._renderers = renderers
        self._limits = Limits(settings.output_bytes, settings.output_files)
        self._kept = settings.hook_output_bytes

    async def preview(self, request: Request, progress: Progress, *, look: Look) -> Preview:
        """Show what a create would make; nothing is written but in scratch, and nothing of it is left there.

        Raises:
            Refused: Hooks were asked for, and can't be confined.
            NotFound: There would be no such file.
            TargetExists: There is a folder that nobody asked for; OutputRefused if it may not be written.
            RenderFailed: The template is at fault, and so are HookFailed, InvalidTemplate, InvalidAnswers.
            RendererFailed: A renderer is.
            StorageFailed: The disk is.
        """
        if look.run_hooks and not request.permission.confined:
            raise Refused(
                f"The hooks of `{request.template.name}` can't be confined on this machine, and no preview runs them "
                "otherwise",
                hint="preview without hooks, or see with `dynamo-mcp doctor` what is missing to confine them",
            )

        async def decide(_directory: str, _answers: dict[str, Any]) -> None:
            await progress.begin("render", f"rendering `{request.template.name}`")

        async with self._store.staged() as staged:
            job = request.job(hooks=look.run_hooks)
            async with self._renderers.render(job, decide, progress) as (rendered, mechanisms):
                source, within = rendered.root / rendered.directory, rendered.within
                move = Move(str(rendered.seen), str(request.folder), rendered.directory)
                copy = partial(copy_tree, limits=self._limits, within=within, move=move)
                with words("write the preview", staged):
                    copied = await anyio.to_thread.run_sync(copy, source, staged)
                stray = partial(leave_strays, rendered.root, rendered.directory, copied, within=within)
                await anyio.to_thread.run_sync(stray)
            target = request.folder / rendered.directory
            refuse_unasked(request, rendered.directory, self._settings)
            await progress.begin("compare", "looking at what is there")
            readable = "make the folder readable, or choose another `output_dir`"
            with words("compare the project with what is", target, hint=readable):
                room = self._limits.bytes - copied.bytes
                notes = await anyio.to_thread.run_sync(_repair, request, staged, copied, move, room)
                seen = await anyio.to_thread.run_sync(_look, request, look, staged, copied, target)
        return Preview(
            template=request.template.name,
            directory=rendered.directory,
            path=str(target),
            exists=os.path.lexists(target),
            problem=_problem(request, target),
            files=tuple(seen.files[:FILES]),
            more=len(seen.files[FILES:]),
            empty_folders=tuple(sorted(copied.empty)[:FILES]),
            bytes=seen.bytes,
            answers=rendered.answers,
            hooks=look.hooks if request.permission.trust != "inert" else (),
            ran=move.told(rendered.hooks, self._kept),
            left_out=copied.told,
            text=seen.text,
            diff=seen.differences.text if seen.differences else None,
            diff_cut=seen.differences is not None and seen.differences.cut,
            not_compared=tuple(seen.not_compared),
            trust=request.permission.trust,
            tier=request.permission.tier,
            grants=request.permission.grants,
            mechanisms=mechanisms,
            seconds=progress.finish(),
            notes=(*request.notes, *notes),
        )


def _problem(request: Request, target: Path) -> str | None:
    """Say why a create would refuse."""
    try:
        refuse_existing(target, request.if_exists)
    except TargetExists as error:
        return f"{error.message}; {error.hint}"
    return None


def _repair(request: Request, made: Path, copied: Copied, move: Move, room: int) -> list[str]:
    """Replace the path of the sandbox as a create does; of a file that would stay as it is nothing is told."""
    with Existing(request.folder / move.directory) as existing:
        kept = {path for path in copied.marked if existing.change(made, path, request.if_exists) == "kept"}
    repair(made, sorted(kept), move, room)
    return repair(made, [path for path in copied.marked if path not in kept], move, room)


def _look(request: Request, look: Look, made: Path, copied: Copied, target: Path) -> _Seen:
    seen = _Seen([], 0, differences=Differences(TEXT_BYTES) if look.diff else None)
    if look.file is not None:
        seen.text = _text(made, _find(look.file, copied.files))
    with Existing(target) as existing:
        for path in copied.files:
            reason = None
            try:
                change = existing.change(made, path, request.if_exists)
                if change == "changed" and seen.differences is not None:
                    reason = _differ(made, path, existing, seen.differences)
            except OSError:
                change = "kept" if request.if_exists == "skip" else "changed"
                reason = "it can't be read"
            seen.files.append(_file(made, path, change))
            seen.bytes += seen.files[-1].bytes
            if reason is not None and len(seen.not_compared) < REASONS:
                seen.not_compared.append(plain(f"{path}: {reason}"))
            elif reason is not None:
                seen.untold += 1
    if seen.untold:
        seen.not_compared.append(f"and {seen.untold} more")
    return seen


def _file(made: Path, path: str, change: Change) -> PreviewFile:
    status = (made / path).lstat()
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if not stat.S_ISLNK(status.st_mode):
        return PreviewFile(path, status.st_size, mode, change)
    leads = os.fsencode((made / path).readlink()).decode("utf-8", "replace")
    return PreviewFile(path, 0, mode, change, leads)


def _find(wanted: str, files: list[str]) -> str:
    path = posixpath.normpath(wanted)
    if path in files:
        return path
    near = nearest(path, files)
    raise NotFound(
        f"The project would have no file `{plain(wanted, 200)}`",
        hint=f"did you mean `{plain(near, 200)}`?" if near else "`preview_project` without `file` lists the files",
    )


def _text(made: Path, path: str) -> FileText:
    """Read one file of the project; a link is shown as one, not followed."""
    if (made / path).is_symlink():
        return FileText(path, None)
    with (made / path).open("rb") as file:
        content = file.read(TEXT_BYTES + 1)
    text = decode(content[:TEXT_BYTES])
    return FileText(path, text, binary=text is None, cut=len(content) > TEXT_BYTES)


def _differ(made: Path, path: str, existing: Existing, differences: Differences) -> str | None:
    """Add a file to the diff, or say why it is not in it."""
    before = existing.read(path, COMPARED_BYTES)
    if before is None or (made / path).is_symlink():
        return "it is a link, or not a file, on one side"
    with (made / path).open("rb") as file:
        after = file.read(COMPARED_BYTES + 1)
        mode = os.fstat(file.fileno()).st_mode
    if max(len(before[0]), len(after)) > COMPARED_BYTES:
        return f"it has more than {COMPARED_BYTES} bytes"
    old, new = decode(before[0]), decode(after)
    if old is None or new is None:
        return "it is binary"
    differences.add(path, old, new, (before[1], mode))
    return None
