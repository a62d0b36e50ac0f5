"""Which modules does this code import, and must they be there?"""

from __future__ import annotations

import pytest

from dynamo_mcp.effort import Effort, Exhausted
from dynamo_mcp.imports import imports
from dynamo_mcp.template_code import Code, Marks, set_aside
from patience import LARGE, soon


def _found(text: str) -> list[tuple[str, str]]:
    return [(each.module, each.demand) for each in imports(set_aside(text, Marks()), Effort())]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a, b.c as d", [("a", "always"), ("b.c", "always")]),
        ("from a.b import c", [("a.b", "always")]),
        ("if x:\n import a\nelse:\n import b", [("a", "sometimes"), ("b", "sometimes")]),
        ("def f():\n import a", [("a", "sometimes")]),
        ("class A:\n import a", [("a", "always")]),
        ("if __name__ == '__main__':\n import a", [("a", "always")]),
        ("if TYPE_CHECKING:\n import a", []),
        ("if typing.TYPE_CHECKING:\n import a\nelse:\n import b", [("b", "always")]),
        ("with x:\n import a", [("a", "always")]),
        ("with contextlib.suppress(ImportError):\n import a", [("a", "optional")]),
        ("with suppress(KeyError):\n import a", [("a", "always")]),
        ("try:\n import a\nexcept ImportError:\n import b", [("a", "optional"), ("b", "optional")]),
        ("try:\n import a\nexcept (KeyError, ModuleNotFoundError):\n pass", [("a", "optional")]),
        ("try:\n import a\nexcept:\n pass", [("a", "optional")]),
        ("try:\n import a\nexcept KeyError:\n import b", [("a", "always"), ("b", "sometimes")]),
        ("try:\n pass\nfinally:\n import a", [("a", "always")]),
        ("try:\n import a\nexcept ImportError:\n sys.exit('install a')", [("a", "always")]),
        ("try:\n import a\nexcept ImportError as e:\n raise SystemExit from e", [("a", "always")]),
        ("def f():\n try:\n  import a\n except ImportError:\n  pass", [("a", "optional")]),
        ("importlib.import_module('a.b')", [("a.b", "always")]),
        ("__import__('a')", [("a", "always")]),
        ("importlib.import_module(name)", []),
        ("{% if cookiecutter.a %}\nimport a\n{% endif %}\nimport b", [("a", "sometimes"), ("b", "always")]),
        ("x = '''\nimport a\n'''", []),
    ],
)
def test_an_import_is_found_with_whether_it_must_succeed(text: str, found: list[tuple[str, str]]) -> None:
    assert _found(text) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import a, b.c", [("a", "always"), ("b.c", "always")]),
        ("import a as b  # why", [("a", "always")]),
        ("  import a", [("a", "sometimes")]),
        ("from a.b import (", [("a.b", "always")]),
        ("from a import b, c", [("a", "always")]),
        ("import a\r", [("a", "always")]),
        ("import the data from the server", []),
        ("from the start import of goods", []),
        ("important = 1", []),
    ],
)
def test_where_nothing_can_be_parsed_the_lines_that_import_are_read(line: str, found: list[tuple[str, str]]) -> None:
    assert _found(f"this is no Python\n{line}\n") == found


def test_what_is_taken_and_where_is_told() -> None:
    (relative,) = imports(Code("\nfrom ..a import b, c", frozenset()), Effort())
    assert (relative.module, relative.names, relative.level, relative.line) == ("a", ("b", "c"), 2, 2)


@pytest.mark.parametrize("line", [f"from {'.' * LARGE}", f"from{' ' * LARGE}"])
def test_a_line_that_imports_nothing_costs_no_more_than_its_length(line: str) -> None:
    with soon():
        assert _found(f"this is no Python\n{line}\n") == []


def test_handlers_in_each_other_are_walked_no_longer_than_may_be_spent() -> None:
    code = ""
    for depth in range(90):
        code += f"{' ' * depth}try: pass\n{' ' * depth}except ImportError:\n"
    with pytest.raises(Exhausted):
        imports(Code(f"{code}{' ' * 90}{'a;' * 10_000}a\n", frozenset()), Effort(steps=500_000, seconds=600))
