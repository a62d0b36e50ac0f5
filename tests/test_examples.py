"""What the computed defaults of a template come to is known since it was added, and so is what is wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.examples import MOST
from dynamo_mcp.problems import SHOWN
from dynamo_mcp.views import TemplateInfo
from homes import SECONDS, Home, base_environments, processes_of, until, workers, write_template

pytestmark = pytest.mark.anyio

NOTHING: dict[str, list[str]] = {"templates": [], "checkouts": [], "venvs": []}
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
COMPUTED: dict[str, Any] = {
    "title": "My Project",
    "slug": "{{ cookiecutter.title | slugify }}",
    "layout": ["{{ cookiecutter.slug }}", "src/{{ cookiecutter.slug }}"],
    "names": {"short": "{{ cookiecutter.slug }}", "size": 1},
    "docs": "y",
}


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def add(home: Home, dynamo: Dynamo, configuration: dict[str, Any], **options: Any) -> TemplateInfo:
    folder = write_template(home.templates / "one", configuration=configuration)
    return await dynamo.add_template(str(folder), **options)


async def examples(dynamo: Dynamo, name: str = "one") -> dict[str, Any]:
    """Return the examples in a template's JSON Schema."""
    properties = (await dynamo.json_schema(name))["properties"]
    return {name: variable["examples"][0] for name, variable in properties.items() if "examples" in variable}


async def test_what_is_computed_has_an_example_since_the_template_was_added(home: Home) -> None:
    async with home.open() as dynamo:
        assert (await add(home, dynamo, COMPUTED)).notes == ()
        assert home.scratch == []
    async with home.open() as dynamo:
        shown = await examples(dynamo)
        await dynamo.template_info("one")
        # A job has computed them once: reading runs nothing.
        assert not set(workers()) & set(processes_of(home.path))
    assert shown == {"slug": "my-project", "layout": "my-project", "names": {"short": "my-project", "size": "1"}}


async def test_an_update_computes_them_anew_where_the_template_changed(home: Home) -> None:
    async with home.open() as dynamo:
        await add(home, dynamo, {"title": "A", "slug": "{{ cookiecutter.title }}-1"})
        await dynamo.update_template("one")
        assert await examples(dynamo) == {"slug": "A-1"}
        write_template(home.templates / "one", configuration={"title": "B", "slug": "{{ cookiecutter.title }}-1"})
        await dynamo.update_template("one")
        assert await examples(dynamo) == {"slug": "B-1"}
        write_template(home.templates / "one", configuration={"title": "B", "slug": "{{ cookiecutter.none }}"})
        (note,) = (await dynamo.update_template("one")).template.notes
        assert "`slug`" in note
        assert await examples(dynamo) == {}
        write_template(home.templates / "one", configuration={"title": "C", "slug": "{{ cookiecutter.title }}"})
        assert (await dynamo.update_template("one")).template.notes == ()
        assert await examples(dynamo) == {"slug": "C"}


async def test_an_edit_of_a_live_template_leaves_no_example_that_may_be_true_no_more(home: Home) -> None:
    async with home.open() as dynamo:
        await add(home, dynamo, COMPUTED, live=True)
        assert (await examples(dynamo))["slug"] == "my-project"
        write_template(home.templates / "one", configuration={**COMPUTED, "title": "Another"})
        assert await examples(dynamo) == {}
        await dynamo.update_template("one")
        assert (await examples(dynamo))["slug"] == "another"


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"slug": "s", "worse": "{{ cookiecutter.nowhere }}"}, "the default of `worse`: .*nowhere"),
        ({"slug": "{{ cookiecutter.b }}", "b": "{{ cookiecutter.slug }}"}, "the default of `slug`: "),
        ({"slug": "s", "odd": "{% if %}"}, "the default of `odd`: "),
        ({"slug": "a/b"}, "would be called `a/b`"),
        ({"other": "s"}, "the name of the project folder .*slug"),
    ],
)
async def test_one_that_can_not_compute_them_is_added_and_what_is_wrong_is_told(
    home: Home, configuration: dict[str, Any], said: str
) -> None:
    async with home.open() as dynamo:
        info = await add(home, dynamo, configuration)
        (note,) = info.notes
        assert note.startswith("its defaults can't be computed: ")
        assert re.search(said, note)
        assert (await dynamo.template_info("one")).notes == info.notes
        assert await examples(dynamo) == {}
        assert info.is_active
        assert home.scratch == []


