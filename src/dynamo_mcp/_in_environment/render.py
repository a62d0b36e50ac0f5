"""What does cookiecutter make of this template and these answers? Its own functions, with answers taken literally.

Bare cookiecutter 2.7.1 renders every value that it is given, and renders the names of folders twice, so that a value is
code. Here a given value is never rendered: the context is computed as `cookiecutter.prompt.prompt_for_config` does, but
for the given answers; and names are rendered once, relative to the project, and checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cookiecutter.generate
import cookiecutter.hooks
import cookiecutter.utils
from cookiecutter.exceptions import (
    CookiecutterException,
    FailedHookException,
    NonTemplatedInputDirException,
    UndefinedVariableInTemplate,
    UnknownExtension,
)
from cookiecutter.find import find_template
from cookiecutter.prompt import render_variable
from jinja2.exceptions import TemplateError

if TYPE_CHECKING:
    from dynamo_mcp._in_environment import hooks
    from dynamo_mcp._in_environment.environment import ContainedEnvironment, InertEnvironment, check_names
    from dynamo_mcp._in_environment.failure import Failure, located
else:
    import hooks
    from environment import ContainedEnvironment, InertEnvironment, check_names
    from failure import Failure, located

VERSION: str = cookiecutter.__version__
PACKAGES = os.path.dirname(os.path.dirname(cookiecutter.__file__))
"""The `site-packages` that everything was imported from."""

LARGEST = 1 << 20
"""Bytes of a `cookiecutter.json` that a hook may leave."""
NAMES = 100

INERT_EXTENSIONS = ("cookiecutter.extensions.", "jinja2.ext.", "jinja2_time.")
"""Extensions that run at `inert`: they compute text and touch nothing."""


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
        before_hook: Callable[[], None] | None,
    ) -> None:
        """Take a job's values; nothing is read yet.

        Args:
            template: Folder that holds `cookiecutter.json`.
            output: Existing folder in which the project's folder will be made.
            temporary: Existing folder for anything else.
            answers: Literal values.
            inert: Use a sandboxed Jinja, refuse unknown extensions, run no hooks.
            variables: `_template`, `_output_dir` and `_checkout`.
            before_hook: Called in a hook's process before the hook.
        """
        self._template = template
        self._output = output
        self._answers = answers
        self._inert = inert
        self._variables = variables
        self._context: dict[str, Any] = {}
        self._directory = ""
        self._repository = template
        self._hooks = hooks.Hooks(temporary, before_hook)

    @property
    def ran(self) -> list[dict[str, Any]]:
        """The hooks that ran: `hook`, `output` and `seconds` of each."""
        return self._hooks.ran

    def inspect(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Run the template's `pre_prompt` hook on a copy of the template, as cookiecutter does before it asks.

        Args:
            say: Told in words what is being done.

        Returns:
            `configuration`, the text of the `cookiecutter.json` that the hook left, and `names`, those in the
            template's folder of which one may be the project folder's.

        Raises:
            Failure: The hook failed, or left nothing that can be read.
        """
        self._hooks.install()
        say("running the hook pre_prompt")
        with _words():
            self._repository = str(cookiecutter.hooks.run_pre_prompt_hook(self._template))
        try:
            with open(os.path.join(self._repository, "cookiecutter.json"), "rb") as file:
                content = file.read(LARGEST + 1)
            configuration = content.decode("utf-8")
            names = [name for name in os.listdir(self._repository) if "cookiecutter" in name and name.isprintable()]
        except (OSError, ValueError) as error:
            raise Failure("template", f"the cookiecutter.json that `pre_prompt` left: {error}") from error
        if len(content) > LARGEST:
            raise Failure("template", f"the cookiecutter.json that `pre_prompt` left has more than {LARGEST} bytes")
        return {"configuration": configuration, "names": sorted(names)[:NAMES]}

    def resolve(self) -> dict[str, Any]:
        """Compute every answer and the project folder's name.

        Returns:
            `directory`, and `answers`: every public variable's value.

        Raises:
            Failure: An answer does not fit, or the template can't be understood.
        """
        cookiecutter.utils.StrictEnvironment = InertEnvironment if self._inert else ContainedEnvironment
        self._hooks.install()
        with _words():
            if not self._inert:
                self._repository = str(cookiecutter.hooks.run_pre_prompt_hook(self._template))
                # At `inert` no module of the template can be imported, whatever it is called.
                sys.path.append(self._repository)
            raw = _read(os.path.join(self._repository, "cookiecutter.json"))
            # What the answers were checked against may be what a `pre_prompt` hook left another time.
            if unknown := [name for name in self._answers if name not in raw]:
                raise Failure("answers", f"`{unknown[0]}` is not asked by the `cookiecutter.json` of this time")
            if self._inert:
                _refuse_extensions(raw)
            raw.pop("__prompts__", None)
            self._context = self._contextualise(raw)
            environment_ = cookiecutter.utils.create_env_with_context(self._context)
            folder = find_template(self._repository, environment_)
            try:
                self._directory = environment_.from_string(folder.name).render(**self._context)
            except TemplateError as error:
                raise Failure("render", f"the name of the project folder `{folder.name}`: {located(error)}") from error
        _check_directory(self._directory)
        answers = {name: value for name, value in self._context["cookiecutter"].items() if not name.startswith("_")}
        return {"directory": self._directory, "answers": answers}

    def generate(self, say: Callable[[str], None]) -> None:
        """Make the project's files and run the template's hooks.

        Args:
            say: Told in words what is being done.

        Raises:
            Failure: In words, with what a failing hook printed.
        """
        self._hooks.say = say
        project = os.path.join(self._output, self._directory)

        def create_environment(context: dict[str, Any]) -> Any:
            return check_names(cookiecutter.utils.create_env_with_context(context), project)

        cookiecutter.generate.create_env_with_context = create_environment
        cookiecutter.generate.render_and_create_dir = _literal_top(
            cookiecutter.generate.render_and_create_dir, self._output, self._directory
        )
        say("rendering files")
        with _words():
            cookiecutter.generate.generate_files(
                self._repository, self._context, self._output, accept_hooks=not self._inert
            )

    def _contextualise(self, raw: OrderedDict[str, Any]) -> dict[str, Any]:
        """Do what `cookiecutter.main` does between reading `cookiecutter.json` and rendering, answers being literal."""
        context = {"cookiecutter": raw}
        environment = cookiecutter.utils.create_env_with_context(context)
        asked = {name: value for name, value in raw.items() if not name.startswith("_")}
        resolved: OrderedDict[str, Any] = OrderedDict()
        for second_pass in (False, True):
            for name, value in raw.items():
                if name.startswith("_") and not name.startswith("__"):
                    resolved[name] = value
                elif isinstance(value, dict) if second_pass else not isinstance(value, dict) or name.startswith("__"):
                    try:
                        resolved[name] = self._answer(name, value, environment, resolved)
                    except TemplateError as error:
                        raise Failure("template", f"the default of `{name}`: {located(error)}") from error
        for name, value in asked.items():
            if isinstance(value, list):
                chosen = [item for item in value if item == resolved[name]]
                asked[name] = chosen + [item for item in value if item not in chosen]
            elif name in self._answers:
                asked[name] = resolved[name]
        raw.update(resolved)
        raw.update({**self._variables, "_repo_dir": self._repository})
        return {"cookiecutter": raw, "_cookiecutter": asked}

    def _answer(self, name: str, raw: Any, environment: Any, resolved: dict[str, Any]) -> Any:
        """Return the literal answer to one question, or its rendered default."""
        given = name in self._answers
        if given and not isinstance(raw, (list, dict)):
            return self._answers[name]
        default = render_variable(environment, raw, resolved)
        if isinstance(raw, list):
            if not default:
                raise Failure("template", f"the choice `{name}` offers nothing")
            if not given:
                return default[0]
            chosen = [item for item in default if str(item) == str(self._answers[name])]
            if not chosen:
                offered = ", ".join(f"`{item}`" for item in default)
                raise Failure("answers", f"`{name}` can't be `{self._answers[name]}`; it is one of {offered}")
            return chosen[0]
        if given and isinstance(raw, dict):
            return _merge(default, self._answers[name])
        return default


