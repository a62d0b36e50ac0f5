"""What can go wrong, in words: the tree that is drawn is the tree that is, and everything says what to do next."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp import errors
from dynamo_mcp.errors import MOST_PROBLEMS, DynamoError, InvalidAnswers, InvalidArguments, Problem

SOURCE = Path(inspect.getfile(errors)).parent


def _drawn() -> list[tuple[str, str]]:
    """Return child and parent of each branch of the docstring's tree, from top to bottom."""
    path, found = ["DynamoError"], []
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"    ((?:│   |    )*)[├└]── (\w+)", line)
        if branch:
            depth = len(branch[1]) // 4 + 1
            del path[depth:]
            found.append((branch[2], path[-1]))
            path.append(branch[2])
    return found


def _classes(base: type[DynamoError] = DynamoError) -> list[type[DynamoError]]:
    own = [kind for kind in base.__subclasses__() if kind.__module__ == errors.__name__]
    return [kind for child in own for kind in (child, *_classes(child))]


LEAVES = [kind for kind in _classes() if not any(issubclass(other, kind) for other in _classes() if other is not kind)]
SEVERAL: dict[type[DynamoError], str] = {
    InvalidAnswers: "The answers do not fit template `web`",
    InvalidArguments: "The arguments do not fit `web`",
}


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    assert len(_drawn()) > 20
    assert sorted(_drawn()) == sorted((kind.__name__, kind.__bases__[0].__name__) for kind in _classes())


def test_every_kind_of_error_has_one_parent_and_says_what_it_means() -> None:
    for kind in _classes():
        assert len(kind.__bases__) == 1
        assert kind.__doc__


@pytest.mark.parametrize("kind", [kind for kind in LEAVES if kind not in SEVERAL])
def test_an_error_is_a_message_a_blank_line_and_a_hint(kind: type[DynamoError]) -> None:
    error = kind("`x` is not there", hint="look elsewhere")
    assert (error.message, error.hint) == ("`x` is not there", "look elsewhere")
    assert str(error) == "`x` is not there\n\nhint: look elsewhere"


@pytest.mark.parametrize("kind", LEAVES)
def test_no_error_can_be_made_without_a_hint(kind: type[DynamoError]) -> None:
    parameter = inspect.signature(kind).parameters["hint"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize("kind", SEVERAL)
def test_one_problem_is_one_line_and_several_are_a_line_each(kind: Any) -> None:
    problems = (Problem("port", "`port` is 0"), Problem("name", "`name` is empty"))
    one, two = kind("web", problems[:1], hint="choose another"), kind("web", problems, hint="choose others")
    assert one.message == f"{SEVERAL[kind]}: `port` is 0"
    assert two.message == f"{SEVERAL[kind]}:\n- `port` is 0\n- `name` is empty"
    assert two.problems == problems


def test_of_very_many_problems_the_first_are_told_and_the_others_counted() -> None:
    problems = tuple(Problem(f"p{number}", f"`p{number}` is wrong") for number in range(MOST_PROBLEMS + 7))
    lines = InvalidAnswers("web", problems, hint="choose others").message.splitlines()
    assert len(lines) == 1 + MOST_PROBLEMS + 1
    assert lines[-1] == "- and 7 more"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("DynamoError", 1),
        ("TemplateBroken", 1),
        ("Failed", 1),
        ("UsageError", 2),
        ("NotFound", 3),
        ("InvalidAnswers", 4),
        ("OutputRefused", 5),
        ("Refused", 5),
    ],
)
def test_the_shell_can_tell_the_kinds_of_failure_apart(name: str, code: int) -> None:
    kind: type[DynamoError] = getattr(errors, name)
    assert kind.exit_code == code


def test_an_error_has_the_exit_code_of_its_family_unless_it_is_of_another() -> None:
    codes = {
        kind.__name__: kind.exit_code
        for kind in _classes()
        for family in kind.__mro__[1:2]
        if issubclass(family, DynamoError) and kind.exit_code != family.exit_code
    }
    assert codes == {"UsageError": 2, "InvalidAnswers": 4, "OutputRefused": 5, "NotFound": 3, "Refused": 5}


def _raised() -> list[tuple[str, ast.Call]]:
    """Return every place where this program makes one of its errors."""
    names = {kind.__name__ for kind in _classes()}
    files = sorted(path for path in SOURCE.rglob("*.py") if "templates" not in path.parts)
    return [
        (f"{path.relative_to(SOURCE)}:{node.lineno}", node)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def test_every_place_that_makes_an_error_gives_a_hint() -> None:
    assert len(_raised()) > 40
    silent = [place for place, call in _raised() if not any(keyword.arg in {"hint", None} for keyword in call.keywords)]
    assert silent == []


def test_no_message_and_no_hint_ends_with_a_full_stop() -> None:
    ending = []
    for place, call in _raised():
        texts = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "hint")]
        for text in texts:
            last = text.values[-1] if isinstance(text, ast.JoinedStr) else text
            if isinstance(last, ast.Constant) and isinstance(last.value, str) and re.search(r"[^.]\.$", last.value):
                ending.append(f"{place}: {last.value}")
    assert ending == []


def test_every_message_that_holds_a_name_has_backticks_around_it() -> None:
    quoted = [
        place
        for place, call in _raised()
        for text in call.args[:1]
        if isinstance(text, ast.JoinedStr) and re.search(r"'\{[^}]*\}'|\"\{[^}]*\}\"", ast.unparse(text))
    ]
    assert quoted == []
