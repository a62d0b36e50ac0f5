"""Where may a project be written, and what if something is there already?"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from dynamo_mcp.callers import LOCAL, Caller, current
from dynamo_mcp.errors import OutputRefused, TargetExists
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain
from dynamo_mcp.types import IfExists

PATH_BYTES = 3500
"""Of an output folder: what the project holds has to fit behind it (limits.h, PATH_MAX)."""
NAME_BYTES = 255
_READABLE = 40
_DIGITS = 12


def output_folder(settings: Settings, wanted: str | None) -> Path:
    """Return the real folder that projects may be written to.

    Args:
        settings: What an operator allows.
        wanted: A path; relative ones count from `outputs/`, for a person from the working directory. None is
            `outputs/` itself. A caller who had to say who they are has a folder of their own in each of these.

    Raises:
        OutputRefused: It lies outside what may be written.
    """
    caller = current.get()
    outputs = settings.outputs if caller is LOCAL else settings.outputs / folder_of(caller)
    start = Path.cwd() if settings.person else outputs
    if wanted is not None and (any(unicodedata.category(char) == "Cc" for char in wanted) or not wanted.strip()):
        raise OutputRefused(
            f"`{plain(repr(wanted), 200)}` is not a folder", hint="leave `output_dir` out, or name a folder"
        )
    try:
        folder = outputs if wanted is None else start / Path(wanted).expanduser()
        real = Path(os.path.realpath(folder))
        _check_length(str(real).encode())  # what is told of it is UTF-8
        occupied = os.path.lexists(real) and not real.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise OutputRefused(
            f"`{plain(wanted or '', 200)}` can't be a folder: {error}",
            hint="leave `output_dir` out, or name a folder",
        ) from error
    roots: tuple[Path, ...] = (settings.outputs, *settings.output_roots)
    if not caller.may("admin"):
        roots = tuple(root / folder_of(caller) for root in roots)
    allowed = [Path(os.path.realpath(root)) for root in roots]
    if not settings.person and not any(real.is_relative_to(root) for root in allowed):
        raise OutputRefused(
            f"Projects may not be written to `{folder}`",
            hint="allowed are folders below "
            + ", ".join(f"`{root}`" for root in allowed)
            + "; an operator allows more with `--output-root` or `DYNAMO_MCP_OUTPUT_ROOTS`",
        )
    refuse_home(real, settings)
    if occupied:
        raise OutputRefused(f"`{folder}` is not a folder", hint="name a folder; a missing one is made")
    return real


def folder_of(caller: Caller) -> str:
    """Return the name of the folder that a caller has in each folder of all: readable, and nobody else's."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", caller.name).strip("-")[:_READABLE]
    return f"{readable}-{hashlib.sha256(caller.name.encode()).hexdigest()[:_DIGITS]}"


def _check_length(path: bytes) -> None:
    if len(path) > PATH_BYTES or max(map(len, path.split(b"/"))) > NAME_BYTES:
        raise ValueError("it is longer than a path may be")


def refuse_moved(folder: Path) -> None:
    """Refuse a folder that was real when it was allowed, and leads elsewhere by now.

    Raises:
        OutputRefused: There is a link on the way to it.
    """
    if os.path.realpath(folder) != str(folder):
        raise OutputRefused(
            f"`{folder}` leads elsewhere since it was looked at", hint="see who replaces folders there, then try again"
        )


def refuse_home(folder: Path, settings: Settings) -> None:
    """Refuse to write where dynamo-mcp keeps its own.

    Raises:
        OutputRefused: The folder is the home, or lies in it and not in `outputs/`.
    """
    home = Path(os.path.realpath(settings.home))
    if folder.is_relative_to(home) and not folder.is_relative_to(os.path.realpath(settings.outputs)):
        raise OutputRefused(
            f"`{plain(str(folder), 200)}` is where dynamo-mcp keeps its own",
            hint=f"name a folder elsewhere, or below `{settings.outputs}`",
        )


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