def rehearse(folder: str) -> None:
    """Render something small, so that all that rendering needs is imported, compiled and warm."""
    template = os.path.join(folder, "template")
    os.makedirs(os.path.join(template, "{{cookiecutter.name}}"))
    with open(os.path.join(template, "{{cookiecutter.name}}", "file"), "w", encoding="utf-8") as file:
        file.write(
            "{% if cookiecutter.name %}{{ cookiecutter.name|upper }}{% endif %}{% for x in 'ab' %}{{ x }}{% endfor %}"
        )
    context = {"cookiecutter": OrderedDict(name="a", _copy_without_render=["*.raw"])}
    cookiecutter.generate.generate_files(template, context, os.path.join(folder))


def _literal_top(create: Callable[..., Any], output: str, directory: str) -> Callable[..., Any]:
    """Give the first call, which makes the project folder, the name that `resolve` has rendered and checked."""
    made = False

    def create_directory(name: str, context: Any, output_dir: str, environment: Any, *rest: Any) -> Any:
        nonlocal made
        if made:
            return create(name, context, output_dir, environment, *rest)
        made = True
        folder = cookiecutter.generate.Path(output, directory)
        folder.mkdir()
        return folder, True

    return create_directory


def _read(path: str) -> OrderedDict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            raw = json.load(file, object_pairs_hook=OrderedDict)
    except (OSError, ValueError) as error:
        raise Failure("template", f"cookiecutter.json: {error}") from error
    if not isinstance(raw, OrderedDict):
        raise Failure("template", "cookiecutter.json does not hold an object")
    return raw


