"""How does a tree leave the sandbox? Copied through directory descriptors, following no link, counted and checked.

What a template wrote is a stranger's: between two looks at it anything may have changed, so every step is taken
relative to a descriptor that is already open. Regular files, folders and links that stay inside the project are taken,
links that leave it only where everything may be written anyway; the rest is left out and reported, and so are set-uid,
set-gid and sticky bits; other modes are kept.
"""

from __future__ import annotations

import os
import posixpath
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from dynamo_mcp.disk import colliding, ignores_case
from dynamo_mcp.errors import RenderFailed
from dynamo_mcp.relocation import Move
from dynamo_mcp.text import plain
from dynamo_mcp.types import IfExists

DEPTH = 60
NAME_BYTES = 255
CHUNK_BYTES = 1 << 20
MARK_BYTES = 256
"""What is looked for has less."""
REASONS = 100
"""Entries of which it is told that and why they were left out."""
STRAYS = 10
"""Entries beside the project, likewise."""

_BITS = {stat.S_ISUID: "set-uid", stat.S_ISGID: "set-gid", stat.S_ISVTX: "sticky"}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Limits(msgspec.Struct, frozen=True):
    """What a project may have.

    Attributes:
        bytes: In all its files, at most.
        entries: Files, folders and links, at most.
        links_out: Links may lead out of it.
    """

    bytes: int
    entries: int
    links_out: bool = False


BOUNDLESS = Limits(sys.maxsize, sys.maxsize, links_out=True)
"""What the project of a template may have that could write anything anywhere anyway."""


class Copied(msgspec.Struct):
    """What was copied.

    Attributes:
        files: Paths of files and links, relative to the project.
        left_out: What was not taken, each with the reason.
        empty: Paths of folders without anything in them.
        more: How much more was not taken, and is only counted.
        kept: What was there and was not replaced.
        marked: Files that hold a path of the job's own.
    """

    files: list[str] = []
    left_out: list[str] = []
    empty: list[str] = []
    more: int = 0
    kept: list[str] = []
    marked: list[str] = []
    bytes: int = 0
    entries: int = 0

    @property
    def told(self) -> tuple[str, ...]:
        """What was not taken, for a person."""
        return (*self.left_out, *([f"and {self.more} more"] if self.more else ()))


def copy_tree(
    source: Path,
    target: Path,
    *,
    limits: Limits,
    within: Path | None = None,
    if_exists: IfExists = "error",
    move: Move | None = None,
    without: frozenset[str] = frozenset(),
    one_case: bool | None = None,
) -> Copied:
    """Copy a project that a template made.

    Args:
        source: Its folder.
        target: Where it goes. It may hold files already, unless `if_exists` is `error`.
        limits: What it may have at most.
        within: The folder above the source that is trusted: from there on, no link is followed. None is its parent.
        if_exists: What becomes of a file that is there already.
        move: What paths of the job's own are looked for.
        without: Names in it that are not looked at.
        one_case: The target's disk takes names for one that differ only in case; None is to try.

    Raises:
        RenderFailed: It has more than it may, is nested too deeply, or has names that are one on that disk.
        OSError: The disk is full, or the like.
    """
    copied = Copied()
    with _opened(source, within or source.parent) as here:
        merging = target.exists()
        target.mkdir(exist_ok=if_exists != "error")
        there = os.open(target, _FOLDER)
        try:
            one_case = ignores_case(target) if one_case is None else one_case
            copier = _Copier(limits, if_exists, copied, move, one_case=one_case)
            copier.folder(here, there, "", 0, without)
            if not merging:  # a person's folder keeps its mode
                copier.mode(here, there, ".", stat.S_IRWXU)
        finally:
            os.close(there)
    copied.files.sort()
    return copied


