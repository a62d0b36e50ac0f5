"""What value each variable has, given some answers; and that nothing is made to find out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import InvalidAnswers, InvalidTemplate, Refused, RendererFailed, TimedOut, UsageError
from homes import SECONDS, Home, base_environments, processes_of, until, workers

pytestmark = pytest.mark.anyio

EVERY_KIND: dict[str, Any] = {
    "title": "My Project",
    "slug": "{{ cookiecutter.title | slugify }}",
    "package": "{{ cookiecutter.slug | replace('-', '_') }}",
    "docker": True,
    "docs": "y",
    "port": 8000,
    "ratio": 0.5,
    "layout": ["{{ cookiecutter.package }}", "src/{{ cookiecutter.package }}", "flat"],
    "licence": ["MIT", "BSD"],
    "nothing": None,
    "_private": "p",
    "__rendered": "{{ cookiecutter.slug }}",
    "names": {"short": "{{ cookiecutter.slug }}", "size": 1},
}
FAILS = "raise SystemExit('a hook ran')"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


async def added(home: Home, configuration: dict[str, Any], *, create_seconds: float | None = None) -> None:
    """Have a template that another server has added, whose renderers are gone."""
    async with home.open(create_seconds=create_seconds) as dynamo:
        await home.add(dynamo, "one", configuration=configuration)


async def values(dynamo: Dynamo, answers: dict[str, Any], name: str = "one") -> dict[str, Any]:
    return {variable.name: variable.value for variable in await dynamo.get_template_variables(name, answers)}


async def test_every_variable_has_its_value_given_the_answers_and_nothing_is_made(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration=EVERY_KIND, pre_gen_project=FAILS, post_gen_project=FAILS)
        variables = await dynamo.get_template_variables("one", {"title": "Sea Shells", "docs": False, "licence": "BSD"})
        assert home.scratch == []
    assert {variable.name: variable.value for variable in variables} == {
        "title": "Sea Shells",
        "slug": "sea-shells",
        "package": "sea_shells",
        "docker": True,
        "docs": False,
        "port": 8000,
        "ratio": 0.5,
        "layout": "sea_shells",
        "licence": "BSD",
        "nothing": None,
        "names": {"short": "sea-shells", "size": "1"},
    }
    choices = {variable.name: variable.choices for variable in variables}
    assert choices["layout"] == ("sea_shells", "src/sea_shells", "flat")
    assert choices["licence"] == ("MIT", "BSD")
    assert home.made == []
    assert list((home.path / "outputs").iterdir()) == []


async def test_without_answers_nothing_runs_and_no_value_is_told(home: Home) -> None:
    await added(home, EVERY_KIND)
    async with home.open() as dynamo:
        variables = await dynamo.get_template_variables("one")
        assert not set(workers()) & set(processes_of(home.path))
    assert {variable.value for variable in variables} == {None}


async def test_values_that_are_given_back_as_answers_stay_and_are_what_a_create_uses(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration=EVERY_KIND)
        first = await values(dynamo, {"title": "A {{ 7*7 }} B", "ratio": "1.50", "layout": "flat"})
        assert (first["title"], first["ratio"], first["layout"]) == ("A {{ 7*7 }} B", "1.50", "flat")
        assert await values(dynamo, first) == first
        given = await dynamo.create_project("one", str(home.outputs), {**first, "slug": "a"})
        computed = await dynamo.create_project(
            "one", str(home.outputs), {"title": "A {{ 7*7 }} B", "ratio": "1.50", "layout": "flat", "slug": "b"}
        )
    same = {"title", "docker", "docs", "port", "ratio", "layout", "licence", "nothing"}
    assert {name: given.answers[name] for name in same} == {name: computed.answers[name] for name in same}


async def test_all_problems_are_told_at_once_before_anything_runs(home: Home) -> None:
    await added(home, EVERY_KIND)
    async with home.open() as dynamo:
        with pytest.raises(InvalidAnswers) as raised:
            await values(dynamo, {"titel": "x", "port": "many", "licence": "GPL"})
        assert not set(workers()) & set(processes_of(home.path))
    assert [problem.variable for problem in raised.value.problems] == ["titel", "port", "licence"]


async def test_what_only_rendering_can_find_names_the_variable(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration=EVERY_KIND)
        await home.add(dynamo, "broken", configuration={"slug": "s", "worse": "{{ cookiecutter.nowhere }}"})
        with pytest.raises(InvalidAnswers, match=r"`layout` can't be text `other`; it is one of `a`, `src/a`, `flat`"):
            await values(dynamo, {"package": "a", "layout": "other"})
        with pytest.raises(
            InvalidTemplate, match=r"the default of `worse`: there is no variable `cookiecutter.nowhere`"
        ):
            await values(dynamo, {}, "broken")
        assert home.scratch == []


async def test_the_hook_that_may_rewrite_the_questions_runs(home: Home) -> None:
    rewrite = 'open("cookiecutter.json", "w").write(\'{"slug": "from-the-hook"}\')'
    async with home.open() as dynamo:
        await home.add(dynamo, "one", configuration={"slug": "s", "gone": "g"}, pre_prompt=rewrite)
        assert await values(dynamo, {}) == {"slug": "from-the-hook"}
        assert home.scratch == []


async def test_computing_that_never_ends_is_ended(home: Home) -> None:
    async with home.open(create_seconds=2) as dynamo:
        await home.add(dynamo, "one", configuration={"slug": "s", "never": ENDLESS})
        with pytest.raises(TimedOut, match="Computing the values of `one` took more than 2 seconds"):
            await values(dynamo, {})
        assert home.scratch == []
    assert processes_of(home.path) == []


async def test_a_caller_that_leaves_leaves_nothing_behind(home: Home) -> None:
    await added(home, {"slug": "s", "never": ENDLESS}, create_seconds=1)
    async with home.open() as dynamo:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(values, dynamo, {})
                await until(lambda: set(workers()) & set(processes_of(home.path)))
                tasks.cancel_scope.cancel()
        await until(lambda: not processes_of(home.path), 10)
        assert home.scratch == []


LYING = """
import json, os, signal, stat
from jinja2.ext import Extension

