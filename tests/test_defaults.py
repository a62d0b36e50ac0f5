"""What an operator's own cookiecutter configuration answers: literally, where nobody else does, if it is asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_mcp.configuration import compile_schema
from dynamo_mcp.defaults import LARGEST_BYTES, Defaults, read
from dynamo_mcp.errors import UsageError
from homes import SLUG, Home, base_environments

CONFIGURATION: dict[str, Any] = {
    "full_name": "Somebody",
    "year": "2020",
    "released": "2020-01-01",
    "docs": True,
    "tests": "y",
    "port": 80,
    "licence": ["MIT", "BSD"],
    "pick": ["{{ cookiecutter.full_name }}", "other"],
    "owner": {"name": "x", "city": "y"},
    "slug": "{{ cookiecutter.full_name|lower }}",
}
FILE = """
default_context:
  full_name: "{{ 7*7 }} Jane"
  year: 2026
  released: 2026-01-31
  docs: no
  tests: false
  port: 8080
  licence: BSD
  pick: other
  owner: {city: Paris}
  never_asked: 3
abbreviations: {x: "https://example.org/{0}"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "cookiecutterrc"
    path.write_text(text, "utf-8")
    return path


def test_its_values_are_answers_and_what_is_not_asked_is_passed_over(tmp_path: Path) -> None:
    schema = compile_schema(CONFIGURATION)
    answers, problems = read(written(tmp_path, FILE)).fill(schema, {})
    assert problems == ()
    assert schema.check("one", answers) == {
        "full_name": "{{ 7*7 }} Jane",
        "year": "2026",
        "released": "2026-01-31",
        "docs": False,
        "tests": "n",
        "port": "8080",
        "licence": "BSD",
        "pick": "other",
        "owner": {"city": "Paris"},
    }


def test_what_a_caller_says_wins_and_mappings_are_put_together(tmp_path: Path) -> None:
    filled, _ = read(written(tmp_path, FILE)).fill(
        compile_schema(CONFIGURATION), {"licence": "MIT", "owner": {"name": "Bo"}, "nonsense": 1}
    )
    assert filled["licence"] == "MIT"
    assert filled["owner"] == {"city": "Paris", "name": "Bo"}
    assert filled["port"] == 8080
    assert filled["nonsense"] == 1  # refused where answers are checked


def test_mappings_are_put_together_at_every_depth_as_a_job_does_it() -> None:
    schema = compile_schema({"owner": {"name": "x", "home": {"city": "y", "street": {"name": "z", "number": "1"}}}})
    defaults = Defaults({"owner": {"home": {"street": {"name": "Rue"}}}})
    filled, _ = defaults.fill(schema, {"owner": {"home": {"street": {"number": "2"}}}})
    assert filled == {"owner": {"home": {"street": {"name": "Rue", "number": "2"}}}}
    (info,) = defaults.show(schema, tuple(one.info() for one in schema.variables))
    assert info.default == {"name": "x", "home": {"city": "y", "street": {"name": "Rue", "number": "1"}}}


def test_a_misfit_is_told_only_where_it_would_have_counted() -> None:
    schema, defaults = compile_schema(CONFIGURATION), Defaults({"port": "many", "licence": "mit"})
    _, notes = defaults.fill(schema, {"port": 5})
    assert [note.partition("`")[2].partition("`")[0] for note in notes] == ["licence"]


def test_a_note_is_bounded_and_says_to_the_end_what_becomes_of_it() -> None:
    schema = compile_schema({"pick": [f"choice number {number} of many" for number in range(50)]})
    _, (note,) = Defaults({"pick": "x" * 10_000}).fill(schema, {})
    assert note.endswith("; the template's own default is used")
    assert len(note) < 600


def test_of_a_computed_choice_it_is_told_that_it_counts_as_it_is_written() -> None:
    schema = compile_schema(CONFIGURATION)
    assert Defaults({"pick": CONFIGURATION["pick"][0]}).fill(schema, {})[1] == ()
    _, (note,) = Defaults({"pick": "somebody"}).fill(schema, {})
    assert "`somebody`" in note
    assert '`["{{ cookiecutter.full_name }}", "other"]` as it is written there' in note


def test_what_only_yaml_has_is_the_text_of_it(tmp_path: Path) -> None:
    text = "default_context:\n  owner: {2026-01-31: [2026-01-31, .inf, !!binary aGk=], 7: {true: ~}, no: 1}"
    schema = compile_schema(CONFIGURATION)
    defaults = read(written(tmp_path, text))
    filled, problems = defaults.fill(schema, {})
    assert problems == ()
    assert filled == {"owner": {"2026-01-31": ["2026-01-31", "inf", "b'hi'"], "7": {"True": None}, "False": 1}}
    assert json.loads(json.dumps(filled, allow_nan=False)) == filled


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("licence", "mit"),
        ("licence", True),
        ("pick", "{{ cookiecutter.nothing }}"),
        ("port", "many"),
        ("docs", "perhaps"),
        ("owner", "Bo"),
        ("full_name", ["a"]),
        ("full_name", "x" * 100_001),
        ("slug", True),
    ],
)
def test_a_value_that_does_not_fit_is_told_and_the_others_count(name: str, value: Any) -> None:
    answers, problems = Defaults({name: value, "released": "then"}).fill(compile_schema(CONFIGURATION), {})
    assert answers == {"released": "then"}
    (problem,) = problems
    assert problem.startswith(f"user configuration: `{name}`")
    assert problem.endswith("the template's own default is used")


