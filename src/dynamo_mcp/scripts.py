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
    """What runs, and the modules that it takes from elsewhere, each as often as it is named."""

    scripts: tuple[Script, ...]
    uses: tuple[Use, ...]


def survey(template: Path, checkout: Path, configuration: dict[str, Any]) -> Survey:
    """Read what would run of a template; nothing is evaluated, and what can't be read is left out.

    Args:
        template: The folder that holds `cookiecutter.json`.
        checkout: The tree that it is in; no file outside it is read.
        configuration: The parsed `cookiecutter.json`.
    """
    return _Surveyor(template, checkout, marks_of(configuration)).survey(configuration)


def follow(packages: Path, modules: Iterable[str], *, inside: Iterable[str]) -> tuple[Use, ...]:
    """Return what installed modules take from elsewhere, themselves and what they lead to.

    Args:
        packages: A `site-packages`.
        modules: Dotted; the last part may be a name in a module.
        inside: The modules, by their first part, that are read; all others are elsewhere.
    """
    return _Surveyor(packages, packages, NO_JINJA, frozenset(inside)).follow(modules)


def hooks(template: Path) -> tuple[str, ...]:
    """Return the names of a template's hooks, sorted, as cookiecutter recognises them (`valid_hook`)."""
    try:
        names = sorted(os.listdir(template / "hooks"))
    except OSError:
        return ()
    return tuple(name for name in names if name.partition(".")[0] in HOOKS and not name.endswith("~"))


class _Surveyor:
    """Follows imports from file to file, for as long as they lead to files of the template."""

    def __init__(self, template: Path, checkout: Path, marks: Marks, inside: frozenset[str] | None = None) -> None:
        self._inside = inside
        self._template = template
        self._checkout = Path(os.path.realpath(checkout))
        self._marks = marks
        self._waiting: deque[tuple[Path, Path, Demand]] = deque()
        self._seen: set[Path] = set()
        self._uses: list[Use] = []

    def survey(self, configuration: dict[str, Any]) -> Survey:
        extensions = configuration.get("_extensions", [])
        for extension in extensions if isinstance(extensions, list) else []:
            self._extension(str(extension))
        for name in hooks(self._template):
            self._wait(self._template / "hooks" / name, self._template / "hooks", "always")
        return Survey(self._read(), tuple(self._uses))

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
            path, root, demand = self._waiting.popleft()
            script = self._script(path)
            if script is None:
                continue
            scripts.append(script)
            for each in imports(script.code) if script.python else ():
                self._import(each, script, path, root, demand)
        return tuple(scripts)

    def _extension(self, extension: str) -> None:
        # cookiecutter puts the template's folder on the path before it loads extensions.
        module, _, name = extension.rpartition(".")
        parts = (module or extension).split(".")
        files = _files(self._template, parts, (name,)) if all(part.isidentifier() for part in parts) else None
        if files is None:
            self._uses.append(Use(module or extension, EXTENSIONS, "always", extension))
        for file in files or ():
            self._wait(file, self._template, "always")

    def _import(self, each: Import, script: Script, path: Path, root: Path, demand: Demand) -> None:
        parts = each.module.split(".") if each.module else []
        weakest: Demand = each.demand if demand == "always" or each.demand == "optional" else demand
        if each.level:
            package = path.parents[min(each.level, len(path.parents)) - 1]
            files = _files(package, parts, each.names)
        elif self._inside is not None:
            files = _files(root, parts, each.names) if parts[0] in self._inside else None
        else:
            files = _files(root, parts, each.names)
            # Code that puts folders on its path means one of the template's own.
            if files is None and "sys.path" in script.code.text and parts[0] in self._places:
                root = self._places[parts[0]]
                files = _files(root, parts, each.names)
        if files is None and not each.level:
            where = f"{script.where}, line {each.line}"
            # What is taken from a package may be one of its modules, which the table knows by their whole names.
            modules = [f"{each.module}.{name}" for name in each.names if name.isidentifier()] or [each.module]
            self._uses += [Use(module, where, weakest) for module in modules]
        for file in files or ():
            self._wait(file, root, weakest)

    def _wait(self, path: Path, root: Path, demand: Demand) -> None:
        if path not in self._seen:
            self._seen.add(path)
            self._waiting.append((path, root, demand))

    def _script(self, path: Path) -> Script | None:
        real = Path(os.path.realpath(path))
        content = _content(real) if real.is_relative_to(self._checkout) else None
        if content is None:
            return None
        first = content.partition(b"\n")[0]
        python = path.suffix == ".py" or (first.startswith(b"#!") and b"python" in first)
        where = plain(os.path.relpath(path, self._template), PATH_LENGTH)
        code = (python_of if python else set_aside)(content.decode("utf-8", "replace"), self._marks)
        return Script(where, code, python)

    @cached_property
    def _places(self) -> dict[str, Path]:
        return _modules(self._checkout)


def place(checkout: Path, module: str) -> str | None:
    """Return the folder of the checkout that a module is in, wherever that is; None if it is in none."""
    real = Path(os.path.realpath(checkout))
    found = _modules(real).get(module)
    return None if found is None else plain(os.path.relpath(found, real), PATH_LENGTH)


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


def _content(path: Path) -> bytes | None:
    """Read a regular file of reasonable size; what a live folder holds may be anything."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(LARGEST_BYTES) if regular else None
    except OSError:
        return None
