"""How does Jinja render here? As cookiecutter's does, but names once, checked, and plain text without compiling it."""

from __future__ import annotations

import os
from types import CodeType
from typing import TYPE_CHECKING, Any

from cookiecutter.environment import ExtensionLoaderMixin, StrictEnvironment
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from dynamo_mcp._in_environment.compiled import Compiled
    from dynamo_mcp._in_environment.failure import Failure, located
    from dynamo_mcp._in_environment.undefined import naming
else:
    from failure import Failure, located
    from undefined import naming


class _Plain:
    """A template without Jinja in it: compiling is four fifths of a render, and most names and many files have none."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, **_context: Any) -> str:
        return self._text


class _Quick:
    """Adds to an environment that text without Jinja is not compiled; what it renders is the same."""

    compiled: Compiled | None = None
    """What need not be compiled again, of the job's template."""

    def compile(
        self, source: Any, name: str | None = None, filename: str | None = None, *rest: Any, **more: Any
    ) -> Any:
        """Return the code of a text, as Jinja makes it."""
        if self.compiled is None or rest or more or not isinstance(source, str):
            return super().compile(source, name, filename, *rest, **more)  # type: ignore[misc]
        return self.compiled.code(self, source, name, filename)

    def compile_anew(self, source: str, name: str | None, filename: str | None) -> CodeType:
        """Have Jinja compile a text."""
        code: CodeType = super().compile(source, name, filename)  # type: ignore[misc]
        return code

    def from_string(self, source: str, *arguments: Any, **options: Any) -> Any:
        """Return the template of a text."""
        if self._is_plain(source):
            return _Plain(source)
        return super().from_string(source, *arguments, **options)  # type: ignore[misc]

    def get_template(self, name: str, parent: str | None = None, *arguments: Any, **options: Any) -> Any:
        """Return the template of a file; what an `include` or `extends` asks for (`parent`) is always compiled."""
        try:
            if parent is None:
                source: str = self.loader.get_source(self, name)[0]  # type: ignore[attr-defined]
                if self._is_plain(source):
                    return _Plain(source)
            return super().get_template(name, parent, *arguments, **options)  # type: ignore[misc]
        except UnicodeDecodeError as error:
            raise Failure("render", f"`{name}` is not UTF-8 text, nor known to be binary: {error}") from error

    def _is_plain(self, source: str) -> bool:
        # Jinja makes all line ends the same, and those of a template's own choice where it makes one.
        ends = "\r" in source or ("\n" in source and self.newline_sequence != "\n")  # type: ignore[attr-defined]
        return not ends and not any(mark in source for mark in self._marks())

    def _marks(self) -> list[str]:
        """Return what begins anything but text; an empty mark, which is in every text, where extensions change text."""
        if any(
            type(extension).preprocess is not Extension.preprocess
            or type(extension).filter_stream is not Extension.filter_stream
            for extension in self.extensions.values()  # type: ignore[attr-defined]
        ):
            return [""]
        beginnings = ("variable_start_string", "block_start_string", "comment_start_string")
        prefixes = ("line_statement_prefix", "line_comment_prefix")
        return [
            *(getattr(self, name) for name in beginnings),
            *(getattr(self, name) for name in prefixes if getattr(self, name)),
        ]


class ContainedEnvironment(_Quick, StrictEnvironment):  # type: ignore[misc]
    """cookiecutter's environment, with better words for what is not there."""

    def __init__(self, *, context: dict[str, Any], **options: Any) -> None:
        """Make it as `StrictEnvironment` makes itself, and be as strict."""
        super().__init__(context=context, **options)
        self.undefined = naming(context["cookiecutter"])


class InertEnvironment(_Quick, ExtensionLoaderMixin, ImmutableSandboxedEnvironment):  # type: ignore[misc]
    """The same, in which templates can reach no attribute that leads out of their values."""

    def __init__(self, *, context: dict[str, Any], **options: Any) -> None:
        """Make it as `StrictEnvironment` makes itself."""
        super().__init__(undefined=naming(context["cookiecutter"]), context=context, **options)


class _Name:
    """A template for the name of a file or folder; rendering checks that it stays in the project."""

    def __init__(self, template: Any, source: str, project: str) -> None:
        self._template = template
        self._source = source
        self._project = project

    def render(self, **context: Any) -> str:
        try:
            name = self._template.render(**context)
        except TemplateError as error:
            raise Failure("render", f"the name `{self._source}`: {located(error)}") from error
        if "\0" in name:
            raise Failure("render", f"the file name {name!r} holds a NUL character")
        whole = os.path.normpath(os.path.join(self._project, name))
        if whole != self._project and not whole.startswith(self._project + os.sep):
            raise Failure("render", f"the path `{name}` leaves the project")
        return os.path.join(self._project, name)


def check_names(environment: Any, project: str) -> Any:
    """Make an environment render names relative to the project, once, and check them.

    `generate_files` uses `from_string` for names only, and gives it folders joined to the rendered project path,
    which would render the answers in that path as Jinja.

    Args:
        environment: Of `generate_files`, and of it alone.
        project: The project's folder.
    """
    from_string = environment.from_string

    def name(source: str, *arguments: Any, **options: Any) -> Any:
        relative = source[len(project) + 1 :] if source.startswith(project + os.sep) else source
        shown = relative.removeprefix(f".{os.sep}")
        try:
            return _Name(from_string(relative, *arguments, **options), shown, project)
        except TemplateSyntaxError as error:
            raise Failure("render", f"the name `{shown}`: {located(error)}") from error

    environment.from_string = name
    return environment
