"""Whatever a template asks: its schema accepts its own defaults, goes through JSON, and answers reach files literally.

`EXAMPLES=2000 pytest tests/in_environment/test_answers.py` tries more of them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dynamo_mcp.configuration import compile_schema
from dynamo_mcp.literals import text_of
from dynamo_mcp.parsing import parse
from dynamo_mcp.variables import YES_NO, Schema, Variable
from in_environment.test_differential import EXAMPLES
from in_environment.workers import Pool, tree, write_template

LONG = ["x" * 10_240, "🐍" * 2_560, "{{ é }}" * 1_500, "\"'\\{% raw %}\n\u200f" * 900, "\u202e" * 3_500]
PIECES = [
    "{{ 7*7 }}",
    "{{",
    "}}",
    "{%",
    "{% raw %}",
    "{# x #}",
    "'",
    '"',
    "\\",
    "\r\n",
    "\n",
    "\r",
    "👩‍👧",
    "\u202e",
    "\u200f",
    "\0",
]
ANY_TEXT = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=100),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.sampled_from(LONG),
)
PLAIN_TEXT = ANY_TEXT.filter(lambda text: not any(mark in text for mark in ("{{", "{%", "{#", "\r")))
"""A default that is Jinja is computed, and the line ends of every default are made the same: they are no answers."""
NAMES = st.one_of(
    st.sampled_from(["class", "items", "two words", "é.b-c", "0", "'", "{{ x }}", "{%", "self", "v0", "None"]),
    st.text(
        st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters='"\\'), min_size=1, max_size=9
    ),
).filter(lambda name: not name.startswith("_") and name not in {"slug", "template", "templates"})
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just(10**300))
SCALARS = st.one_of(PLAIN_TEXT, st.booleans(), NUMBERS, st.none())
RAWS = st.one_of(
    SCALARS,
    st.sampled_from(sorted(YES_NO)),
    st.lists(SCALARS, min_size=1, max_size=4),
    st.dictionaries(
        PLAIN_TEXT, st.recursive(SCALARS, lambda x: st.dictionaries(PLAIN_TEXT, x, max_size=2)), max_size=3
    ),
)
CONFIGURATIONS = st.dictionaries(NAMES, RAWS, max_size=5).map(lambda asked: {"slug": "made", **asked})


def answers(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Return answers to some of a schema's questions, that for a text or in a mapping being any text."""
    return st.fixed_dictionaries(
        {}, optional={variable.name: answer(variable) for variable in schema.variables if variable.name != "slug"}
    )


def answer(variable: Variable) -> st.SearchStrategy[Any]:
    match variable.kind:
        case "boolean":
            return st.booleans()
        case "yes_no":
            return st.one_of(st.booleans(), st.sampled_from(YES_NO[variable.raw]))
        case "choice":
            return st.sampled_from(variable.choices or ())
        case "number":
            return st.integers(-(10**50), 10**50)
        case "mapping":
            return st.dictionaries(
                ANY_TEXT, st.one_of(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2)), max_size=3
            )
        case _:
            return ANY_TEXT


def seen(variable: Variable, given: Any) -> str:
    """Return what a file shows of an answer; of a mapping that is tested otherwise."""
    if variable.kind == "yes_no" and isinstance(given, bool):
        return YES_NO[variable.raw][0 if given else 1]
    return given if isinstance(given, str) else str(given)


def written(folder: Path, configuration: dict[str, Any]) -> Path:
    """Write a template that shows each variable in a file of its own, and all of them as JSON."""
    shutil.rmtree(folder, ignore_errors=True)
    place = "{{cookiecutter.slug}}"
    files: dict[str, str | bytes] = {
        f"{place}/{index}": f'{{{{ cookiecutter["{name}"] }}}}' for index, name in enumerate(configuration)
    }
    asked = "dict(cookiecutter, _template=0, _output_dir=0, _repo_dir=0, _checkout=0)"
    return write_template(folder, {**files, f"{place}/all.json": f"{{{{ {asked}|jsonify }}}}"}, configuration)


@hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(configuration=CONFIGURATIONS, data=st.data())
def test_whatever_is_asked_its_schema_takes_its_own_defaults_and_answers_reach_the_files_literally(
    unmeasured_pool: Pool, tmp_path: Path, configuration: dict[str, Any], data: st.DataObject
) -> None:
    schema = compile_schema(parse(json.dumps(configuration).encode()))
    document = schema.json_schema()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    folder = written(tmp_path / "template", configuration)

    defaults = {name: question["default"] for name, question in document["properties"].items() if "default" in question}
    Draft202012Validator(document).validate(defaults)
    by_itself = unmeasured_pool.worker().create(folder)
    answered = unmeasured_pool.worker().create(folder, schema.check("template", json.loads(json.dumps(defaults))))
    assert by_itself.event == answered.event == "done", (by_itself.last, answered.last)
    assert tree(by_itself.output) == tree(answered.output)

    given = json.loads(json.dumps(data.draw(answers(schema))))
    Draft202012Validator(document).validate(given)
    made = unmeasured_pool.worker().create(folder, schema.check("template", given))
    assert made.event == "done", made.last
    everything = json.loads(made.read("all.json"))
    for index, variable in enumerate(schema.variables):
        if variable.name not in given:
            assert made.read(str(index)) == (by_itself.project / str(index)).read_bytes().decode()
        elif variable.kind == "mapping":
            assert {key: everything[variable.name][key] for key in given[variable.name]} == given[variable.name]
        else:
            assert made.read(str(index)) == seen(variable, given[variable.name])
    for outcome in (by_itself, answered, made):
        shutil.rmtree(outcome.output)


@hypothesis.settings(max_examples=EXAMPLES // 2, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    offered=st.lists(ANY_TEXT.filter(lambda text: "endraw" not in text), min_size=1, max_size=4), data=st.data()
)
def test_a_choice_of_any_text_reaches_the_files_as_it_is_offered(
    unmeasured_pool: Pool, tmp_path: Path, offered: list[str], data: st.DataObject
) -> None:
    configuration = {"slug": "made", "pick": [f"{{% raw %}}{text}{{% endraw %}}" for text in offered]}
    schema = compile_schema(parse(json.dumps(configuration).encode()))
    folder = written(tmp_path / "template", configuration)
    asked = unmeasured_pool.worker().create(folder, order="stop")
    choices = [text_of(item) for item in asked.resolved["choices"]["pick"]]
    # Jinja makes line ends of a text the same where it computes it.
    assert choices == ["\n".join(text.replace("\r\n", "\n").split("\r")) for text in offered]
    given = data.draw(st.sampled_from(choices))
    made = unmeasured_pool.worker().create(folder, schema.check("template", {"pick": given}))
    assert made.read("1") == given
    shutil.rmtree(made.output)
