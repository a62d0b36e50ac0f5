"""What ordinary templates do in their hooks works in the sandbox, for root and for an ordinary user alike."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from mcp import Client, StdioServerParameters

from homes import SLUG, write_template
from integration.ordinary_hooks import ANSWERS, FILES, FOUND, HOOKS, script
from integration.places import SECONDS, Place
from people import ONLY_ROOT, as_user, give

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where hooks find the machine's executables."""
MADE = "made"
MANY = 2000
MANY_FILES = "2,000 files"


class Person(msgspec.Struct, frozen=True):
    """Who runs the server, and on what machine.

    Attributes:
        command: Returns the command that runs another as they do; it is given the folder that it works in.
        mechanism: What confines their templates first of all.
        lacks: Hooks that can't work there, each with what is said then.
    """

    command: Callable[[Sequence[str | Path], Path], Sequence[str | Path]]
    mechanism: str = "bubblewrap"
    lacks: dict[str, str] = {}


ORDINARY = "an ordinary user"
PEOPLE = {
    "whoever runs the tests": Person(lambda command, _folder: command),
    ORDINARY: Person(as_user),
}


class Ended(msgspec.Struct, frozen=True):
    """How a create ended: what the server said, and the project's folder."""

    said: str
    project: dict[str, Any] | None
    made: Path


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[ONLY_ROOT] if name == ORDINARY else []) for name in PEOPLE]
)
def person(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ended(person: str, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Every template, created from by one server of that person's."""
    place = Place(tmp_path_factory.mktemp("benign"), ready)
    for title in HOOKS:
        name, text = script(title)
        files: dict[str, str | bytes] = {f"{SLUG}/{path}": made for path, made in FILES.get(title, {}).items()}
        files[f"hooks/{name}"] = text
        configuration = {"slug": MADE, **dict.fromkeys(ANSWERS.get(title, {}), "")}
        write_template(place.templates / _name(title), files, configuration=configuration)
    many: dict[str, str | bytes] = {
        f"{SLUG}/part-{number // 50}/{SLUG}-{number}.txt": "{{cookiecutter.slug}}" for number in range(MANY)
    }
    write_template(place.templates / _name(MANY_FILES), many)
    place.outputs.mkdir()
    if person == ORDINARY:
        give(place.root)
    return anyio.run(partial(_create_all, place, PEOPLE[person]))


async def _create_all(place: Place, person: Person) -> dict[str, Ended]:
    command, *arguments = map(str, person.command([sys.executable, "-m", "dynamo_mcp"], place.root))
    environment = {**place.environment, "HOME": str(place.root)}
    server = StdioServerParameters(command=command, args=arguments, env=environment, cwd=str(place.root))
    found = {}
    async with Client(server, mode="2026-07-28", read_timeout_seconds=SECONDS) as client:
        for title in [*HOOKS, MANY_FILES]:
            name = _name(title)
            result: Any = await client.call_tool("add_template", {"url": str(place.templates / name)})
            if not result.is_error:
                given = {"template_name": name, "output_dir": str(place.outputs / name)}
                result = await client.call_tool("create_project", {**given, "variables": ANSWERS.get(title, {})})
            said = "\n".join(block.text for block in result.content if block.type == "text")
            project = None if result.is_error else result.structured_content
            found[title] = Ended(said, project, place.outputs / name / MADE)
    return found


def _name(title: str) -> str:
    return f"benign-{[*HOOKS, MANY_FILES].index(title)}"


@pytest.mark.parametrize("title", HOOKS)
def test_a_hook_that_does_what_hooks_do_works(title: str, person: str, ended: dict[str, Ended]) -> None:
    if title == "make" and shutil.which("make", path=SEARCH_PATH) is None:
        pytest.skip("this machine has no `make`")
    run = ended[title]
    if title in PEOPLE[person].lacks:
        assert run.project is None
        assert PEOPLE[person].lacks[title] in run.said
        return
    assert run.project is not None, run.said
    assert (run.project["trust"], run.project["tier"]) == ("contained", "strong")
    assert run.project["mechanisms"][0] == PEOPLE[person].mechanism
    assert [hook["hook"] for hook in run.project["hooks"]] == [HOOKS[title][0]]
    assert (run.made / "README.md").is_file()
    assert FOUND.get(title, Path.is_dir)(run.made)


def test_a_template_of_two_thousand_files_is_made_whole(ended: dict[str, Ended]) -> None:
    run = ended[MANY_FILES]
    assert run.project is not None, run.said
    assert len([path for path in run.made.rglob("*") if path.is_file()]) == MANY + 1
    assert (run.made / "part-39" / "made-1999.txt").read_text() == MADE


def test_the_time_zone_of_a_hook_is_that_of_the_machine(ended: dict[str, Ended]) -> None:
    run = ended["the time zone"]
    assert run.project is not None, run.said
    here = subprocess.check_output(["date", "+%z"], env={"PATH": SEARCH_PATH}, text=True)
    assert run.project["hooks"][0]["output"] == here
