"""May a project be this folder? Its name is the template's choice, and what has that name may be somebody else's.

A caller who names an output folder means a new project in it, not whatever lies there: a template could call its
project `.ssh`. So a folder is merged with for a person, or where the caller's answers say its name, or where the
template made it before; and one that is hidden only where they say its very name, or likewise.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio.to_thread
import msgspec

from dynamo_mcp.errors import OutputRefused, TargetExists
from dynamo_mcp.jobs import Request
from dynamo_mcp.outputs import refuse_existing, refuse_home
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain


class _Record(msgspec.Struct, frozen=True):
    path: str
    template: str


async def refuse_target(request: Request, directory: str, settings: Settings) -> None:
    """Refuse a folder that is there already, or that nobody asked for.

    Args:
        request: What the project is made from, and who answered what.
        directory: The name that the template computed.
        settings: Who speaks, and where the home is.

    Raises:
        TargetExists: It is there, and may not be merged with.
        OutputRefused: It is hidden, or the home.
    """
    refuse_existing(request.folder / directory, request.if_exists)
    await refuse_unasked(request, directory, settings)


async def refuse_unasked(request: Request, directory: str, settings: Settings) -> None:
    """Refuse a folder that nobody asked for: also to look at what is in it.

    Raises:
        TargetExists: It is there.
        OutputRefused: It is hidden, or the home.
    """
    target = request.folder / directory
    refuse_home(target, settings)
    said = [answer for answer in request.answers.values() if isinstance(answer, str)]
    if directory in said:
        return
    hidden = directory.startswith(".")
    there = target.is_dir() and not target.is_symlink()
    theirs = there and not settings.person and _bare(directory) not in {*map(_bare, said)} - {""}
    if not (hidden or theirs) or await anyio.to_thread.run_sync(_made, settings.home, target, request.template.name):
        return
    name = plain(directory, 200)
    if hidden:
        raise OutputRefused(
            f"`{request.template.name}` calls its project `{name}`, which is hidden, and no answer says so",
            hint=f"if that is meant, give `{name}` as an answer; otherwise answer so that it gets another name",
        )
    raise TargetExists(
        f"`{target}` exists already, `{request.template.name}` did not make it, and no answer says its name",
        hint=f"if this folder is meant, let an answer say `{name}`, or a person merge with it in a shell; otherwise "
        "choose another `output_dir`",
    )


def _bare(name: str) -> str:
    """Return the letters and digits of a name, which templates keep when they make a folder's name of an answer."""
    return "".join(char for char in name.casefold() if char.isalnum())


def _made(home: Path, target: Path, template: str) -> bool:
    """Tell whether a record says that the template made a folder."""
    for path in (home / "projects").glob("*.json"):
        with suppress(OSError, msgspec.DecodeError):
            if msgspec.json.decode(path.read_bytes(), type=_Record) == _Record(str(target), template):
                return True
    return False