def leave_strays(root: Path, directory: str, copied: Copied, *, within: Path | None = None) -> None:
    """Tell what a template wrote beside its project folder; it is not taken.

    Args:
        root: The folder that holds the project's.
        directory: The name of the project's.
        copied: What was copied of that.
        within: As for `copy_tree`.
    """
    found: list[str] = []
    with suppress(OSError, RenderFailed), _opened(root, within or root.parent) as here, os.scandir(here) as entries:
        for entry in entries:
            if entry.name != directory and len(found) < STRAYS:
                found.append(plain(f"../{entry.name}: it is outside the project"))
            elif entry.name != directory:
                copied.more += 1
    copied.left_out += sorted(found)


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


class _Copier:
    def __init__(
        self, limits: Limits, if_exists: IfExists, copied: Copied, move: Move | None, *, one_case: bool
    ) -> None:
        self._limits = limits
        self._one_case = one_case
        self._move = move
        self._marks = move.marks if move else ()
        self._if_exists = if_exists
        self._copied = copied

    def folder(self, here: int, there: int, prefix: str, depth: int, without: frozenset[str] = frozenset()) -> None:
        if depth > DEPTH:
            raise RenderFailed(
                f"The project is nested more than {DEPTH} folders deep at `{prefix}`", hint="mend the template"
            )
        for name, status in self._entries(here, prefix, without):
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

    def _entries(self, here: int, prefix: str, without: frozenset[str]) -> Iterator[tuple[str, os.stat_result]]:
        names = sorted({*os.listdir(here)} - without)
        if self._one_case and (one := colliding(names)):
            raise RenderFailed(
                f"`{plain(prefix + one[0])}` and `{plain(prefix + one[1])}` are one name on the project's disk",
                hint="choose an `output_dir` on a disk that tells names apart that differ only in case",
            )
        for name in names:
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
                if not os.listdir(outer):
                    self._copied.empty.append(path)
                if new:
                    self.mode(inner, outer, path, stat.S_IRWXU)
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
                self.mode(inner, outer, path, stat.S_IRUSR)
            finally:
                os.close(outer)
        finally:
            os.close(inner)
        self._copied.files.append(path)

    def _content(self, inner: int, outer: int) -> bool:
        """Copy a file; tell whether it holds the mark."""
        marked, end = False, b""
        while chunk := os.read(inner, CHUNK_BYTES):
            for mark in self._marks if not marked else ():
                marked = marked or mark in chunk or mark in end + chunk[: len(mark)]
            end = chunk[-MARK_BYTES:]
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
            # Nothing of it is tidied: behind another link's name `..` may climb from anywhere.
            destination = "../" * path.count("/") + inside or "."
        if _leaves(path, destination) and not self._limits.links_out:
            self._leave_out(path, f"it is a link that leaves the project, to `{destination}`")
        elif self._make_room(there, name, path, folder=False):
            os.symlink(destination, name, dir_fd=there)
            self._copied.files.append(path)

    def mode(self, here: int, there: int, path: str, always: int) -> None:
        """Copy a mode but for the bits that nothing gets; its owner keeps those of `always`."""
        mode = os.fstat(here).st_mode
        os.fchmod(there, mode & 0o777 | always)
        for bit in (name for number, name in _BITS.items() if mode & number):
            self._leave_out(path, f"it is there without its {bit} bit")

    def _make_room(self, there: int, name: str, path: str, *, folder: bool) -> bool:
        """Decide about what is there already: True when the new one may be written."""
        try:
            existing = os.stat(name, dir_fd=there, follow_symlinks=False)
        except FileNotFoundError:
            return True
        is_folder = stat.S_ISDIR(existing.st_mode)
        if folder and is_folder:
            return True
        if self._if_exists == "skip" or folder or is_folder:
            # Only a file or a link is replaced by one: a person's work is lost nowhere but where they said so.
            self._copied.kept.append(path)
            return False
        os.unlink(name, dir_fd=there)
        return True

    def _leave_out(self, path: str, reason: str) -> None:
        if len(self._copied.left_out) < REASONS:
            self._copied.left_out.append(plain(f"{path}: {reason}"))
        else:
            self._copied.more += 1


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
