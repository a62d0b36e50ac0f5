"""How does an archive become a tree? All of it is linted first; then it is written, links last.

Nothing is written through a link, since none is there before all else is.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import anyio.from_thread
import msgspec

from dynamo_mcp.disk import ignores_case
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.entries import Member, opened
from dynamo_mcp.sources.tree import Entry, Lint, is_beside, is_rendered, name_problem
from dynamo_mcp.sources.wording import shown

_CHUNK = 1 << 20
_DEPTH = 64
_BY_MACOS = "__MACOSX"
_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_TOLD = 20


def unpack(archive: Path, tree: Path, *, where: str, directory: str | None, settings: Settings) -> tuple[str, ...]:
    """Unpack an archive into a new folder; one folder that holds all the rest is left away.

    Args:
        archive: The file, which nobody else changes; beside it there is room for what it decompresses to.
        tree: The folder to make.
        where: The location as messages name it.
        directory: The template's folder in the tree; None is its root.
        settings: Limits, and the password.

    Returns:
        What was left out of a folder that projects are made of: each path, and why.

    Raises:
        InvalidTemplate: It is too big, grows too much, or something in it can't be used.
        InvalidLocation: The directory is not there.
        PasswordNeeded: It is encrypted.
        FetchFailed: It is damaged or cut off, or of no kind that is known.
    """
    with opened(archive, where, settings) as entries:
        lint = Lint(where, settings, ignores_case=ignores_case(tree.parent))
        members, told = _linted(list(entries), lint)
        lint.finish(directory)
        tree.mkdir(mode=0o755)
        for member in members:
            anyio.from_thread.check_cancelled()
            if member.mode is not None and member.mode & _BITS and is_rendered(member.entry.path):
                told.append(f"{member.entry.path}: no file gets a set-uid, set-gid or sticky bit")
            _write(member, tree)
        for member in members:
            if member.entry.kind == "link":
                (tree / member.entry.path).symlink_to(member.entry.target)
    return (*told[:_TOLD], "and more") if len(told) > _TOLD else tuple(told)


def _linted(every: list[Member], lint: Lint) -> tuple[list[Member], list[str]]:
    """Lint what an archive names; return what is to be written, folders before what they hold, and what is left out."""
    kept: list[Member] = []
    beside: list[str] = []
    top = _only_folder([member.entry for member in every])
    for given in every:
        path = given.entry.path.removeprefix(top)
        if not path or f"{path}/" == top or path.partition("/")[0] == _BY_MACOS:
            continue
        if any(is_beside("/".join(path.split("/")[: number + 1])) for number in range(path.count("/") + 1)):
            beside.append(path)
            continue
        if path.count("/") >= _DEPTH:
            lint.refuse(f"{shown(path)} lies more than {_DEPTH} folders deep")
            continue
        if problem := name_problem(path):  # told once, not again of the folders above
            lint.refuse(f"{shown(path)} {problem}")
            continue
        member = msgspec.structs.replace(given, entry=msgspec.structs.replace(given.entry, path=path))
        if _has_room(member.entry, lint):
            lint.add(member.entry)
            kept.append(member)
    told = [f"{path}: a repository's own `.git` is no part of a template" for path in beside if is_rendered(path)]
    return sorted(kept, key=lambda member: member.entry.path.count("/")), told


def _only_folder(entries: list[Entry]) -> str:
    """Return the one folder that holds all the rest, with its `/`; empty where there is none."""
    tops = {entry.path.partition("/")[0] for entry in entries} - {_BY_MACOS, ""}
    if len(tops) != 1:
        return ""
    (top,) = tops
    alone = any(entry.path == top and entry.kind != "directory" for entry in entries)
    return "" if alone else f"{top}/"


def _has_room(entry: Entry, lint: Lint) -> bool:
    """Tell whether an entry is to be added: not where it is a folder that is known, nor where another one is."""
    parts = entry.path.split("/")
    for number in range(1, len(parts)):
        above = "/".join(parts[:number])
        known = lint.entries.get(above)
        if known is None:
            lint.add(Entry(above, "directory"))
        elif known.kind != "directory":
            lint.refuse(f"{shown(entry.path)} lies in {shown(above)}, which is no folder")
            return False
    known = lint.entries.get(entry.path)
    if known is None:
        return True
    if {known.kind, entry.kind} != {"directory"}:
        lint.refuse(f"{shown(entry.path)} is in it twice")
    return False


def _write(member: Member, tree: Path) -> None:
    target = tree / member.entry.path
    if member.entry.kind == "directory":
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if member.source is None:  # a link, which comes last
        return
    left = member.entry.size
    with member.source() as reader, target.open("xb") as writer:
        while left and (chunk := reader.read(min(left, _CHUNK))):
            anyio.from_thread.check_cancelled()
            writer.write(chunk)
            left -= len(chunk)
        if left or reader.read(1):
            raise EOFError(f"{member.entry.path} is not of the size that it says")
        mode = 0o644 if member.mode is None else member.mode & 0o755 | stat.S_IRUSR
        os.fchmod(writer.fileno(), mode)
