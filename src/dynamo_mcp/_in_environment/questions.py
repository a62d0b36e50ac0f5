"""What does each variable become? Its default as cookiecutter computes it, or the answer, taken literally.

Bare cookiecutter 2.7.1 renders every value that it is given, so that a value is code. Here a given value is never
rendered: the context is computed as `cookiecutter.prompt.prompt_for_config` does, but for the given answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import cookiecutter.utils
from cookiecutter.exceptions import CookiecutterException
from cookiecutter.prompt import YesNoPrompt, render_variable
from jinja2.exceptions import TemplateSyntaxError, UndefinedError

if TYPE_CHECKING:
    from dynamo_mcp._in_environment.failure import Failure, described, located
    from dynamo_mcp._in_environment.undefined import NOT_YET, naming
else:
    from failure import Failure, described, located
    from undefined import NOT_YET, naming

INERT_EXTENSIONS = ("cookiecutter.extensions.", "jinja2.ext.", "jinja2_time.")
"""Extensions that run at `inert`: they compute text and touch nothing."""


class Questions:
    """The questions of one template and the answers to some of them."""

    def __init__(self, raw: OrderedDict[str, Any], answers: dict[str, Any]) -> None:
        """Take them; nothing is rendered yet.

        Args:
            raw: What `read` returned.
            answers: Literal values.
        """
        self._raw = raw
        self._answers = answers
        self._chosen: dict[str, int] = {}
        self.choices: dict[str, list[Any]] = {}
        """What each choice offers, rendered; once `context` has run."""

    def context(self, private: dict[str, Any]) -> dict[str, Any]:
        """Do what `cookiecutter.main` does between reading `cookiecutter.json` and rendering, answers being literal.

        Args:
            private: `_template`, `_output_dir`, `_repo_dir` and `_checkout`.

        Returns:
            `cookiecutter`, every variable's value, and `_cookiecutter`, the questions.

        Raises:
            Failure: A default can't be computed, or an answer does not fit.
        """
        raw = self._raw
        environment = create_environment({"cookiecutter": raw})
        asked = {name: value for name, value in raw.items() if not name.startswith("_")}
        resolved: OrderedDict[str, Any] = OrderedDict()
        environment.undefined = naming(raw, so_far=resolved)
        for second_pass in (False, True):
            for name, value in raw.items():
                if name.startswith("_") and not name.startswith("__"):
                    resolved[name] = value
                elif isinstance(value, dict) if second_pass else not isinstance(value, dict) or name.startswith("__"):
                    try:
                        resolved[name] = self._answer(name, value, environment, resolved)
                    except Failure:
                        raise
                    except Exception as error:  # Jinja runs a stranger's expressions, which raise anything
                        order = _order(name, error, raw)
                        told = located(error).removeprefix("line 1: ")  # which most defaults have no other of
                        raise Failure(
                            "template",
                            f"the default of `{name}`: {told}{order}",
                            variable=name,
                            # Of a choice and a mapping the default is needed to understand an answer.
                            always=isinstance(error, TemplateSyntaxError)
                            and (name.startswith("_") or isinstance(value, (list, dict))),
                        ) from error
        for name in asked.keys() & self._answers.keys():
            asked[name] = self._preferred(name, asked[name])
        raw.update(resolved)
        raw.update(private)
        return {"cookiecutter": raw, "_cookiecutter": asked}

    def _answer(self, name: str, raw: Any, environment: Any, resolved: dict[str, Any]) -> Any:
        """Return the literal answer to one question, or its rendered default."""
        given = name in self._answers and not name.startswith("_")
        if given and not isinstance(raw, (list, dict)):
            return self._answers[name]
        default = render_variable(environment, raw, resolved)
        if isinstance(raw, list) and not name.startswith("_"):
            if not default:
                raise Failure("template", f"the choice `{name}` offers nothing", variable=name)
            self.choices[name] = default
            self._chosen[name] = _choose(name, raw, default, self._answers[name]) if given else 0
            return default[self._chosen[name]]
        if given and isinstance(raw, dict):
            return _merge(name, default, self._answers[name])
        return default

    def _preferred(self, name: str, raw: Any) -> Any:
        """Return a question as cookiecutter's `_cookiecutter` tells it of one that was answered."""
        if isinstance(raw, list):
            chosen = self._chosen[name]
            return [raw[chosen], *raw[:chosen], *raw[chosen + 1 :]]
        return _merge(name, raw, self._answers[name])


