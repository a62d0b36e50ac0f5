"""What an operator's own cookiecutter configuration answers: literally, where nobody else does, if it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dynamo_mcp.configuration import compile_schema
from dynamo_mcp.defaults import Defaults, read
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
    answers, problems = read(written(tmp_path, FILE)).of(schema)
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
    filled = read(written(tmp_path, FILE)).fill(
        compile_schema(CONFIGURATION), {"licence": "MIT", "owner": {"name": "Bo"}, "nonsense": 1}
    )
    assert filled["licence"] == "MIT"
    assert filled["owner"] == {"city": "Paris", "name": "Bo"}
    assert filled["port"] == 8080
    assert filled["nonsense"] == 1  # refused where answers are checked


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
    answers, problems = Defaults({name: value, "released": "then"}).of(compile_schema(CONFIGURATION))
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
    shown = defaults.show_schema(schema, schema.json_schema())
    assert shown["properties"]["slug"]["default"] == "mine"
    assert "computed" not in shown["properties"]["slug"]["description"]
    assert "computed" in schema.json_schema()["properties"]["slug"]["description"]
    jsonschema.Draft202012Validator(shown).validate(
        {name: one["default"] for name, one in shown["properties"].items() if "default" in one}
    )


@pytest.mark.parametrize("text", ["", "default_context:", "{}", "replay_dir: x"])
def test_a_configuration_without_answers_has_none(tmp_path: Path, text: str) -> None:
    assert read(written(tmp_path, text)).of(compile_schema(CONFIGURATION)) == ({}, ())


@pytest.mark.parametrize(
    "text", ["a: [", "- a", "default_context: [a]", "default_context: x", "x", "!!python/object:os.system {}"]
)
def test_what_is_no_configuration_is_told_with_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match="cookiecutterrc"):
        read(path)
    with pytest.raises(UsageError, match="nowhere"):
        read(tmp_path / "nowhere")


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