def _refuse_extensions(raw: dict[str, Any]) -> None:
    refused = [str(name) for name in raw.get("_extensions", []) if not str(name).startswith(INERT_EXTENSIONS)]
    if refused:
        raise Failure("template", "at trust `inert` these extensions do not run: " + ", ".join(refused))


def _check_directory(name: str) -> None:
    if not name.strip() or name in {".", ".."} or "/" in name or "\\" in name or not name.isprintable():
        shown = name if name.isprintable() else repr(name)
        raise Failure("answers", f"the project's folder would be called `{shown}`, which is not a plain folder name")


def _merge(default: Any, given: Any) -> Any:
    """Put a mapping's given keys over its default ones, as cookiecutter does, at every depth."""
    if isinstance(default, dict) and isinstance(given, dict):
        return {**default, **{key: _merge(default.get(key), value) for key, value in given.items()}}
    return given


@contextlib.contextmanager
def _words() -> Any:
    """Turn what cookiecutter and Jinja raise into words that name the file and the line."""
    try:
        yield
    except UndefinedVariableInTemplate as error:
        raise Failure("render", f"{error.message}: {located(error.error)}") from error
    except FailedHookException as error:
        raise error.__cause__ if isinstance(error.__cause__, Failure) else Failure("hook", str(error)) from error
    except NonTemplatedInputDirException as error:
        raise Failure("template", "no folder in it has a name such as `{{cookiecutter.project_slug}}`") from error
    except UnknownExtension as error:
        raise Failure("template", f"{error}; add the package that holds it to the template's requirements") from error
    except TemplateError as error:
        raise Failure("render", located(error)) from error
    except CookiecutterException as error:
        raise Failure("template", f"{type(error).__name__}: {error}") from error
