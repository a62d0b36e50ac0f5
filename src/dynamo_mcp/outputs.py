"""Where may a project be written, and what if something is there already?"""

from __future__ import annotations

import os
from pathlib import Path

from dynamo_mcp.errors import OutputRefused, TargetExists
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain
from dynamo_mcp.types import IfExists


def output_folder(settings: Settings, wanted: str | None) -> Path:
    """Return the real folder that projects may be written to.

    Args:
        settings: What an operator allows.
        wanted: A path; relative ones count from `outputs/`, for a person from the working directory. None is
            `outputs/` itself.

    Raises:
        OutputRefused: It lies outside what may be written.
    """
    start = Path.cwd() if settings.person else settings.outputs
    if wanted is not None and ("\0" in wanted or not wanted.strip()):
        raise OutputRefused(f"`{wanted!r}` is not a folder", hint="leave `output_dir` out, or name a folder")
    try:
        folder = settings.outputs if wanted is None else start / Path(wanted).expanduser()
        real = Path(os.path.realpath(folder))
        str(real).encode()  # what is told of it is UTF-8
        occupied = os.path.lexists(real) and not real.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise OutputRefused(
            f"`{plain(wanted or '', 200)}` can't be a folder: {error}",
            hint="leave `output_dir` out, or name a folder",
        ) from error
    allowed = [Path(os.path.realpath(root)) for root in (settings.outputs, *settings.output_roots)]
    if not settings.person and not any(real.is_relative_to(root) for root in allowed):
        raise OutputRefused(
            f"Projects may not be written to `{folder}`",
            hint="allowed are folders below "
            + ", ".join(f"`{root}`" for root in allowed)
            + "; an operator allows more with `--output-root` or `DYNAMO_MCP_OUTPUT_ROOTS`",
        )
    if occupied:
        raise OutputRefused(f"`{folder}` is not a folder", hint="name a folder; a missing one is made")
    return real


def refuse_existing(target: Path, if_exists: IfExists) -> None:
    """Refuse a project's folder that is there already, unless it is to be merged with.

    Raises:
        TargetExists: It is there, or is no folder.
    """
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise TargetExists(
            f"`{target}` exists already, and is not a folder",
            hint="remove it, answer so that the project gets another folder name, or choose another `output_dir`",
        )
    if if_exists == "error":
        raise TargetExists(
            f"`{target}` exists already",
            hint="answer so that the project gets another folder name, choose another `output_dir`, or ask for "
            "`if_exists` `skip` (keep what is there) or `overwrite` (replace the files that the template makes)",
        )
