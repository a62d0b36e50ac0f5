"""How does a tree leave the sandbox? Copied through directory descriptors, following no link, counted and checked.

What a template wrote is a stranger's: between two looks at it anything may have changed, so every step is taken
relative to a descriptor that is already open. Regular files, folders and links that stay inside the project are taken;
the rest is left out and reported. Set-uid, set-gid and sticky bits are dropped, other modes kept.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from dynamo_mcp.errors import RenderFailed, StorageFailed
from dynamo_mcp.relocation import Move
from dynamo_mcp.text import plain
from dynamo_mcp.types import IfExists

DEPTH = 60
NAME_BYTES = 255
CHUNK_BYTES = 1 << 20
REASONS = 100
"""Entries of which it is told that and why they were left out."""
STRAYS = 10

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Limits(msgspec.Struct, frozen=True):
    """What a project may have at most: bytes in all its files, and files, folders and links."""

    bytes: int
    entries: int


class Copied(msgspec.Struct):
    """What was copied.

    Attributes:
        files: Paths of files and links, relative to the project.
        left_out: What was not taken, each with the reason.
        kept: Existing files that were not replaced.
        marked: Files that hold a path of the job's own.
    """

    files: list[str] = []
    left_out: list[str] = []
    kept: list[str] = []
    marked: list[str] = []
    bytes: int = 0
    entries: int = 0


def copy_tree(
    source: Path,
    target: Path,
    *,
    limits: Limits,
    within: Path | None = None,
    if_exists: IfExists = "error",
    move: Move | None = None,
) -> Copied:
    """Copy a project that a template made.

    Args:
        source: Its folder.
        target: Where it goes. It may hold files already, unless `if_exists` is `error`.
        limits: What it may have at most.
        within: The folder above the source that is trusted: from there on, no link is followed. None is its parent.
        if_exists: What becomes of a file that is there already.
        move: What paths of the job's own are looked for.

    Raises:
        RenderFailed: It has more than it may, or is nested too deeply.
        OSError: The disk is full, or the like.
    """
    copied = Copied()
    with _opened(source, within or source.parent) as here:
        merging = target.exists()
        target.mkdir(exist_ok=if_exists != "error")
        there = os.open(target, _FOLDER)
        try:
            _Copier(limits, if_exists, copied, move).folder(here, there, "", 0)
            if not merging:  # a person's folder keeps its mode
                _copy_mode(here, there)
        finally:
            os.close(there)
    copied.files.sort()
    return copied


def link_tree(source: Path, target: Path) -> None:
    """Copy an existing project by hard links, so that a merge changes nothing of it until it is swapped in.

    Raises:
        StorageFailed: Something is mounted in it, whose content could not go along.
        OSError: The disk is full, or the like.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            path = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if os.path.ismount(entry.path):
                    raise _mounted(entry.path)
                link_tree(Path(entry.path), path)
            elif entry.is_symlink():
                path.symlink_to(Path(entry.path).readlink())
            else:
                try:
                    os.link(entry.path, path, follow_symlinks=False)
                except OSError as error:
                    if error.errno == errno.EXDEV:
                        raise _mounted(entry.path) from error
                    with open(entry.path, "rb") as file, path.open("xb") as copy:  # noqa: PTH123 - a DirEntry's path
                        while chunk := file.read(CHUNK_BYTES):
                            copy.write(chunk)
                    path.chmod(stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode))
    target.chmod(stat.S_IMODE(source.stat().st_mode))


def strays(root: Path, directory: str, *, within: Path | None = None) -> list[str]:
    """Report what a template wrote beside its project folder; it is not taken.

    Args:
        root: The folder that holds the project's.
        directory: The name of the project's.
        within: As for `copy_tree`.
    """
    found = []
    try:
        with _opened(root, within or root.parent) as here, os.scandir(here) as entries:
            for entry in entries:
                if entry.name != directory:
                    found.append(plain(f"../{entry.name}: it is outside the project"))
                if len(found) == STRAYS:
                    break
    except (OSError, RenderFailed):
        return []
    return sorted(found)


