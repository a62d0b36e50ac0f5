"""What does a template make of itself before it asks? What its `pre_prompt` hook left is what is asked."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import HookFailed, InvalidAnswers, InvalidTemplate, NotATemplate, TimedOut
from homes import SECONDS, SLUG, Home, base_environments, hooks_running, until, write_template

pytestmark = pytest.mark.anyio

NOTHING: dict[str, list[str]] = {"templates": [], "checkouts": [], "venvs": []}


def rewrites(configuration: dict[str, Any]) -> str:
    """Return a hook that rewrites `cookiecutter.json`."""
    return f"open('cookiecutter.json', 'w').write({json.dumps(configuration)!r})"


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def left(home: Home) -> dict[str, list[str]]:
    """Return what a home holds of templates."""
    return {
        folder: sorted(path.name for path in (home.path / folder).iterdir())
        for folder in ("templates", "checkouts", "venvs")
    }


async def asked(dynamo: Dynamo, name: str = "one") -> list[str]:
    return [variable.name for variable in await dynamo.get_template_variables(name)]


async def test_what_the_hook_left_is_asked_and_rendered(home: Home) -> None:
    rewritten = {"slug": "hooked", "answer": "42"}
    async with home.open() as dynamo:
        checkout = await home.add(
            dynamo, "one", {f"{SLUG}/own": "{{cookiecutter.answer}}"}, pre_prompt=rewrites(rewritten)
        )
        assert await asked(dynamo) == ["slug", "answer"]
        assert list((await dynamo.json_schema("one"))["properties"]) == ["slug", "answer"]
        assert (await dynamo.template_info("one")).notes == ()
        project = await dynamo.create_project("one", str(home.outputs), {"answer": "{{ literal }}"})
        assert [run.hook for run in project.hooks] == ["pre_prompt.py"]
        with pytest.raises(InvalidAnswers):
            await dynamo.create_project("one", str(home.outputs), {"slag": "x"})
        assert home.scratch == []
    # The hook has run on copies: what was fetched is as it was.
    assert json.loads((checkout / "cookiecutter.json").read_text()) == {"slug": "made"}
    assert (home.outputs / "hooked" / "own").read_text() == "{{ literal }}"


async def test_a_hook_may_make_the_template_itself(home: Home) -> None:
    hook = "import os; os.rename('later', '{{cookiecutter.slug}}')"
    folder = write_template(home.templates / "one", pre_prompt=hook)
    (folder / SLUG).rename(folder / "later")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        await dynamo.create_project("one", str(home.outputs))
    assert (home.outputs / "made" / "README.md").read_text() == "made\n"


async def test_a_hook_may_replace_what_is_no_configuration_yet(home: Home) -> None:
    folder = write_template(home.templates / "one", pre_prompt=rewrites({"slug": "s", "new": "n"}))
    (folder / "cookiecutter.json").write_text("not yet")
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        assert await asked(dynamo) == ["slug", "new"]
        await dynamo.create_project("one", str(home.outputs))
    assert home.made == ["s"]


@pytest.mark.parametrize(
    ("hook", "error", "said"),
    [
        ("print('no luck'); raise SystemExit(3)", HookFailed, "exit status 3; it printed:\n> no luck"),
        ("open('cookiecutter.json', 'w').write('{')", InvalidTemplate, r"line 1.*as its `pre_prompt` hook left it"),
        ("import os; os.unlink('cookiecutter.json')", InvalidTemplate, "that `pre_prompt` left"),
        ("open('cookiecutter.json', 'wb').write(b'\\xff')", InvalidTemplate, "that `pre_prompt` left"),
        ("open('cookiecutter.json', 'w').write(' ' * (1 << 20) + '{}')", InvalidTemplate, "more than 1048576 bytes"),
        (rewrites({"templates": {"a": {"path": "a"}}}), InvalidTemplate, "holds several templates"),
        (f"import os; os.rename({SLUG!r}, 'gone')", NotATemplate, "no folder to make a project from"),
    ],
)
async def test_a_hook_that_fails_or_leaves_nonsense_is_told_and_nothing_is_left(
    home: Home, hook: str, error: type[Exception], said: str
) -> None:
    async with home.open() as dynamo:
        with pytest.raises(error, match=said):
            await home.add(dynamo, "one", pre_prompt=hook)
        assert left(home) == NOTHING
        assert home.scratch == []


async def test_a_hook_that_names_templates_is_refused_and_says_how_to_add_each(home: Home) -> None:
    folder = write_template(home.templates / "one", pre_prompt=rewrites({"templates": {"a": {"path": "./a"}}}))
    write_template(folder / "a")
    async with home.open() as dynamo:
        with pytest.raises(InvalidTemplate, match="in the folders `a` ") as raised:
            await dynamo.add_template(str(folder))
        assert raised.value.hint == "add each of them by naming its folder with `directory`"
        await dynamo.add_template(str(folder), directory="a", name="inner")
        assert await asked(dynamo, "inner") == ["slug"]


async def test_a_hook_that_never_ends_is_ended(home: Home) -> None:
    async with home.open(create_seconds=3) as dynamo:
        with pytest.raises(TimedOut, match=r"`pre_prompt` hook of `one` took more than 3 seconds"):
            await home.add(dynamo, "one", pre_prompt="while True: pass")
        assert left(home) == NOTHING
        assert home.scratch == []


async def test_a_hook_that_never_ends_in_a_create_is_named(home: Home) -> None:
    hook = f"import os\nwhile os.path.exists({SLUG + '/flag'!r}): pass"
    folder = write_template(home.templates / "one", pre_prompt=hook)
    async with home.open(create_seconds=5) as dynamo:
        await dynamo.add_template(str(folder), live=True)
        (folder / SLUG / "flag").touch()
        with pytest.raises(TimedOut, match=r"was ended while running the hook pre_prompt\.py"):
            await dynamo.create_project("one", str(home.outputs))
    assert home.made == []


async def test_a_broken_environment_is_made_anew_by_the_next_add(home: Home) -> None:
    home.take_wheels()
    (broken,) = home.path.rglob("bases/*/lib/*/site-packages/cookiecutter/generate.py")
    broken.unlink()
    async with home.open() as dynamo:
        await home.add(dynamo, "one", pre_prompt=rewrites({"slug": "s", "new": "n"}))
        assert await asked(dynamo) == ["slug", "new"]
        assert home.scratch == []
    whole = set(home.path.rglob("bases/*/lib/*/site-packages/cookiecutter/generate.py"))
    assert whole
    assert broken not in whole  # what is made anew lies beside what jobs may run in


async def test_an_add_that_is_cancelled_while_the_hook_runs_leaves_nothing(home: Home) -> None:
    async with home.open() as dynamo:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                hook = "import time; time.sleep(600)"

                async def add() -> None:
                    await home.add(dynamo, "one", pre_prompt=hook)

                tasks.start_soon(add)
                await until(lambda: hooks_running(home))
                started = time.monotonic()
                tasks.cancel_scope.cancel()
        assert time.monotonic() - started < SECONDS / 3
        assert left(home) == NOTHING
        assert home.scratch == []


async def test_a_hook_has_nothing_to_read_and_writes_nothing_but_its_copy(home: Home) -> None:
    code = (
        "import sys\nassert sys.stdin.read() == ''\n"
        f"try: open({str(home.outputs / 'x')!r}, 'w'); raise SystemExit('it wrote')\nexcept OSError: pass\n"
        'print(\'{"event": "done"}\')\n'
    )
    async with home.open() as dynamo:
        await home.add(dynamo, "one", pre_prompt=code + rewrites({"slug": "s"}))
        assert await asked(dynamo) == ["slug"]
    assert home.made == []


async def test_at_inert_the_file_counts_as_it_is_and_it_is_said(home: Home) -> None:
    folder = write_template(home.templates / "one", pre_prompt=rewrites({"slug": "hooked", "new": "n"}))
    async with home.open(person=True) as dynamo:
        info = await dynamo.add_template(str(folder), trust="inert")
        assert await asked(dynamo) == ["slug"]
        assert any("`pre_prompt` hook has not run" in note for note in info.notes)
        await dynamo.create_project("one", str(home.outputs))
        # What runs the hook all the same asks something else, and drops no answer.
        await dynamo.create_project("one", str(home.outputs), {"slug": "x"}, trust="contained")
    assert home.made == ["made", "x"]


async def test_a_create_at_inert_asks_what_the_file_says_as_it_is(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        await home.add(dynamo, "one", pre_prompt=rewrites({"slug": "hooked", "new": "n"}))
        with pytest.raises(InvalidAnswers, match="`new` is not asked"):
            await dynamo.create_project("one", str(home.outputs), {"new": "x"}, trust="inert")
        await dynamo.create_project("one", str(home.outputs), trust="inert")
    assert home.made == ["made"]


async def test_where_nothing_can_be_confined_the_file_counts_as_it_is_and_it_is_said(home: Home) -> None:
    (home.root / "bin").mkdir()
    marker = home.templates / "ran"
    hook = f"open({str(marker)!r}, 'w')"
    async with home.open({"PATH": str(home.root / "bin")}) as dynamo:
        await home.add(dynamo, "one", pre_prompt=hook)
        info = await dynamo.template_info("one")
    assert any("`pre_prompt` hook has not run" in note for note in info.notes)
    assert not marker.exists()


async def test_an_answer_that_the_hook_asks_no_more_is_refused_and_not_dropped(home: Home) -> None:
    hook = (
        "import json, os\n"
        "more = {} if os.path.exists('{{cookiecutter.slug}}/flag') else {'new': 'own'}\n"
        "open('cookiecutter.json', 'w').write(json.dumps({'slug': 's', **more}))"
    )
    folder = write_template(home.templates / "one", pre_prompt=hook)
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), live=True)
        (folder / SLUG / "flag").touch()
        with pytest.raises(InvalidAnswers, match="`new` is not asked"):
            await dynamo.create_project("one", str(home.outputs), {"new": "x"})
    assert home.made == []


async def test_a_live_template_that_was_edited_asks_for_an_update(home: Home) -> None:
    hook = (
        "import json\nasked = json.load(open('cookiecutter.json'))\n"
        "json.dump({**asked, 'new': 'n'}, open('cookiecutter.json', 'w'))"
    )
    folder = write_template(home.templates / "one", pre_prompt=hook)
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), live=True)
        assert await asked(dynamo) == ["slug", "new"]
        (folder / "cookiecutter.json").touch()
        assert await asked(dynamo) == ["slug", "new"]
        write_template(folder, configuration={"slug": "made", "own": "o"})
        with pytest.raises(InvalidTemplate, match="was edited") as raised:
            await asked(dynamo)
        assert "update_template" in raised.value.hint
        assert not (await dynamo.template_info("one")).is_active
        change = await dynamo.update_template("one")
        assert change.variables_added == ("own",)
        assert await asked(dynamo) == ["slug", "own", "new"]


async def test_an_update_runs_the_hook_again(home: Home) -> None:
    folder = write_template(home.templates / "one", pre_prompt=rewrites({"slug": "s", "first": "1"}))
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder))
        write_template(folder, pre_prompt=rewrites({"slug": "s", "second": "2"}))
        change = await dynamo.update_template("one")
        assert (change.variables_added, change.variables_removed) == (("second",), ("first",))
        write_template(folder, pre_prompt="raise SystemExit(1)")
        with pytest.raises(HookFailed):
            await dynamo.update_template("one")
        assert await asked(dynamo) == ["slug", "second"]
        (folder / "hooks" / "pre_prompt.py").unlink()
        await dynamo.update_template("one")
        assert await asked(dynamo) == ["slug"]


async def test_a_child_of_a_repository_has_its_own_hook_which_runs_in_its_own_folder(home: Home) -> None:
    code = "import os\nassert sorted(os.listdir('.')) == ['cookiecutter.json', 'hooks', '{{cookiecutter.slug}}']\n"
    folder = home.templates / "web"
    for child in ("api", "cli"):
        write_template(folder / child, pre_prompt=code + rewrites({"slug": f"of-{child}", child: "x"}))
    (folder / "cookiecutter.json").write_text('{"templates": {"api": {"path": "api"}, "cli": {"path": "cli"}}}')
    (folder / "hooks").mkdir()
    (folder / "hooks" / "pre_prompt.py").write_text("raise SystemExit('the hook of the repository ran')")
    async with home.open() as dynamo:
        assert (await dynamo.add_template(str(folder))).notes
        for child in ("api", "cli"):
            assert await asked(dynamo, f"web.{child}") == ["slug", child]
            await dynamo.create_project(f"web.{child}", str(home.outputs))
        assert home.scratch == []
    assert home.made == ["of-api", "of-cli"]
