"""What does a tree hold, and may it be used?

`Lint` decides from names, sizes and link targets alone, without I/O, so the same rules hold for git's listing of a
commit (before anything is checked out) and for a folder. It refuses what can harm and nothing else: templates are full
of names with braces, quotes, pipes, spaces and non-ASCII letters. Names that differ only in case are fine on Linux, but
where one of them is a link or a folder, what is written under one name could land behind the other (CVE-2021-21300).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from dynamo_mcp.errors import InvalidLocation, InvalidTemplate
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources.wording import shown
from dynamo_mcp.text import folded

Kind: TypeAlias = Literal["file", "directory", "link"]

_BESIDE = frozenset({".git", ".hg", ".venv", "__pycache__"})
"""What a local folder holds besides its template: history, environments and bytecode."""

_MARKED = re.compile(r"[^\w .-]")
NAME_BYTES = 255
PATH_BYTES = 2048
TARGET_BYTES = 1024
_LINKS_FOLLOWED = 64  # the kernel gives up at 40, so what is still not resolved here is never resolved there
_STEPS_FOLLOWED = 500_000
_SHOWN = 8
# Characters that HFS+ ignores in names (git's `next_hfs_char`), so that `.g<ZWJ>it` is `.git` there.
_IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF],
)


class Entry(msgspec.Struct, frozen=True):
    """One name of a tree.

    Attributes:
        path: Relative to the tree's root, `/`-separated.
        size: Bytes, of a file.
        target: What a link points to, as written in it.
    """

    path: str
    kind: Kind
    size: int = 0
    target: str = ""


class Lint:
    """Collects a tree's entries and every reason not to use it."""

    def __init__(self, where: str, settings: Settings, *, ignores_case: bool = False) -> None:
        """Begin with an empty tree.

        Args:
            where: The location as messages name it.
            settings: Its limits for the number of entries and for their bytes.
            ignores_case: The disk that the tree will lie on takes names that differ only in case for one.
        """
        self.entries: dict[str, Entry] = {}
        self._where = where
        self._ignores_case = ignores_case
        self._settings = settings
        self._bytes = 0
        self._problems: list[str] = []
        self._links: dict[str, str] = {}
        self._steps = 0

    def add(self, entry: Entry) -> None:
        """Take in the next entry.

        Raises:
            InvalidTemplate: The tree has too many entries or bytes; there is no point in looking at the rest.
        """
        self.entries[entry.path] = entry
        self._bytes += entry.size
        if len(self.entries) > self._settings.template_files:
            raise too_many(self._where, self._settings)
        if self._bytes > self._settings.template_bytes:
            raise too_big(self._where, self._settings)
        if problem := name_problem(entry.path):
            self.refuse(f"{shown(entry.path)} {problem}")
        if entry.kind == "link":
            self._links[entry.path] = entry.target

    def refuse(self, problem: str) -> None:
        """Note a reason not to use the tree."""
        self._problems.append(problem)

    def finish(self, directory: str | None) -> None:
        """Decide.

        Args:
            directory: The template's folder in the tree; None is its root.

        Raises:
            InvalidTemplate: With every problem, though no more than a person reads.
            InvalidLocation: The directory is not there.
        """
        for path, target in self._links.items():
            if problem := self._target_problem(path, target):
                self.refuse(f"the link {shown(path)} to {shown(target)} {problem}")
        self._refuse_collisions()
        if self._problems:
            more = len(self._problems) - _SHOWN
            text = "; ".join(self._problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise InvalidTemplate(
                f"`{self._where}` can't be used: {text}",
                hint="ask the template's author to remove these, or copy the template and remove them there",
            )
        if directory is not None:
            self._check_directory(directory)

    def _refuse_collisions(self) -> None:
        first: dict[str, Entry] = {}
        for entry in self.entries.values():
            other = first.setdefault(folded(entry.path), entry)
            harmful = self._ignores_case or entry.kind != other.kind or entry.kind == "link"
            if other is not entry and harmful:
                self.refuse(f"{shown(other.path)} and {shown(entry.path)} differ only in how they are written")

    def _target_problem(self, path: str, target: str) -> str | None:
        if not target or len(os.fsencode(target)) > TARGET_BYTES or not _is_text(target):
            return "has no target that a link may have"
        if self._leaves(path, target):
            return "leaves the template's tree"
        return None

    def _leaves(self, path: str, target: str) -> bool:
        """Follow a link as the kernel would: through other links of the tree, not by rewriting its text."""
        followed = 0
        at = path.split("/")[:-1]
        pending = target.split("/")[::-1]
        if target.startswith("/"):
            return True
        while pending:
            self._steps += 1
            if self._steps > _STEPS_FOLLOWED:
                return True
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not at:
                    return True
                at.pop()
                continue
            at.append(part)
            link = self._links.get("/".join(at))
            if link is not None:
                followed += 1
                if followed > _LINKS_FOLLOWED:
                    return False
                if link.startswith("/"):
                    return True
                at.pop()
                pending += link.split("/")[::-1]
        return False

    def _check_directory(self, directory: str) -> None:
        entry = self.entries.get(directory)
        if entry is not None and entry.kind == "directory":
            return
        ending = "/cookiecutter.json"
        holders = sorted(
            (path.removesuffix(ending) for path in self.entries if path.endswith(ending)),
            key=lambda path: (path.count("/"), path),
        )
        names = ", ".join(f"`{name}`" for name in holders[:_SHOWN])
        if names:
            hint = f"folders there that hold a `cookiecutter.json`: {names}"
        elif "cookiecutter.json" in self.entries:
            hint = "leave `directory` out: the template is at the root"
        else:
            hint = "check the address: nothing there holds a `cookiecutter.json`"
        raise InvalidLocation(f"There is no folder `{directory}` in `{self._where}`", hint=hint)


def too_many(where: str, settings: Settings) -> InvalidTemplate:
    """Return the error for a tree of too many entries."""
    return InvalidTemplate(
        f"`{where}` has more than {settings.template_files} files and folders",
        hint="name a smaller template, or allow more with `DYNAMO_MCP_TEMPLATE_FILES`",
    )


def too_big(where: str, settings: Settings) -> InvalidTemplate:
    """Return the error for a tree of too many bytes."""
    return InvalidTemplate(
        f"`{where}` has more than {settings.template_bytes} bytes",
        hint="name a smaller template, or allow more with `DYNAMO_MCP_TEMPLATE_BYTES`",
    )


def is_rendered(path: str) -> bool:
    """Tell whether something lies in a folder that a project is made of, such as `{{cookiecutter.slug}}`.

    A template may choose other marks than braces; that there are some is enough.
    """
    return any("cookiecutter" in folder and _MARKED.search(folder) for folder in path.split("/")[:-1])


def is_beside(path: str) -> bool:
    """Tell whether something in a local folder is no part of its template: history, environments and bytecode.

    In what a project is made of only `.git` is none: git would obey what its configuration says.
    """
    name = path.rpartition("/")[2]
    return name == ".git" or (name in _BESIDE and not is_rendered(path))


def digest(root: Path, *, leave_out: Callable[[str], bool] | None = None) -> str:
    """Hash a tree: each entry's path, kind, x bit, and content or link target, in the order of the paths' bytes.

    Args:
        root: Its folder.
        leave_out: Says of a path, relative to the root, that it is passed over, with all that is in it.

    Returns:
        SHA-256 in hexadecimal.

    Raises:
        OSError: Something can't be read.
    """
    total = hashlib.sha256()
    for path in sorted(_walk(root, leave_out), key=os.fsencode):
        status = path.lstat()
        executable, content = False, b""
        if stat.S_ISLNK(status.st_mode):
            kind, content = "link", os.readlink(os.fsencode(path))  # noqa: PTH115 - a Path would tidy it
        elif stat.S_ISDIR(status.st_mode):
            kind = "directory"
        else:
            kind, executable = "file", bool(status.st_mode & stat.S_IXUSR)
            # A pipe that took a file's place must not make us wait for whoever writes into it.
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
                content = hashlib.file_digest(file, "sha256").digest()
        # Neither a path nor the words before it can hold a NUL, so no two trees make the same lines.
        head = b"\0".join([kind.encode(), b"x" if executable else b"-", os.fsencode(path.relative_to(root)), b""])
        total.update(head + hashlib.sha256(content).digest())
    return total.hexdigest()


def _walk(root: Path, leave_out: Callable[[str], bool] | None) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=_raise):
        if leave_out is not None:
            for names in (folders, files):
                names[:] = [name for name in names if not leave_out(os.path.relpath(os.path.join(folder, name), root))]  # noqa: PTH118
        yield from (Path(folder, name) for name in [*folders, *files])


def _raise(error: OSError) -> None:
    raise error


def name_problem(path: str) -> str | None:
    """Tell why nothing in a tree may have a path, as in "is too long"; None where it may."""
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "is not a path inside the tree"
    if not _is_text(path):
        return "has a control character, or is not UTF-8"
    if any(_is_git_folder(part) for part in parts):
        return "would pass for a repository's own `.git`"
    if len(path.encode()) > PATH_BYTES or any(len(part.encode()) > NAME_BYTES for part in parts):
        return "is too long"
    return None


def _is_text(name: str) -> bool:
    """Tell whether a name can be shown on a terminal and carried by JSON."""
    return not any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)


def _is_git_folder(part: str) -> bool:
    """Tell whether any file system takes a name for `.git`: NTFS drops streams, dots and spaces, HFS+ ignores marks."""
    name = part.translate(_IGNORED_BY_HFS).replace("\\", ":").split(":", 1)[0]
    return name.rstrip(". ").casefold() in {".git", "git~1"}
