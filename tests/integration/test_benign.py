"""What ordinary templates do in their hooks works in the sandbox, whoever runs the server, and on whatever machine."""

from __future__ import annotations

import hashlib
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from homes import SLUG, write_template
from integration.machines import DOCKER, MACHINES, Machine, served
from integration.ordinary_hooks import ANSWERS, FILES, FOUND, HOOKS, script
from integration.places import Place
from people import MOVABLE, ZONE, ZONE_FILE

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where hooks find the machine's executables."""
MADE = "made"
MANY = 2000
MANY_FILES = "2,000 files"


LACKS = {(DOCKER, "multiprocessing"): "/dev/shm"}  # noqa: S108 - it is in there
"""What can't work on a machine, with what is said then."""


class Ended(msgspec.Struct, frozen=True):
    """How a create ended: what the server said, and the project's folder."""

    said: str
    project: dict[str, Any] | None
    made: Path


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ended(machine: str, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Every template, created from by one server."""
    place = Place(tmp_path_factory.mktemp("benign"), ready, shared=not MACHINES[machine].given)
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
    return anyio.run(partial(_create_all, place, MACHINES[machine]))


async def _create_all(place: Place, machine: Machine) -> dict[str, Ended]:
    found = {}
    async with served(place, machine) as client:
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
def test_a_hook_that_does_what_hooks_do_works(title: str, machine: str, ended: dict[str, Ended]) -> None:
    if title == "make" and shutil.which("make", path=SEARCH_PATH) is None:
        pytest.skip("this machine has no `make`")
    run = ended[title]
    if (machine, title) in LACKS:
        assert run.project is None
        assert LACKS[machine, title] in run.said
        return
    assert run.project is not None, run.said
    assert (run.project["trust"], run.project["tier"]) == ("contained", "strong")
    assert run.project["mechanisms"][0] == MACHINES[machine].mechanism
    assert [hook["hook"] for hook in run.project["hooks"]] == [HOOKS[title][0]]
    assert (run.made / "README.md").is_file()
    assert FOUND.get(title, Path.is_dir)(run.made)


def test_a_template_of_two_thousand_files_is_made_whole(ended: dict[str, Ended]) -> None:
    run = ended[MANY_FILES]
    assert run.project is not None, run.said
    assert len([path for path in run.made.rglob("*") if path.is_file()]) == MANY + 1
    assert (run.made / "part-39" / "made-1999.txt").read_text() == MADE


@pytest.mark.skipif(not MOVABLE, reason="only root can give a machine another time zone, where it has one")
def test_the_time_zone_of_a_hook_is_that_of_the_machine(ended: dict[str, Ended]) -> None:
    run = ended["the time zone"]
    assert run.project is not None, run.said
    assert run.project["hooks"][0]["output"] == f"{ZONE}\n{hashlib.sha256(ZONE_FILE).hexdigest()}\n"