NEVER: dict[str, dict[str, Any]] = {
    "its `_jinja2_env_vars` can't be used": {"_jinja2_env_vars": {"nonsense": 1}},
    "its `_extensions` can't be used": {"_extensions": ["ours.Gone"]},
    "the default of `pick`: ": {"pick": ["a", "{% if %}"]},
    "the default of `names`: ": {"names": {"a": "{% if %}"}},
    "the default of `__own`: ": {"__own": "{% if %}"},
}


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("said", NEVER)
async def test_one_that_can_not_work_whatever_is_answered_says_so_in_every_list(
    home: Home, said: str, live: bool
) -> None:
    folder = write_template(home.templates / "one", {"ours.py": ""}, configuration={"slug": "s", **NEVER[said]})
    async with home.open() as dynamo:
        info = await dynamo.add_template(str(folder), live=live)
        (listed,) = await dynamo.list_templates()
        assert (listed.is_active, listed.problem, listed.notes) == (info.is_active, info.problem, info.notes)
        # A live one may be mended at any time.
        assert info.is_active == live
        assert said in (" ".join(info.notes) if live else info.problem or "")
        assert "revision" not in f"{info.notes} {info.problem}"  # a folder has none
        write_template(folder)
        assert (await dynamo.update_template("one")).template.is_active


async def test_what_a_stranger_s_defaults_come_to_is_kept_plain_short_and_in_bounds(home: Home) -> None:
    odd = {
        "escape": "{{ '\x1b[31m' }}",
        "hidden": "{{ 'a\u200b\u202eb' }}",
        "lines": "{{ 'a\nb' }}",
        "long": "{{ 'x' * 201 }}",
        "fits": "{{ 'x' * 200 }}",
        "wide": {"{{ 'k' }}": "{{ 'x' * 200 }}"},
        "empty": "{{ '' }}",
    }
    many = {f"q{number}": "{{ 1 }}" for number in range(2 * MOST)}
    async with home.open() as dynamo:
        await add(home, dynamo, {"slug": "s", **odd, **many})
        shown = await examples(dynamo)
    assert {name: value for name, value in shown.items() if name in odd} == {"fits": "x" * SHOWN, "empty": ""}
    assert len(shown) == MOST
    assert json.loads((home.path / "templates" / "one.json").read_text())["examples"] == shown


async def test_the_operator_s_defaults_count(home: Home) -> None:
    (home.root / "rc").write_text("default_context:\n  title: Ada's\n  layout: '{{ cookiecutter.slug }}'\n")
    async with home.open(user_config=home.root / "rc") as dynamo:
        await add(home, dynamo, COMPUTED)
        shown = await examples(dynamo)
    assert shown == {"slug": "ada-s", "names": {"short": "ada-s", "size": "1"}}


@pytest.mark.parametrize("trust", ["inert", "contained"])
async def test_where_nothing_of_it_may_run_it_is_added_without_them(home: Home, trust: Any) -> None:
    (home.root / "bin").mkdir()
    path = {} if trust == "inert" else {"PATH": str(home.root / "bin")}
    async with home.open(path, person=True) as dynamo:
        info = await add(home, dynamo, COMPUTED, trust=trust)
        assert await examples(dynamo) == {}
        assert not set(workers()) & set(processes_of(home.path))
    assert info.is_active
    assert ["could not confine it" in note for note in info.notes] == ([] if trust == "inert" else [True])


async def test_defaults_that_are_never_done_are_ended_and_keep_no_template_from_being_added(home: Home) -> None:
    folder = home.templates / "several"
    for child in ("endless", "late"):
        write_template(folder / child, configuration={"slug": "s", "never": ENDLESS})
    several = {child: {"path": child} for child in ("endless", "late")}
    (folder / "cookiecutter.json").write_text(json.dumps({"templates": several}))
    async with home.open(create_seconds=1) as dynamo:
        whole = await dynamo.add_template(str(folder))
        assert [child.problem for child in whole.children] == [None, None]
        notes = {child.name: child.notes for child in whole.children}
        assert ["its defaults can't be computed: that took more than" in note for note in notes["several.endless"]] == [
            True
        ]
        assert ["its defaults were not computed" in note for note in notes["several.late"]] == [True]
        assert home.scratch == []
    assert processes_of(home.path) == []


async def test_an_add_that_is_cancelled_meanwhile_leaves_nothing(home: Home) -> None:
    async with home.open() as dynamo:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(add, home, dynamo, {"slug": "s", "never": ENDLESS})
                await until(lambda: set(workers()) & set(processes_of(home.path)))
                tasks.cancel_scope.cancel()
        assert {kind: [path.name for path in (home.path / kind).iterdir()] for kind in NOTHING} == NOTHING
        assert home.scratch == []
        await until(lambda: not processes_of(home.path / "bases"), 10)
        # The place among those that work is free again.
        await add(home, dynamo, {"slug": "{{ 'made' }}"})
        assert await examples(dynamo) == {"slug": "made"}