def test_clients_see_the_operators_defaults() -> None:
    schema = compile_schema(CONFIGURATION)
    defaults = Defaults({"slug": "mine", "tests": "no", "owner": {"city": "Paris"}, "licence": "nothing"})
    infos = {info.name: info for info in defaults.show(schema, tuple(one.info() for one in schema.variables))}
    assert (infos["slug"].default, infos["slug"].derived) == ("mine", False)
    assert infos["tests"].default is False
    assert infos["owner"].default == {"name": "x", "city": "Paris"}
    assert infos["licence"].default == "MIT"
    shown = defaults.show_schema(schema, schema.json_schema({"slug": "somebody"}))
    assert shown["properties"]["slug"]["default"] == "mine"
    assert shown["properties"]["slug"]["description"] == 'The template asks "Slug".'
    assert "examples" not in shown["properties"]["slug"]
    assert "computed" in schema.json_schema()["properties"]["slug"]["description"]
    jsonschema.Draft202012Validator(shown).validate(
        {name: one["default"] for name, one in shown["properties"].items() if "default" in one}
    )


@pytest.mark.parametrize(
    ("value", "raw", "default"), [("7", 3, 7), ("7.0", 3, 7), ("3.10", 0.5, 3.1), ("1e3", 0.5, 1000)]
)
def test_a_number_that_is_written_as_text_is_shown_as_a_number(value: str, raw: float, default: float) -> None:
    schema, defaults = compile_schema({"n": raw}), Defaults({"n": value})
    shown = defaults.show_schema(schema, schema.json_schema())["properties"]["n"]
    assert (shown["type"], shown["default"], type(shown["default"])) == (
        "integer" if isinstance(raw, int) else "number",
        default,
        type(raw),
    )
    assert defaults.show(schema, (schema.variables[0].info(),))[0].default == default
    assert schema.check("one", defaults.fill(schema, {})[0]) == {"n": value}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(st.characters(codec="utf-8"), max_size=10)
    | st.sampled_from(["7", "3.10", "1e3", "yes", "MIT", "b", "{{ cookiecutter.text }}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
EVERY_KIND: dict[str, Any] = {
    "text": "x",
    "computed": "{{ cookiecutter.text }}",
    "nothing": None,
    "boolean": True,
    "yes": "y",
    "whole": 3,
    "broken": 0.5,
    "licence": ["MIT", "b"],
    "pick": ["{{ cookiecutter.text }}", "b"],
    "mapping": {"a": {"b": "1"}},
}


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(EVERY_KIND, json_values)))
def test_a_schema_accepts_the_defaults_that_it_shows_whatever_the_operator_says(given: dict[str, Any]) -> None:
    schema, defaults = compile_schema(EVERY_KIND), Defaults(given)
    shown = defaults.show_schema(schema, schema.json_schema())
    own = {name: one["default"] for name, one in shown["properties"].items() if "default" in one}
    jsonschema.Draft202012Validator(shown).validate(own)
    assert json.loads(json.dumps(own, allow_nan=False)) == own
    schema.check("one", own)
    filled, notes = defaults.fill(schema, {})
    schema.check("one", filled)
    assert len(filled) + len(notes) == len(given)
    for variable in schema.variables:
        assert shown["properties"][variable.name]["description"].startswith("The template asks ")


