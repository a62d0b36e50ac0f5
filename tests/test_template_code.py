"""What Python is in a template's file? What Jinja leaves of it, line by line."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_mcp.effort import Effort
from dynamo_mcp.imports import imports
from dynamo_mcp.template_code import STAND_IN, Marks, marks_of, parse, python_of, set_aside
from patience import LARGE, soon

PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{% if x %}",
        "{% endif %}",
        "{% raw %}",
        "{% endraw %}",
        "\n",
        "import a",
        " ",
        "'",
        "x",
    ]
)


def _text(text: str) -> str:
    return set_aside(text, Marks()).text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ""),
        ("x = '{{ cookiecutter.a }}'", f"x = '{STAND_IN}'"),
        ("import {{ cookiecutter.a }}_b", f"import {STAND_IN}_b"),
        ("x = {{ cookiecutter.a|int }} + 1", f"x = {STAND_IN} + 1"),
        ("{% if a %}\nx\n{%- endif -%}\ny", "\nx\n\ny"),
        ("x = {% if a %}1{% else %}2{% endif %}", "x = 12"),
        ("{# a\nb #}\nx", "\n\nx"),
        ("{%\nset a = 1\n%}x", "\n\nx"),
        ("{% raw %}f'{{ a }}'{% endraw %}", "f'{{ a }}'"),
        ("{% raw %}{{ a }}", STAND_IN),
        ("d = {'a': {'b': 1}}", "d = {'a': {'b': 1}}"),
        ("x = '{{ a'", "x = '{{ a'"),
    ],
)
def test_jinja_is_set_aside_and_lines_keep_their_numbers(text: str, left: str) -> None:
    assert _text(text) == left


def test_what_jinja_may_leave_out_is_known_by_its_lines() -> None:
    code = set_aside("a\n{% if x %}\nb\n{% for y in z %}\nc\n{% endfor %}\nd\n{% endif %}\ne\n", Marks())
    lines = code.text.split("\n")
    assert [line for number, line in enumerate(lines, 1) if line and number in code.conditional] == ["b", "c", "d"]


def test_a_template_may_choose_other_marks() -> None:
    chosen = {"variable_start_string": "<<", "variable_end_string": ">>", "block_start_string": 5}
    marks = marks_of({"_jinja2_env_vars": chosen})
    assert set_aside("<< a >>{{ b }}{% c %}", marks).text == f"{STAND_IN}{{{{ b }}}}"


UNLIKELY = [{"block_start_string": " \t"}, {"comment_start_string": "x" * 101}]
"""Looking for these in a long text could take minutes."""


@pytest.mark.parametrize(
    "chosen", [None, [], 5, {"variable_start_string": ""}, {"variable_end_string": None}, *UNLIKELY]
)
def test_marks_that_are_none_are_the_usual_ones(chosen: object) -> None:
    assert marks_of({"_jinja2_env_vars": chosen}) == Marks()


@given(st.lists(PIECES).map("".join) | st.text())
def test_setting_aside_and_reading_never_fails_whatever_the_text_is(text: str) -> None:
    code = set_aside(text, Marks())
    assert code.text.count("\n") <= text.count("\n")
    imports(code, Effort())


@given(st.lists(st.sampled_from(["import a", "x = 1", "", "{# c #}", "{% if a %}", "{% endif %}"])))
def test_python_between_jinja_is_parsed(lines: list[str]) -> None:
    tree = parse(_text("\n".join(lines)))
    assert tree is not None
    assert len(tree.body) == sum("import" in line or "=" in line for line in lines)


def test_a_file_of_nothing_but_beginnings_costs_no_more_than_its_length() -> None:
    text = "{{" * (64 << 10)
    assert _text(text) == text


@pytest.mark.parametrize("mark", ["{% raw %}", "{% else %}"])
def test_a_file_of_nothing_but_blocks_without_end_costs_no_more_than_its_length(mark: str) -> None:
    with soon():
        assert python_of(f"no python {mark * (4 * LARGE // len(mark))}", Marks()).text == "no python "


@pytest.mark.parametrize("text", ["x = (", "a b", "\0", "(" * 5000, "-" * 100_000 + "1", "x = '{{ a }}'\n\tif"])
def test_what_is_no_python_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_strangers_strings_bring_no_warning() -> None:
    assert isinstance(parse(r"x = '\d'; assert (1, 2)"), ast.Module)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x = {% if a %}1{% else %}None{% endif %}\ny\n", "x = 1\ny\n"),
        ("x = {% if a %}'a'{%- elif b -%}'b'{% else %}None{% endif %}", "x = 'a'"),
        ("x = [{% if a %}1,{% else %}2,{% endif %}]", "x = [1,2,]"),
        ("{% if a %}\nimport a\n{% else %}\nimport b\n{% endif %}", "\nimport a\n\nimport b\n"),
        ("no python {% if a %}1{% else %}2{% endif %}", "no python 12"),
    ],
)
def test_of_branches_on_one_line_the_first_stays_where_all_of_them_are_no_python(text: str, left: str) -> None:
    assert python_of(text, Marks()).text == left
