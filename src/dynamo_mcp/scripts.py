"""Which files of a template run, and what do they import from elsewhere? Hooks, extensions, and modules beside them."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp.effort import Effort, Exhausted
from dynamo_mcp.imports import Demand, Import, imports
from dynamo_mcp.template_code import Code, Marks, marks_of, python_of, set_aside
from dynamo_mcp.text import plain

HOOKS = ("pre_prompt", "pre_gen_project", "post_gen_project")
EXTENSIONS = "`_extensions` of `cookiecutter.json`"
"""Where an extension is found, in words."""
LARGEST_BYTES = 256 << 10
MOST_FILES = 200
NO_JINJA = Marks(*[("\0", "\0")] * 3)
"""What begins nothing in any code."""
MOST_NAMES = 20_000
PATH_LENGTH = 200
_NAME_LENGTH = 300
"""Of a module, before what is taken from it: a long one with many names would fill the memory."""


class Script(msgspec.Struct, frozen=True):
    """A file that runs.

    Attributes:
        where: Its path in the template.
        code: It, without its Jinja.
        python: It is Python; otherwise its first line says what runs it.
    """

    where: str
    code: Code
    python: bool


class Use(msgspec.Struct, frozen=True):
    """A module that is not of the template.

    Attributes:
        module: Dotted.
        found: Where it is named first, in words.
        demand: Whether the template can run without it.
        extension: The entry of `_extensions` that names it, if it is one.
    """

    module: str
    found: str
    demand: Demand
    extension: str | None = None


class Survey(msgspec.Struct, frozen=True):
    """What runs, and the modules that it takes from elsewhere, each as often as it is named.

    Attributes:
        unread: The paths of files that run and were not read to their end, since that would take too long.
    """

    scripts: tuple[Script, ...]
    uses: tuple[Use, ...]
    unread: tuple[str, ...] = ()


def survey(template: Path, checkout: Path, configuration: dict[str, Any], effort: Effort) -> Survey:
    """Read what would run of a template; nothing is evaluated, and what can't be read is left out.

    Args:
        template: The folder that holds `cookiecutter.json`.
        checkout: The tree that it is in; no file outside it is read.
        configuration: The parsed `cookiecutter.json`.
        effort: What may be spent; the first file that it does not reach for is told with all behind it.
    """
    return _Surveyor(template, checkout, marks_of(configuration), effort).survey(configuration)


def follow(packages: Path, modules: Iterable[str], effort: Effort, *, inside: Iterable[str]) -> tuple[Use, ...]:
    """Return what installed modules take from elsewhere, themselves and what they lead to.

    Args:
        packages: A `site-packages`.
        modules: Dotted; the last part may be a name in a module.
        effort: What may be spent; what it does not reach for is left out.
        inside: The modules, by their first part, that are read; all others are elsewhere.
    """
    return _Surveyor(packages, packages, NO_JINJA, effort, frozenset(inside)).follow(modules)


def hooks(template: Path) -> tuple[str, ...]:
    """Return the names of a template's hooks, sorted, as cookiecutter recognises them (`valid_hook`).

    One that is switched off by another ending (`pre_prompt.py.disabled`) is none.
    """
    try:
        names = sorted(os.listdir(template / "hooks"))
    except OSError:
        return ()
    return tuple(name for name in names if hook_of(name) is not None)


def hook_of(name: str) -> str | None:
    """Return which hook a file in `hooks/` is, by its name; None where it is none."""
    stem = os.path.splitext(name)[0]  # noqa: PTH122 - as cookiecutter does
    return stem if stem in HOOKS and not name.endswith("~") else None


class _Surveyor:
    """Follows imports from file to file, for as long as they lead to files of the template."""

    def __init__(
        self, template: Path, checkout: Path, marks: Marks, effort: Effort, inside: frozenset[str] | None = None
    ) -> None:
        self._effort = effort
        self._inside = inside
        self._template = template
        self._checkout = Path(os.path.realpath(checkout))
        self._marks = marks
        self._waiting: deque[tuple[Path, Path, Demand]] = deque()
        self._seen: set[Path] = set()
        self._uses: list[Use] = []
        self._unread: list[str] = []

    def survey(self, configuration: dict[str, Any]) -> Survey:
        extensions = configuration.get("_extensions", [])
        for extension in extensions if isinstance(extensions, list) else []:
            self._extension(str(extension))
        for name in hooks(self._template):
            self._wait(self._template / "hooks" / name, self._template / "hooks", "always")
        return Survey(self._read(), tuple(self._uses), tuple(self._unread))

    def follow(self, modules: Iterable[str]) -> tuple[Use, ...]:
        for module in modules:
            *parts, name = module.split(".")
            for file in _files(self._template, parts or [name], (name,)) or ():
                self._wait(file, self._template, "always")
        self._read()
        return tuple(self._uses)

    def _read(self) -> tuple[Script, ...]:
        scripts: list[Script] = []
        while self._waiting and len(scripts) < MOST_FILES:
            path, root, demand = self._waiting[0]
            try:
                script = self._script(path)
                found = imports(script.code, self._effort) if script is not None and script.python else ()
            except Exhausted:
                break
            self._waiting.popleft()
            if script is None:
                continue
            scripts.append(script)
            # Code that puts folders on its path means one of the template's own.
            anywhere = bool(found) and "sys.path" in script.code.text
            for each in found:
                self._import(each, script, path, root, demand, anywhere=anywhere)
        self._unread += [self._where(path) for path, _, _ in self._waiting]
        return tuple(scripts)

    def _extension(self, extension: str) -> None:
        # cookiecutter puts the template's folder on the path before it loads extensions.
        module, _, name = extension.replace(":", ".", 1).rpartition(".")  # Jinja takes either
        parts = (module or extension).split(".")
        files = _files(self._template, parts, (name,)) if all(part.isidentifier() for part in parts) else None
        if files is None:
            self._uses.append(Use(module or extension, EXTENSIONS, "always", extension))
        for file in files or ():
            self._wait(file, self._template, "always")

    def _import(self, each: Import, script: Script, path: Path, root: Path, demand: Demand, *, anywhere: bool) -> None:
        parts = each.module.split(".") if each.module else []
        weakest: Demand = each.demand if demand == "always" or each.demand == "optional" else demand
        if each.level:
            package = path.parents[min(each.level, len(path.parents)) - 1]
            files = _files(package, parts, each.names)
        elif self._inside is not None:
            files = _files(root, parts, each.names) if parts[0] in self._inside else None
        else:
            files = _files(root, parts, each.names)
            if files is None and anywhere and parts[0] in self._places:
                root = self._places[parts[0]]
                files = _files(root, parts, each.names)
        if files is None and not each.level:
            where = f"{script.where}, line {each.line}"
            # What is taken from a package may be one of its modules, which the table knows by their whole names.
            begin = each.module[:_NAME_LENGTH]
            modules = [f"{begin}.{name}" for name in each.names if name.isidentifier()] or [each.module]
            self._uses += [Use(module, where, weakest) for module in modules]
        for file in files or ():
            self._wait(file, root, weakest)

    def _wait(self, path: Path, root: Path, demand: Demand) -> None:
        if path not in self._seen:
            self._seen.add(path)
            self._waiting.append((path, root, demand))

    def _script(self, path: Path) -> Script | None:
        real = Path(os.path.realpath(path))
        content = content_of(real) if real.is_relative_to(self._checkout) else None
        if content is None:
            return None
        self._effort.spend(len(content))
        where = self._where(path)
        if len(content) > LARGEST_BYTES:
            content = content[:LARGEST_BYTES]
            self._unread.append(where)
        first = content.partition(b"\n")[0]
        python = path.suffix == ".py" or (first.startswith(b"#!") and b"python" in first)
        if python:
            self._effort.parse(len(content))
        code = (python_of if python else set_aside)(content.decode("utf-8", "replace"), self._marks)
        return Script(where, code, python)

    def _where(self, path: Path) -> str:
        return plain(os.path.relpath(path, self._template), PATH_LENGTH)

    @cached_property
    def _places(self) -> dict[str, Path]:
        return _modules(self._checkout)


def places(checkout: Path, modules: Iterable[str]) -> dict[str, str]:
    """Return the folder of the checkout that each module is in that is in one, wherever that is."""
    real = Path(os.path.realpath(checkout))
    found = _modules(real)
    return {each: plain(os.path.relpath(found[each], real), PATH_LENGTH) for each in modules if each in found}


def _modules(checkout: Path) -> dict[str, Path]:
    """Return the folder that each module anywhere in a checkout is in."""
    places: dict[str, Path] = {}
    names = 0
    for folder, folders, files in os.walk(checkout):
        folders[:] = sorted(name for name in folders if name != ".git")
        modules = [name[:-3] for name in files if name.endswith(".py")]
        for name in modules:
            places.setdefault(name, Path(folder))
        if modules:
            places.setdefault(Path(folder).name, Path(folder).parent)
        names += len(files) + len(folders)
        if names > MOST_NAMES:
            break
    return places


def _files(root: Path, parts: list[str], names: tuple[str, ...]) -> list[Path] | None:
    """Return the files that are run by importing a module below a folder; None if it is not there."""
    files: list[Path] = []
    folder = root
    for index, part in enumerate(parts):
        module = folder / f"{part}.py"
        folder /= part
        if os.path.isfile(module):  # noqa: PTH113 - false of a name too long, where pathlib raises
            return [*files, module]
        if not os.path.isdir(folder):  # noqa: PTH112
            return None if index == 0 else files
        files.append(folder / "__init__.py")
    inside = [folder / f"{name}.py" for name in names if name.isidentifier()]
    packages = [folder / name / "__init__.py" for name in names if name.isidentifier()]
    return [file for file in [*files, *inside, *packages] if os.path.isfile(file)]  # noqa: PTH113


def content_of(path: Path) -> bytes | None:
    """Read a regular file, or its beginning; what a live folder holds may be anything."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(LARGEST_BYTES + 1) if regular else None
    except OSError:
        return None
