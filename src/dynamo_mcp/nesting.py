"""Which templates does this repository hold? What its `cookiecutter.json` names, or the folders that have one."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from dynamo_mcp.configuration import SHOWN, Nested, content_of, has_pre_prompt, nested, none_in
from dynamo_mcp.errors import DynamoError, InvalidTemplate, NotATemplate
from dynamo_mcp.literals import is_jinja
from dynamo_mcp.parsing import CONFIGURATION, parse
from dynamo_mcp.text import plain

LONGEST_NAME = 40
LONGEST_PREFIX = 24
"""Characters of a group's name in its children's names, so that there is room for their own."""
MOST_CHILDREN = 50
MOST_LEVELS = 4
SEARCHED_LEVELS = 3
SEARCHED_FOLDERS = 2_000

_PATH = 200
_PROBLEM = 500


class Child(msgspec.Struct, frozen=True):
    """One of the templates that a repository holds.

    Attributes:
        name: What it will be called.
        directory: Its folder in the repository, `/`-separated; as its author wrote it where it leads nowhere.
        description: Its author's words, harmless.
        problem: Why it can't be used; None where nothing is known against it.
    """

    name: str
    directory: str
    description: str
    problem: str | None = None


class Found(msgspec.Struct, frozen=True):
    """What a repository of several templates holds.

    Attributes:
        children: In the author's order.
        notes: What is worth knowing about how they were read.
    """

    children: tuple[Child, ...]
    notes: tuple[str, ...] = ()


class _Candidate(msgspec.Struct, frozen=True):
    words: tuple[str, ...]
    directory: str
    description: str
    problem: str | None = None


def find(
    root: Path,
    directory: str | None,
    *,
    group: str,
    place: str = "the repository",
    known: Mapping[str, str] | None = None,
    taken: Iterable[str] = (),
) -> Found | None:
    """Read which templates a folder of a repository holds.

    Args:
        root: The repository's root.
        directory: The folder in it that is looked at; None is the root itself.
        group: What all of them are called by.
        place: What the repository is called in messages.
        known: Names that some of them have already, by directory.
        taken: Names that none of them may get.

    Returns:
        Its templates; None where it is one template, or nothing that can be read.

    Raises:
        NotATemplate: There is no `cookiecutter.json`; where other folders hold one, it says which.
        InvalidTemplate: It names more templates than are taken, or can't be understood.
    """
    folder = root / directory if directory else root
    if not (folder / CONFIGURATION).exists():
        raise _none(root, folder, place)
    if has_pre_prompt(folder) and not _may_be_parsed(folder):
        return None
    if not nested(parse(content_of(folder))):
        return None
    candidates = list(islice(_candidates(root, directory or "", (), (), set()), MOST_CHILDREN + 1))
    if len(candidates) > MOST_CHILDREN:
        raise InvalidTemplate(
            f"The repository names more than {MOST_CHILDREN} templates",
            hint="add those that are needed, one at a time, by naming the folder of each with `directory`",
        )
    notes = []
    if has_pre_prompt(folder):
        notes.append("the `pre_prompt` hook of the repository itself is not run, only those of its templates")
    kept = dict(known or {})
    names = set(taken) | {group} | set(kept.values())
    children = []
    for candidate in candidates:
        wanted = ".".join((group, *map(_slug, candidate.words)))
        name = kept.pop(candidate.directory, None) or _name(group, candidate.words, names)
        names.add(name)
        if name != wanted and not candidate.problem:
            notes.append(f"`{name}` is short for `{plain(wanted, _PATH)}`: names are unique, and at most 40 long")
        children.append(Child(name, plain(candidate.directory, _PATH), candidate.description, candidate.problem))
    return Found(tuple(children), tuple(notes))


def none_usable(problems: Mapping[str, str]) -> InvalidTemplate:
    """Return the error for a repository of which no template can be used, with every reason."""
    shown = [f"`{name}`: {plain(problem, _PROBLEM)}" for name, problem in list(problems.items())[:SHOWN]]
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return InvalidTemplate(
        f"None of the {len(problems)} templates of the repository can be used: {'; '.join(shown)}{more}",
        hint="mend them, or, where they are in a repository, add an older revision of it with `checkout`",
    )


def _may_be_parsed(folder: Path) -> bool:
    """A `pre_prompt` hook may well replace a `cookiecutter.json` that is none yet."""
    try:
        parse(content_of(folder))
    except InvalidTemplate:
        return False
    return True


def _candidates(
    root: Path, directory: str, words: tuple[str, ...], chain: tuple[Path, ...], seen: set[str]
) -> Iterator[_Candidate]:
    """Yield what a folder's `cookiecutter.json` names, and what those name in turn; what was `seen` is no other one."""
    folder = Path(os.path.realpath(root / directory))
    for item in nested(parse(content_of(folder))):
        inner = (*words, _word(item))
        description = plain(item.description)
        real = Path(os.path.realpath(root / posixpath.join(directory, (item.folder or "").replace("\0", ""))))
        problem = _problem(root, item.folder, real, (*chain, folder))
        path = str(real.relative_to(os.path.realpath(root))) if problem is None else _as_written(directory, item.folder)
        if problem is None:
            problem = "another of its templates is in the same folder" if path in seen else None
            seen.add(path)
        several = False
        if problem is None:
            try:
                several = bool(nested(parse(content_of(root / path))))
            except DynamoError as error:
                # A hook may make of it what can be understood; whether it does is known when it has run.
                problem = None if has_pre_prompt(root / path) else error.message
        if several and len(inner) == MOST_LEVELS:
            problem, several = f"templates are nested more than {MOST_LEVELS} levels deep", False
        if several:
            yield from _candidates(root, path, inner, (*chain, folder), seen)
        else:
            yield _Candidate(inner, path, description, problem)