@contextmanager
def _opened(folder: Path, within: Path) -> Iterator[int]:
    """Open a folder one step after the other, and follow no link below what is trusted.

    An absolute link, met on the way through `/proc/<pid>/root`, would lead on from the root of this process.

    Raises:
        RenderFailed: It is not there, or on the way to it is what is no folder.
    """
    with ExitStack() as stack:
        here: int | None = None
        steps: list[str | Path] = [within, *folder.relative_to(within).parts]
        try:
            for name in steps:
                here = os.open(name, _FOLDER if here is not None else _FOLDER & ~os.O_NOFOLLOW, dir_fd=here)
                stack.callback(os.close, here)
        except OSError as error:
            raise RenderFailed(
                f"The template's hooks removed or replaced its own project folder: {error.strerror}",
                hint="mend the template",
            ) from error
        assert here is not None  # noqa: S101 - `within` was opened
        yield here


def carry_over(old: Path, new: Path, made: set[str], prefix: str = "") -> None:
    """Bring along what somebody wrote into a project while its merged copy was made.

    Args:
        old: The project as it was, which is no longer in its place.
        new: The merged copy, which is.
        made: Paths that the template made, and that replaced what was there.
        prefix: Where in the project this is.
    """
    for entry in list(os.scandir(old)):
        path = new / entry.name
        inside = prefix + entry.name
        try:
            there = path.lstat()
        except FileNotFoundError:
            Path(entry.path).rename(path)  # a merge removes nothing, so this is new
            continue
        if entry.is_dir(follow_symlinks=False):
            if stat.S_ISDIR(there.st_mode):
                carry_over(Path(entry.path), path, made, inside + "/")
        elif entry.is_file(follow_symlinks=False) and inside not in made and entry.inode() != there.st_ino:
            Path(entry.path).replace(path)  # it was saved anew, by a rename


def _mounted(path: str) -> StorageFailed:
    return StorageFailed(
        f"`{path}` is mounted inside the project, and can't be part of a merge",
        hint="unmount it first, or create the project elsewhere",
    )