def read(repository: str, *, inert: bool) -> OrderedDict[str, Any]:
    """Read a template's `cookiecutter.json`, without the words for its questions.

    Args:
        repository: The folder that holds it.
        inert: Refuse extensions that are not known to touch nothing.

    Raises:
        Failure: It is not there, or can't be understood.
    """
    try:
        with open(os.path.join(repository, "cookiecutter.json"), encoding="utf-8") as file:
            raw = json.load(file, object_pairs_hook=OrderedDict)
    except (OSError, ValueError) as error:
        raise Failure("template", f"cookiecutter.json: {error}") from error
    if not isinstance(raw, OrderedDict):
        raise Failure("template", "cookiecutter.json does not hold an object")
    _check_settings(raw)
    if inert:
        _refuse_extensions(raw)
    raw.pop("__prompts__", None)
    return raw


def create_environment(context: dict[str, Any]) -> Any:
    """Make the Jinja environment that a template asks for.

    Raises:
        Failure: Its extensions or its settings are at fault.
    """
    create = cookiecutter.utils.create_env_with_context
    try:
        return create(context)
    except CookiecutterException:
        raise
    except (Exception, SystemExit) as error:  # a stranger's extensions are imported, which may raise anything
        guilty = "_extensions"
        if context["cookiecutter"].get("_jinja2_env_vars"):
            with contextlib.suppress(Exception, SystemExit):
                create({**context, "cookiecutter": {**context["cookiecutter"], "_jinja2_env_vars": {}}})
                guilty = "_jinja2_env_vars"
        told = f"its `{guilty}` can't be used: {described(error)}"
        raise Failure("template", told, variable=guilty, always=True) from error


def _check_settings(raw: dict[str, Any]) -> None:
    """Check the types of what an author sets for cookiecutter, which would raise something in the middle."""
    # A text of patterns is one of each letter to cookiecutter, which works; a text of extensions never does.
    patterns, extensions = raw.get("_copy_without_render", []), raw.get("_extensions", [])
    for name, value in (("_copy_without_render", patterns), ("_extensions", extensions)):
        if not isinstance(value, (list, dict, str)) or not all(isinstance(item, str) for item in value):
            raise Failure("template", f"cookiecutter.json: `{name}` is not a list of texts", always=True)
    if extensions and isinstance(extensions, str):
        told = f"cookiecutter.json: `_extensions` is not a list; is `[{json.dumps(extensions)}]` meant?"
        raise Failure("template", told, always=True)
    if not isinstance(raw.get("_jinja2_env_vars", {}), dict):
        raise Failure("template", "cookiecutter.json: `_jinja2_env_vars` is not an object", always=True)
    if raw.get("_new_lines") and raw["_new_lines"] not in ("\n", "\r", "\r\n"):
        told = "cookiecutter.json: `_new_lines` is none of `\\n`, `\\r\\n` and `\\r`"
        raise Failure("template", told, always=True)


def _refuse_extensions(raw: dict[str, Any]) -> None:
    refused = [str(name) for name in raw.get("_extensions", []) if not str(name).startswith(INERT_EXTENSIONS)]
    if refused:
        raise Failure("template", "at trust `inert` these extensions do not run: " + ", ".join(refused))


def _choose(name: str, raw: list[Any], rendered: list[Any], given: Any) -> int:
    """Return which item of a choice is meant: one as it is rendered or, as with cookiecutter, as it is written."""
    for items in (rendered, raw):
        for index, item in enumerate(items):
            if str(item) == str(given):
                return index
    offered = ", ".join(f"`{item}`" for item in rendered)
    told = f"`{name}` can't be `{given}`; it is one of {offered}"
    raise Failure("answers", told, variable=name, choices=[str(item) for item in rendered])


def _merge(name: str, default: Any, given: Any) -> Any:
    """Put a mapping's given keys over its default ones, as cookiecutter does, at every depth."""
    if isinstance(default, dict) and isinstance(given, dict):
        return {**default, **{key: _merge(f"{name}.{key}", default.get(key), value) for key, value in given.items()}}
    if isinstance(default, bool) and isinstance(given, str):
        word = given.strip().lower()
        if word not in YesNoPrompt.yes_choices + YesNoPrompt.no_choices:
            told, variable = f"`{name}` can't be `{given}`; it is true or false", name.partition(".")[0]
            raise Failure("answers", told, variable=variable, allowed="true or false")
        return word in YesNoPrompt.yes_choices
    return given


def _order(name: str, error: Exception, raw: dict[str, Any]) -> str:
    """Say of an undefined variable that it is one that is asked later, where it is."""
    used = re.fullmatch(rf"`cookiecutter\.(.+)` {NOT_YET}", str(error)) if isinstance(error, UndefinedError) else None
    if used is None:
        return ""
    if used[1] == name:
        return "; it is computed from itself"
    mutual = re.search(rf"cookiecutter\W+{re.escape(name)}\b", json.dumps(raw[used[1]]))
    return f"; `{used[1]}` is only answered after `{name}`" + (", from which it is computed itself" if mutual else "")