def _as_written(directory: str, written: str | None) -> str:
    """Return a path that can't be used from the repository's root on, as far as it does not claim to lead up."""
    if not written or ".." in written.split("/"):
        return written or "."
    return posixpath.normpath(posixpath.join(directory, written))


def _problem(root: Path, written: str | None, real: Path, chain: tuple[Path, ...]) -> str | None:
    """Say why a path that an author wrote can't be that of a template, or None."""
    if not written:
        return "nothing says in which folder it is"
    shown = plain(written, _PATH)
    if written.startswith("/") or ".." in written.split("/") or "\\" in written or "\0" in written:
        return f"`{shown}` is not a folder inside the repository"
    if not real.is_relative_to(os.path.realpath(root)):
        return f"`{shown}` leads out of the repository"
    if real in chain:
        return f"`{shown}` is the folder that names it"
    if not real.is_dir():
        return f"there is no folder `{shown}`"
    return None


def _word(child: Nested) -> str:
    """Return what a template is named by: its title or, where that is Jinja or makes no name, its folder."""
    if child.folder and (is_jinja(child.key) or not _bare(child.key)):
        return posixpath.basename(posixpath.normpath(child.folder))
    return child.key


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", word.lower()).strip("._-")


def _slug(word: str) -> str:
    return _bare(word) or "template"


def _name(group: str, words: tuple[str, ...], taken: set[str]) -> str:
    """Return a name that is allowed and that nobody has."""
    whole = ".".join((group, *map(_slug, words)))
    if len(whole) > LONGEST_NAME:
        whole = ".".join((group[:LONGEST_PREFIX].rstrip("._-"), *map(_slug, words)))
    name = whole[:LONGEST_NAME].rstrip("._-")
    number = 1
    while name in taken:
        number += 1
        suffix = f"-{number}"
        name = whole[: LONGEST_NAME - len(suffix)].rstrip("._-") + suffix
    return name


def _none(root: Path, folder: Path, place: str) -> NotATemplate:
    """Return the error for a folder that holds no template, which names those below that do."""
    where = f"the root of {place}"
    if folder != root:
        where = f"the folder `{plain(str(folder.relative_to(root)), _PATH)}` of {place}"
    holders = [f"`{plain(path, _PATH)}`" for path in _holders(root, folder)]
    if not holders:
        return none_in(where)
    more = f" and {len(holders) - SHOWN} more" if len(holders) > SHOWN else ""
    return NotATemplate(
        f"There is no `{CONFIGURATION}` in {where}, but in "
        + (f"the folder {holders[0]}" if len(holders) == 1 else f"the folders {', '.join(holders[:SHOWN])}{more}"),
        hint=f"name {'it' if len(holders) == 1 else 'one of them'} with `directory`",
    )


def _holders(root: Path, folder: Path) -> list[str]:
    """Return the folders below one that hold a `cookiecutter.json`, not deep and not many; no link is followed."""
    found = []
    level = [folder]
    looked = 0
    for _ in range(SEARCHED_LEVELS):
        below: list[Path] = []
        for parent in level:
            try:
                # What is to be rendered is no template, and hidden folders are nobody's.
                names = sorted(
                    entry.name
                    for entry in parent.iterdir()
                    if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith((".", "{"))
                )
            except OSError:
                continue
            below += [parent / name for name in names]
            looked += len(names)
            if looked > SEARCHED_FOLDERS:
                break
        found += [str(path.relative_to(root)) for path in below if (path / CONFIGURATION).is_file()]
        level = below
    return found
