"""What of a template need not be worked out again? The code that Jinja makes of its texts, and which files are binary.

Compiling is most of a render. A job that is told no answers works all of it out, and leaves it in its temporary folder;
the server keeps it, and later jobs of the same template load it. So no job leaves what it was told for a later one.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
from collections.abc import Iterator
from types import CodeType
from typing import Any

import cookiecutter.generate
from jinja2 import FileSystemLoader

LEFT = ".compiled"
"""Where a job leaves it, in its temporary folder; the server reads it (`compiled.py`)."""
_PURE = frozenset({"_operator", "builtins", "cookiecutter", "jinja2", "markupsafe"})
"""Whose filters and tests always give the same: Jinja applies those of constants when it compiles."""

_Key = tuple[str | None, str | None, bytes]


class Compiled:
    """What one job knows of its template."""

    def __init__(self) -> None:
        """Know nothing."""
        self._code: dict[_Key, CodeType] = {}
        self._binary: dict[str, bool] = {}

    def load(self, path: str) -> bool:
        """Take what an earlier job has left; return whether it has left anything that can be read."""
        try:
            with open(path, "rb") as file:
                code, binary = marshal.load(file)  # noqa: S302 - of a job of the same template, confined alike
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is but a help
            return False
        if not isinstance(code, dict) or not isinstance(binary, dict):
            return False
        self._code, self._binary = code, binary
        return True

    def leave(self, folder: str) -> None:
        """Leave it for the server, in the job's temporary folder."""
        with open(os.path.join(folder, LEFT), "xb") as file:
            marshal.dump((self._code, self._binary), file)

    def code(self, environment: Any, source: str, name: str | None, filename: str | None) -> CodeType:
        """Return what Jinja makes of a text."""
        digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
        found = self._code.get((name, filename, digest))
        if found is None:
            found = self._code[name, filename, digest] = environment.compile_anew(source, name, filename)
        return found

    def is_binary(self, path: str) -> bool:
        """Tell whether a file is binary, as cookiecutter finds it; the path is relative to the project's folder."""
        found = self._binary.get(path)
        if found is None:
            found = self._binary[path] = bool(_is_binary(path))
        return found

    def fill(self, environment: Any, folder: str, context: dict[str, Any]) -> None:
        """Work out all of a template; what can't be is told when it is rendered.

        Args:
            environment: Its Jinja environment, which compiles by this.
            folder: The folder of its project.
            context: What it is rendered with; nothing is rendered now.
        """
        for text in [os.path.basename(folder), *_texts(context)]:
            _compile(environment, text)
        before = os.getcwd()
        os.chdir(folder)
        try:
            environment.loader = FileSystemLoader([".", "../templates"])
            for root, folders, files in os.walk("."):
                copied = {name for name in folders if _copied(os.path.normpath(os.path.join(root, name)), context)}
                folders[:] = [name for name in folders if name not in copied]
                for name in [*folders, *copied]:
                    _compile(environment, os.path.join(root, name))
                for name in files:
                    path = os.path.normpath(os.path.join(root, name))
                    _compile(environment, path)
                    if not _copied(path, context) and not self.is_binary(path):
                        with contextlib.suppress(Exception):
                            environment.get_template(path)
            for name in os.listdir("../hooks") if os.path.isdir("../hooks") else ():
                with contextlib.suppress(Exception), open(os.path.join("../hooks", name), encoding="utf-8") as file:
                    environment.from_string(file.read())
        finally:
            os.chdir(before)


def keepable(environment: Any) -> bool:
    """Tell whether compiling always gives the same: nothing of the template's own has a part in it."""
    parts = [*environment.filters.values(), *environment.tests.values(), *map(type, environment.extensions.values())]
    return all(str(getattr(part, "__module__", "")).partition(".")[0] in _PURE for part in parts)


def _texts(value: Any) -> Iterator[str]:
    """Return every text of a template's questions: each may be rendered."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(key)
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def _compile(environment: Any, name: str) -> None:
    with contextlib.suppress(Exception):  # a name that is no Jinja is told when it is rendered
        environment.from_string(name)


_is_binary = cookiecutter.generate.is_binary
_copied = cookiecutter.generate.is_copy_only_path