class _Copier:
    def __init__(self, limits: Limits, if_exists: IfExists, copied: Copied, move: Move | None) -> None:
        self._limits = limits
        self._move = move
        self._mark = move.mark if move else b""
        self._if_exists = if_exists
        self._copied = copied

    def folder(self, here: int, there: int, prefix: str, depth: int) -> None:
        if depth > DEPTH:
            raise RenderFailed(
                f"The project is nested more than {DEPTH} folders deep at `{prefix}`", hint="mend the template"
            )
        for name, status in self._entries(here):
            path = prefix + name
            reason = _unusable(name)
            if reason is not None:
                self._leave_out(path, reason)
            elif stat.S_ISDIR(status.st_mode):
                self._subfolder(here, there, name, path, depth)
            elif stat.S_ISREG(status.st_mode):
                self._file(here, there, name, path)
            elif stat.S_ISLNK(status.st_mode):
                self._link(here, there, name, path)
            else:
                self._leave_out(path, "it is neither a file, a folder nor a link")

    def _entries(self, here: int) -> Iterator[tuple[str, os.stat_result]]:
        for name in sorted(os.listdir(here)):
            self._copied.entries += 1
            if self._copied.entries > self._limits.entries:
                raise RenderFailed(
                    f"The project has more than {self._limits.entries} files and folders",
                    hint="mend the template, or allow more with `DYNAMO_MCP_OUTPUT_FILES`",
                )
            yield name, os.stat(name, dir_fd=here, follow_symlinks=False)

    def _subfolder(self, here: int, there: int, name: str, path: str, depth: int) -> None:
        if not self._make_room(there, name, path, folder=True):
            return
        inner = os.open(name, _FOLDER, dir_fd=here)
        try:
            new = not _exists(there, name)
            if new:
                os.mkdir(name, 0o700, dir_fd=there)
            outer = os.open(name, _FOLDER, dir_fd=there)
            try:
                self.folder(inner, outer, path + "/", depth + 1)
                if new:
                    _copy_mode(inner, outer)
            finally:
                os.close(outer)
        finally:
            os.close(inner)

    def _file(self, here: int, there: int, name: str, path: str) -> None:
        if not self._make_room(there, name, path, folder=False):
            return
        inner = os.open(name, _FILE, dir_fd=here)
        try:
            status = os.fstat(inner)
            if not stat.S_ISREG(status.st_mode):
                self._leave_out(path, "it changed while it was copied")
                return
            outer = os.open(name, _NEW, 0o600, dir_fd=there)
            try:
                if self._content(inner, outer):
                    self._copied.marked.append(path)
                os.fchmod(outer, stat.S_IMODE(status.st_mode) & 0o777 | stat.S_IRUSR)
            finally:
                os.close(outer)
        finally:
            os.close(inner)
        self._copied.files.append(path)

    def _content(self, inner: int, outer: int) -> bool:
        """Copy a file; tell whether it holds the mark."""
        marked, end = False, b""
        while chunk := os.read(inner, CHUNK_BYTES):
            if self._mark and not marked:
                marked = self._mark in chunk or self._mark in end + chunk[: len(self._mark)]
                end = chunk[-len(self._mark) :]
            self._copied.bytes += len(chunk)
            if self._copied.bytes > self._limits.bytes:
                raise RenderFailed(
                    f"The project has more than {self._limits.bytes} bytes",
                    hint="mend the template, or allow more with `DYNAMO_MCP_OUTPUT_BYTES`",
                )
            while chunk:
                chunk = chunk[os.write(outer, chunk) :]
        return marked

    def _link(self, here: int, there: int, name: str, path: str) -> None:
        destination = os.readlink(name, dir_fd=here)
        inside = self._move.inside(destination) if self._move else None
        if inside is not None:
            destination = posixpath.relpath(inside, posixpath.dirname(path))
        if _leaves(path, destination):
            self._leave_out(path, f"it is a link that leaves the project, to `{destination}`")
        elif self._make_room(there, name, path, folder=False):
            os.symlink(destination, name, dir_fd=there)
            self._copied.files.append(path)

    def _make_room(self, there: int, name: str, path: str, *, folder: bool) -> bool:
        """Decide about what is there already: True when the new one may be written."""
        try:
            existing = os.stat(name, dir_fd=there, follow_symlinks=False)
        except FileNotFoundError:
            return True
        is_folder = stat.S_ISDIR(existing.st_mode)
        if folder and is_folder:
            return True
        if self._if_exists == "skip" or is_folder:
            # A folder is never removed for a file: it may hold a person's work.
            self._copied.kept.append(path)
            return False
        os.unlink(name, dir_fd=there)
        return True

    def _leave_out(self, path: str, reason: str) -> None:
        if len(self._copied.left_out) < REASONS:
            self._copied.left_out.append(plain(f"{path}: {reason}"))
        elif len(self._copied.left_out) == REASONS:
            self._copied.left_out.append("and more")


def _copy_mode(here: int, there: int) -> None:
    os.fchmod(there, stat.S_IMODE(os.fstat(here).st_mode) & 0o777 | stat.S_IRWXU)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unusable(name: str) -> str | None:
    """Say why no project may have a file of this name, or None."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(encoded) > NAME_BYTES:
        return "its name is too long"
    if any(character < " " or character == "\x7f" for character in name):
        return "its name holds control characters"
    return None


def _leaves(path: str, destination: str) -> bool:
    """Tell whether a link may lead outside the project.

    `..` counts only where the path begins: behind another link's name it would climb from wherever that one leads.
    """
    parts = [part for part in destination.split("/") if part not in {"", "."}]
    climbs = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    depth = posixpath.normpath(path).count("/")
    return destination.startswith("/") or climbs > depth or ".." in parts[climbs:]
