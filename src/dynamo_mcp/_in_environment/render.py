"""What does cookiecutter make of this template and these answers? Its own functions, with answers taken literally.

Bare cookiecutter 2.7.1 renders the names of folders twice, so that an answer in them is code. Here names are rendered
once, relative to the project, and checked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cookiecutter.generate
import cookiecutter.hooks
import cookiecutter.utils
from cookiecutter.exceptions import (
    CookiecutterException,
    FailedHookException,
    OutputDirExistsException,
    UndefinedVariableInTemplate,
    UnknownExtension,
)
from jinja2.exceptions import TemplateError

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import compiled, hooks, warm
    from dynamo_mcp._in_environment.environment import ContainedEnvironment, InertEnvironment, check_names
    from dynamo_mcp._in_environment.failure import Failure, located
    from dynamo_mcp._in_environment.questions import Questions, create_environment, read
else:
    import compiled
    import hooks
    from environment import ContainedEnvironment, InertEnvironment, check_names
    from failure import Failure, located
    from questions import Questions, create_environment, read

VERSION: str = cookiecutter.__version__
PACKAGES = os.path.dirname(os.path.dirname(cookiecutter.__file__))
"""The `site-packages` that everything was imported from."""

PLACES = frozenset({errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR})
"""What can be wrong with the place that a name leads to."""

_REFERENCE = re.compile(r"cookiecutter\s*\.\s*(\w+)")
LARGEST = 1 << 20
"""Bytes of a `cookiecutter.json` that a hook may leave."""
NAMES = 100
FOLDERS = 20
"""Folders that a message names."""
NAME_BYTES = 255
"""Bytes that a name may have on the file systems that people use."""
SHOWN = 200


class Project:
    """One project in the making."""

    def __init__(
        self,
        *,
        template: str,
        output: str,
        temporary: str,
        answers: dict[str, Any],
        inert: bool,
        variables: dict[str, Any],
        hook_output_bytes: int,
        before_hook: Callable[[], None] | None,
        say: Callable[[str], None],
        host: warm.Host | None,
        known: str | None,
    ) -> None:
        """Take a job's values; nothing is read yet.

        Args:
            template: Folder that holds `cookiecutter.json`.
            output: Existing folder in which the project's folder will be made.
            temporary: Existing folder for anything else.
            answers: Literal values.
            inert: Use a sandboxed Jinja, refuse unknown extensions, run no hooks.
            variables: `_template`, `_output_dir` and `_checkout`.
            hook_output_bytes: Of what one hook prints, as much is kept.
            before_hook: Called in a hook's process before the hook.
            say: Told in words what is being done.
            host: Runs Python hooks; without it each has an interpreter started for it.
            known: File that an earlier job of the template has left; None for none.
        """
        self._known = known
        self._compiled = compiled.Compiled()
        self._temporary = temporary
        self._template = template
        self._output = output
        self._answers = answers
        self._inert = inert
        self._variables = variables
        self._context: dict[str, Any] = {}
        self._folder = ""
        self._choices: dict[str, list[Any]] = {}
        self._directory = ""
        self._repository = template
        self._say = say
        self._hooks = hooks.Hooks(temporary, hook_output_bytes, before_hook, say, host)

    @property
    def ran(self) -> list[dict[str, Any]]:
        """The hooks that ran: `hook`, `output` and `seconds` of each."""
        return self._hooks.ran

    def inspect(self) -> dict[str, Any]:
        """Run the template's `pre_prompt` hook on a copy of the template, as cookiecutter does before it asks.

        Returns:
            `configuration`, the text of the `cookiecutter.json` that the hook left, and `names`, those in the
            template's folder of which one may be the project folder's.

        Raises:
            Failure: The hook failed, or left nothing that can be read.
        """
        self._hooks.install()
        with _words(self._template, self._template):
            self._repository = str(cookiecutter.hooks.run_pre_prompt_hook(self._template))
        try:
            with open(os.path.join(self._repository, "cookiecutter.json"), "rb") as file:
                content = file.read(LARGEST + 1)
            configuration = content.decode("utf-8")
            names = [
                name
                for name in os.listdir(self._repository)
                if "cookiecutter" in name and name.isprintable() and os.path.isdir(os.path.join(self._repository, name))
            ]
        except (OSError, ValueError) as error:
            raise Failure("template", f"the cookiecutter.json that `pre_prompt` left: {error}") from error
        if len(content) > LARGEST:
            raise Failure("template", f"the cookiecutter.json that `pre_prompt` left has more than {LARGEST} bytes")
        return {"configuration": configuration, "names": sorted(names)[:NAMES]}

    def resolve(self) -> dict[str, Any]:
        """Compute every answer and the project folder's name.

        Returns:
            `directory`; `answers`: every public variable's value; `choices`: what each choice offers, rendered.

        Raises:
            Failure: An answer does not fit, or the template can't be understood.
        """
        self._say("computing the answers")
        self._use_environment()
        self._hooks.install()
        with _words(self._output, self._template):
            if not self._inert:
                self._repository = str(cookiecutter.hooks.run_pre_prompt_hook(self._template))
                # At `inert` no module of the template can be imported, whatever it is called.
                sys.path.append(self._repository)
            raw = read(self._repository, inert=self._inert)
            # What the answers were checked against may be what a `pre_prompt` hook left another time.
            if unknown := [name for name in self._answers if name not in raw]:
                told = f"`{unknown[0]}` is not asked by the `cookiecutter.json` of this time"
                raise Failure("answers", told, variable=unknown[0])
            private = {**self._variables, "_repo_dir": self._repository}
            if self._known and self._repository == self._template and self._compiled.load(self._known):
                self._use_compiled()
            questions = Questions(raw, self._answers)
            self._context = questions.context(private)
            self._choices = questions.choices
            environment_ = create_environment(self._context)
            self._folder = _project_folder(self._repository, environment_)
            try:
                self._directory = environment_.from_string(self._folder).render(**self._context)
            except TemplateError as error:
                raise Failure("render", f"the name of the project folder `{self._folder}`: {located(error)}") from error
        _check_directory(self._directory, self._folder, self._context["cookiecutter"])
        answers = {name: value for name, value in self._context["cookiecutter"].items() if not name.startswith("_")}
        return {"directory": self._directory, "answers": answers, "choices": self._choices}

    def compile(self) -> None:
        """Leave what later jobs need not work out again, if nothing of the template's own has a part in it.

        Raises:
            Failure: The template can't be understood.
        """
        if not self._inert:
            # One that a hook makes anew each time is not the same to a later job.
            if cookiecutter.hooks.find_hook("pre_prompt", os.path.join(self._template, "hooks")):
                return
            sys.path.append(self._template)
        self._use_environment()
        with _words(self._template, self._template):
            context = {"cookiecutter": read(self._template, inert=self._inert)}
            environment_ = create_environment(context)
            folder = _project_folder(self._template, environment_)
        if compiled.keepable(environment_):
            self._use_compiled()
            self._compiled.fill(environment_, os.path.join(self._template, folder), context)
            self._compiled.leave(self._temporary)

    def _use_environment(self) -> None:
        cookiecutter.utils.StrictEnvironment = InertEnvironment if self._inert else ContainedEnvironment

    def _use_compiled(self) -> None:
        InertEnvironment.compiled = ContainedEnvironment.compiled = self._compiled
        cookiecutter.generate.is_binary = self._compiled.is_binary

    def generate(self, *, accept_hooks: bool = True) -> None:
        """Make the project's files and run the template's hooks.

        Args:
            accept_hooks: Run the hooks before and after the files, unless nothing of the template may run.

        Raises:
            Failure: In words, with what a failing hook printed.
        """
        project = os.path.join(self._output, self._directory)

        def checking(context: dict[str, Any]) -> Any:
            return check_names(create_environment(context), project)

        cookiecutter.generate.create_env_with_context = checking
        cookiecutter.generate.find_template = lambda *_: cookiecutter.generate.Path(self._repository, self._folder)
        cookiecutter.generate.render_and_create_dir = _literal_top(
            cookiecutter.generate.render_and_create_dir, self._output, self._directory
        )
        self._say("rendering files")
        with _words(project, self._repository):
            cookiecutter.generate.generate_files(
                self._repository, self._context, self._output, accept_hooks=accept_hooks and not self._inert
            )


def _project_folder(repository: str, environment: Any) -> str:
    """Return the name of the folder to render, which cookiecutter's `find_template` takes the first of."""
    marks = ("cookiecutter", environment.variable_start_string, environment.variable_end_string)
    found = sorted(
        name
        for name in os.listdir(repository)
        if all(mark in name for mark in marks) and os.path.isdir(os.path.join(repository, name))
    )
    if not found:
        raise Failure("template", "no folder in it has a name such as `{{cookiecutter.project_slug}}`")
    if len(found) > 1:
        more = f" and {len(found) - FOLDERS} more" if len(found) > FOLDERS else ""
        named = ", ".join(f"`{name}`" for name in found[:FOLDERS])
        raise Failure("template", f"it has several folders to render: {named}{more}")
    return found[0]


