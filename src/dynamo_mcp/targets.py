"""May a project be this folder? Its name is the template's choice, and what has that name may be somebody else's.

A caller who names an output folder means a new project in it, not whatever lies there: a template could call its
project `.ssh`. So a folder is merged with for a person, or where the caller's answers say its name, or where the
template made it before; and one that is hidden only where they say its very name, or likewise.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from dynamo_mcp.errors import OutputRefused, TargetExists
from dynamo_mcp.jobs import Request
from dynamo_mcp.outputs import refuse_existing, refuse_home
from dynamo_mcp.settings import Settings
from dynamo_mcp.text import plain


class _Made(msgspec.Struct, frozen=True):
    """Who made a folder last: `targets/<digest of its path>.json`.

    Attributes:
        path: The folder.
        folder: Its inode, which another one in its place rarely has.
        template: The template's name.
        address: Where that comes from: another template may have the name by now.
    """

    path: str
    folder: int
    template: str
    address: str


def refuse_target(request: Request, directory: str, settings: Settings) -> None:
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
    refuse_unasked(request, directory, settings)


def refuse_unasked(request: Request, directory: str, settings: Settings) -> None:
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
    if not (hidden or theirs) or _made(request, target, settings):
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


def remember(request: Request, directory: str, settings: Settings) -> None:
    """Remember which template made a folder; where that fails, an answer has to say its name the next time."""
    target = request.folder / directory
    with suppress(OSError):
        # Not forced to the disk: what is torn by a crash is as good as nothing.
        _file(target, settings).write_bytes(msgspec.json.encode(_made_now(request, target)))


def pointless(record: Path, *, old: bool) -> bool:
    """Tell whether a record says nothing any more: the folder that a template made is gone, or another one is there.

    Args:
        record: A file of `targets/`.
        old: It was written so long ago that also a folder above may be missed, which is on a disk that is away, say.
    """
    try:
        made = msgspec.json.decode(record.read_bytes(), type=_Made)
        return Path(made.path).lstat().st_ino != made.folder
    except FileNotFoundError:
        return old or Path(made.path).parent.is_dir()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    except (OSError, ValueError):
        return False


def _bare(name: str) -> str:
    """Return the letters and digits of a name, which templates keep when they make a folder's name of an answer."""
    return "".join(char for char in name.casefold() if char.isalnum())


def _made(request: Request, target: Path, settings: Settings) -> bool:
    """Tell whether the template is known to have made a folder last, and that one is still there."""
    try:
        return msgspec.json.decode(_file(target, settings).read_bytes(), type=_Made) == _made_now(request, target)
    except (OSError, msgspec.DecodeError):
        return False


def _made_now(request: Request, target: Path) -> _Made:
    template = request.template
    return _Made(str(target), target.stat().st_ino, template.name, template.location.address)


def _file(target: Path, settings: Settings) -> Path:
    return settings.home / "targets" / f"{hashlib.sha256(os.fsencode(target)).hexdigest()}.json"
