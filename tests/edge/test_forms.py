"""What form is made of a template's questions, and what is an answer to it."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from mcp_types import _v2025_11_25, _v2026_07_28
from pydantic import TypeAdapter

from dynamo_mcp.configuration import compile_schema
from dynamo_mcp.forms import MOST, Form, compose
from dynamo_mcp.text import plain
from dynamo_mcp.views import VariableInfo
from edge.joining import Draft202012Validator
from fakes import EVERY_KIND

PRIMITIVE = TypeAdapter[Any](_v2025_11_25.PrimitiveSchemaDefinition)


def form_of(
    configuration: dict[str, Any], *given: str, defaults: bool = True, values: list[VariableInfo] | None = None
) -> Form:
    variables = [variable.info() for variable in compile_schema(configuration).variables]
    return compose("web", variables, given, defaults=defaults, values=values)


def test_each_kind_of_question_has_its_kind_of_field_in_the_author_s_order() -> None:
    form = compose("alpha", EVERY_KIND, ["docker"])
    assert form.asked == ("project_name", "slug", "tests", "license", "port")
    assert form.left == ("owner",)
    fields = form.schema["properties"]
    assert fields["project_name"]["title"] == "How is it called?"
    assert fields["project_name"]["default"] == "My project"
    assert fields["tests"] == {"type": "boolean", "title": "With tests?", "default": True}
    assert fields["license"] == {
        "type": "string",
        "title": "Which licence?",
        "default": "MIT",
        "oneOf": [
            {"const": "MIT", "title": "MIT"},
            {"const": "BSD-3", "title": "BSD-3"},
            {"const": "GPL", "title": "GNU General Public License"},
        ],
    }
    assert fields["port"] == {"type": "integer", "title": "port", "default": 8000}
    assert "default" not in fields["slug"]
    assert "computed from the other answers: {{ cookiecutter.project_name }}" in fields["slug"]["description"]


def test_a_client_of_an_older_version_gets_labels_its_way_and_defaults_by_leaving_fields_empty() -> None:
    form = compose("alpha", EVERY_KIND, [], defaults=False)
    assert form.schema["properties"]["license"]["enumNames"] == ["MIT", "BSD-3", "GNU General Public License"]
    assert form.schema["properties"]["license"]["enum"] == ["MIT", "BSD-3", "GPL"]
    assert not any("default" in field for field in form.schema["properties"].values())
    assert form.answers(dict.fromkeys(form.asked, "")) == {}


def test_what_is_left_empty_is_an_answer_only_where_the_form_shows_another() -> None:
    form = form_of({"name": "web", "slug": "{{ cookiecutter.name }}", "nothing": None, "odd": "a\n b"})
    assert form.optional == {"slug", "nothing", "odd"}
    assert form.answers(dict.fromkeys(form.asked, "")) == {"name": ""}
    assert form.answers({"name": None, "slug": "s", "never-asked": 1, "_output_dir": "/"}) == {"slug": "s"}
    assert form.answers(None) == {}


@pytest.mark.parametrize(
    "raw",
    [
        {"a": 1},
        ["{{ cookiecutter.name }}", "b"],
        [f"choice-{number}" for number in range(1000)],
        ["x" * 5000],
        ["right\u202eto left"],
    ],
)
def test_what_a_form_can_not_hold_is_left_to_its_default_by_name(raw: Any) -> None:
    form = form_of({"name": "web", "question": raw})
    assert (form.asked, form.left) == (("name",), ("question",))


COMPUTED: dict[str, Any] = {
    "name": "web",
    "slug": "{{ cookiecutter.name }}",
    "layout": ["{{ cookiecutter.slug }}", "src/{{ cookiecutter.slug }}", "flat"],
    "__prompts__": {"layout": {"__prompt__": "Where?", "src/web": "In a folder", "flat": "Nowhere"}},
}


def values_of(configuration: dict[str, Any], **values: Any) -> list[VariableInfo]:
    """Return what a job tells of variables: a value each, and what a choice offers where a list is given."""
    return [
        msgspec.structs.replace(variable.info(), choices=tuple(value), value=value[0])
        if isinstance(value := values.get(variable.name), list)
        else msgspec.structs.replace(variable.info(), value=value)
        for variable in compile_schema(configuration).variables
    ]


@pytest.mark.parametrize("defaults", [True, False])
def test_what_is_computed_is_shown_as_it_is_so_far_and_answered_so_that_it_stays_right(defaults: bool) -> None:
    values = values_of(COMPUTED, name="web", slug="web", layout=["web", "src/web", "flat"])
    form = form_of(COMPUTED, defaults=defaults, values=values)
    assert (form.asked, form.computed, form.left) == (("name", "slug", "layout"), ("slug", "layout"), ())
    fields = form.schema["properties"]
    assert fields["slug"]["description"].endswith("computed from the other answers; with those so far it is: web")
    written, titles = COMPUTED["layout"], ["web", "In a folder", "Nowhere"]
    if defaults:
        assert fields["layout"]["oneOf"] == [
            {"const": choice, "title": title} for choice, title in zip(written, titles, strict=True)
        ]
        assert fields["layout"]["default"] == written[0]
    else:
        assert (fields["layout"]["enum"], fields["layout"]["enumNames"]) == (written, titles)
    assert form.answers({"layout": written[1], "slug": ""}) == {"layout": written[1]}


def test_what_a_stranger_s_job_tells_is_shown_plain_and_bounded_and_only_where_it_fits() -> None:
    values = values_of(COMPUTED, slug="a\x1b[31m\n" + "x" * 500, layout=["b\u202e", "y" * 500, "flat"])
    fields = form_of(COMPUTED, values=values).schema["properties"]
    titles = [option["title"] for option in fields["layout"]["oneOf"]]
    assert titles == ["b", "y" * 99 + "…", "Nowhere"]
    assert "it is: a[31m xxx" in fields["slug"]["description"]
    assert len(fields["slug"]["description"]) < 200
    nothing = form_of(COMPUTED, values=values_of(COMPUTED, layout=["", "\u200b", "flat"])).schema["properties"]
    assert [option["title"] for option in nothing["layout"]["oneOf"]] == [*COMPUTED["layout"][:2], "Nowhere"]
    fewer = form_of(COMPUTED, values=values_of(COMPUTED, layout=["only one"])).schema["properties"]
    assert [option["title"] for option in fewer["layout"]["oneOf"]] == [*COMPUTED["layout"][:2], "Nowhere"]


def test_a_form_is_the_same_whatever_is_computed_but_not_where_that_can_not_be_known() -> None:
    unknown, none, some_, other = (
        form_of(COMPUTED, values=values)
        for values in (
            None,
            [],
            values_of(COMPUTED, slug="a", layout=["a", "src/a", "flat"]),
            values_of(COMPUTED, slug="b", layout=["b", "src/b", "flat"]),
        )
    )
    assert some_.schema != other.schema
    assert len({none.fingerprint, some_.fingerprint, other.fingerprint}) == 1
    assert unknown.fingerprint != none.fingerprint
    assert (unknown.asked, unknown.left, unknown.shows_computed) == (("name", "slug"), ("layout",), False)


def test_of_too_many_questions_the_recommended_are_asked() -> None:
    questions = {f"q{number}": "x" for number in range(200)}
    form = form_of({**questions, "last": "y", "slug": "{{ cookiecutter.last }}"})
    assert len(form.asked) == MOST
    assert form.asked[-1] == "last"
    assert len(form.left) == 202 - MOST


def test_a_form_changes_its_fingerprint_with_anything_that_is_asked() -> None:
    asked: list[dict[str, Any]] = [{"a": "x"}, {"a": "y"}, {"b": "x"}, {"a": ["x"]}, {"a": "x", "b": True}]
    assert len({form_of(configuration).fingerprint for configuration in asked}) == len(asked)
    assert form_of({"a": "x"}).fingerprint == form_of({"a": "x"}).fingerprint


texts = some.text(some.characters(codec="utf-8"), max_size=30)
raws = (
    texts
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.none()
    | some.sampled_from(["y", "No", "{{ cookiecutter.a }}"])
    | some.lists(texts | some.integers() | some.just("{{ cookiecutter.a }}"), min_size=1, max_size=5)
    | some.dictionaries(texts, texts, max_size=2)
)


@given(some.dictionaries(some.sampled_from("abcdef"), raws), texts, some.booleans(), some.booleans())
def test_any_form_is_one_that_clients_of_both_eras_can_show_and_its_defaults_are_answers(
    questions: dict[str, Any], prompt: str, defaults: bool, told: bool
) -> None:
    prompts = {
        name: {"__prompt__": prompt, **({str(raw[0]): prompt} if isinstance(raw, list) else {})}
        for name, raw in questions.items()
    }
    schema = compile_schema({**questions, "__prompts__": prompts})
    values = [msgspec.structs.replace(variable.info(), value=prompt) for variable in schema.variables]
    infos = [variable.info() for variable in schema.variables]
    form = compose("web", infos, [], defaults=defaults, values=values if told else None)
    assert sorted([*form.asked, *form.left]) == sorted(questions)
    Draft202012Validator.check_schema(form.schema)
    _v2025_11_25.RequestedSchema.model_validate(form.schema)
    _v2026_07_28.RequestedSchema.model_validate(form.schema)
    for field in form.schema["properties"].values():
        assert isinstance(PRIMITIVE.validate_python(field), get_args(_v2025_11_25.PrimitiveSchemaDefinition))
        assert plain(field["title"]) == field["title"]
    shown = {name: field["default"] for name, field in form.schema["properties"].items() if "default" in field}
    Draft202012Validator(form.schema).validate(shown)
    assert list(schema.check("web", form.answers(shown))) == list(shown)