def rehearse() -> None:
    """Render something small, so that all that rendering needs is imported, compiled and warm.

    Raises:
        OSError: There is no room for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        template = os.path.join(folder, "template")
        os.makedirs(os.path.join(template, "{{cookiecutter.name}}"))
        with open(os.path.join(template, "{{cookiecutter.name}}", "file"), "w", encoding="utf-8") as file:
            file.write(
                "{% if cookiecutter.name %}{{ cookiecutter.name|upper }}{% endif %}"
                "{% for x in 'ab' %}{{ x }}{% endfor %}"
            )
        context = {"cookiecutter": OrderedDict(name="a", _copy_without_render=["*.raw"])}
        cookiecutter.generate.generate_files(template, context, folder)


def _literal_top(create: Callable[..., Any], output: str, directory: str) -> Callable[..., Any]:
    """Give the first call, which makes the project folder, the name that `resolve` has rendered and checked."""
    made = False

    def create_directory(name: str, context: Any, output_dir: str, environment: Any, *rest: Any) -> Any:
        nonlocal made
        if made:
            try:
                return create(name, context, output_dir, environment, *rest)
            except OutputDirExistsException as error:
                shown = os.path.relpath(name, os.path.join(output, directory))
                raise Failure(
                    "render", f"the folder `{shown}` gets no name, or the name of one that is there already"
                ) from error
        made = True
        folder = cookiecutter.generate.Path(output, directory)
        folder.mkdir()
        return folder, True

    return create_directory


def _check_directory(name: str, unrendered: str, values: dict[str, Any]) -> None:
    long = len(os.fsencode(name)) > NAME_BYTES
    if long or not name.strip() or name in {".", ".."} or "/" in name or "\\" in name or not name.isprintable():
        shown = name if name.isprintable() else repr(name)
        shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"
        reason = f"has more than {NAME_BYTES} bytes" if long else "is not a plain folder name"
        told = f"the project's folder would be called `{shown}`, which {reason}"
        named = _REFERENCE.findall(unrendered)
        if long:
            named.sort(key=lambda each: len(str(values.get(each))), reverse=True)
        allowed = f"what makes a plain folder name of at most {NAME_BYTES} bytes"
        raise Failure("answers", told, variable=next(iter(named), None), allowed=allowed)


@contextlib.contextmanager
def _words(root: str, template: str) -> Any:
    """Turn what cookiecutter and Jinja raise into words that name the file and the line.

    Args:
        root: The folder that paths are told from.
        template: That from which those of the template are.
    """
    try:
        yield
    except UndefinedVariableInTemplate as error:
        said = located(error.error)
        # cookiecutter names the file, too.
        raise Failure("render", said if said.startswith("`") else f"{error.message}: {said}") from error
    except FailedHookException as error:
        raise error.__cause__ if isinstance(error.__cause__, Failure) else Failure("hook", str(error)) from error
    except UnknownExtension as error:
        told = f"{error}; add the package that holds it to the template's requirements"
        raise Failure("template", told, always=True) from error
    except RecursionError as error:
        raise Failure("render", located(error)) from error
    except TemplateError as error:
        raise Failure("render", located(error)) from error
    except CookiecutterException as error:
        raise Failure("template", f"{type(error).__name__}: {error}") from error
    except OSError as error:
        if error.errno not in PLACES or not isinstance(error.filename, str):
            raise
        if not os.path.isdir(root):
            raise Failure("render", "a hook removed or replaced the project's folder") from error
        inside = error.filename.startswith(template + os.sep)
        path = os.path.relpath(error.filename, template if inside else root)
        raise Failure("render", f"`{path}`: {error.strerror}") from error