@pytest.mark.parametrize("text", ["", "default_context:", "{}", "replay_dir: x"])
def test_a_configuration_without_answers_has_none(tmp_path: Path, text: str) -> None:
    assert read(written(tmp_path, text)).fill(compile_schema(CONFIGURATION), {}) == ({}, ())


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a",
        "default_context: [a]",
        "default_context: x",
        "x",
        "!!python/object:os.system {}",
        "a: 2026-13-45",
        "a: !!int x",
        pytest.param(f"a: {'9' * 5000}", id="a number of thousands of digits"),
        "a: !!bool x",
        "a: !!float x",
        "a: !!timestamp x",
        "a: !!int",
        "a: !!binary é",
        "? [a]\n: b",
        '"\\UFFFFFFFF"',
        '"\\U00110000"',
        pytest.param("%YAML " + "9" * 5000 + ".1\n---\na: 1", id="a version of thousands of digits"),
        pytest.param("[" * 50_000, id="nested deeply"),
    ],
)
def test_what_is_no_configuration_is_told_with_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match="cookiecutterrc"):
        read(path)
    with pytest.raises(UsageError, match="nowhere"):
        read(tmp_path / "nowhere")


def test_a_value_that_yaml_can_not_make_is_told_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "default_context:\n  when: 2026-13-45\n")
    with pytest.raises(UsageError, match=r"`2026-13-45` can't be read as `timestamp`.*line 2, column 9"):
        read(path)


def test_a_file_that_is_too_large_or_none_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "default_context: {a: b}\n" + "#" * LARGEST_BYTES)
    with pytest.raises(UsageError, match="more than 1048576 bytes"):
        read(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(UsageError, match="can't be read"):
            read(tmp_path / name)


@pytest.mark.anyio
async def test_a_project_is_made_with_them_only_where_the_operator_says_so(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(tmp_path, base_environments(tmp_path_factory))
    path = written(tmp_path, 'default_context: {author: "{{ 7*7 }}", licence: nothing}')
    files: dict[str, str | bytes] = {f"{SLUG}/a": "{{ cookiecutter.author }} {{ cookiecutter.licence }}"}
    configuration = {"slug": "made", "author": "nobody", "licence": ["MIT"]}
    async with home.open({"COOKIECUTTER_CONFIG": str(path)}) as dynamo:
        await home.add(dynamo, "one", files, configuration=configuration)
        without = await dynamo.create_project("one", str(home.outputs), {"slug": "without"})
    async with home.open({"DYNAMO_MCP_USER_CONFIG": str(path)}) as dynamo:
        project = await dynamo.create_project("one", str(home.outputs))
        assert (await dynamo.get_template_variables("one"))[1].default == "{{ 7*7 }}"
        assert (await dynamo.json_schema("one"))["properties"]["author"]["default"] == "{{ 7*7 }}"
    assert (Path(without.path) / "a").read_text() == "nobody MIT"
    assert (Path(project.path) / "a").read_text() == "{{ 7*7 }} MIT"
    assert without.notes == ()
    assert [note.split(":")[0] for note in project.notes] == ["user configuration"]