class Ours(Extension):
    def __init__(self, environment):
        super().__init__(environment)
        for message in MESSAGES:
            for descriptor in range(3, 40):
                try:
                    flags = [line for line in open('/proc/self/fdinfo/%d' % descriptor) if line.startswith('flags')][0]
                    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and int(flags.split()[1], 8) & 1:
                        os.write(descriptor, json.dumps(message).encode() + bytes([10]))
                except OSError:
                    pass
        os._exit(0)
"""
DONE = {"event": "done", "directory": "d", "answers": {"slug": "x"}, "hooks": [], "seconds": {}, "mechanisms": []}
RESOLVED = {"event": "resolved", "directory": "d", "answers": {"slug": "x"}, "choices": {}}


@pytest.mark.parametrize("messages", [[DONE], [RESOLVED, DONE]])
async def test_a_job_that_says_it_is_done_where_it_can_not_be_is_no_answer(
    home: Home, messages: list[dict[str, Any]]
) -> None:
    lying = {"lying.py": LYING.replace("MESSAGES", repr(messages))}
    configuration = {"slug": "s", "_extensions": ["lying.Ours"]}
    async with home.open() as dynamo:
        await home.add(dynamo, "lying", lying, configuration=configuration)
        await home.add(dynamo, "one")
        assert "answered nonsense" in (await dynamo.template_info("lying")).notes[0]
        with pytest.raises(RendererFailed, match="answered nonsense"):
            await values(dynamo, {}, "lying")
        assert await values(dynamo, {}) == {"slug": "made"}
        assert home.scratch == []


async def test_a_strangers_template_is_computed_only_as_far_as_it_is_trusted(home: Home) -> None:
    (home.root / "bin").mkdir()
    async with home.open({"PATH": str(home.root / "bin")}) as dynamo:
        await home.add(dynamo, "one")
        with pytest.raises(Refused, match="can't confine it"):
            await values(dynamo, {})
        with pytest.raises(UsageError, match="Only a person"):
            await dynamo.get_template_variables("one", {}, trust="full")
    async with home.open({"PATH": str(home.root / "bin")}, person=True) as dynamo:
        (variable,) = await dynamo.get_template_variables("one", {}, trust="inert")
    assert variable.value == "made"
