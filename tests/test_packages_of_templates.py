"""A template's packages are strangers' too: whatever they hold, it runs confined, and only where hooks may run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.errors import EnvironmentFailed
from homes import SLUG, Home, base_environments, processes_of, workers, write_template
from wheels import publish

pytestmark = pytest.mark.anyio

OUTSIDE = "import os, sys; os.getpid() == 1 and sys.exit('a worker has run it')\n"
"""Ends a process that is no job, but the first one of a sandbox."""


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path, base_environments(tmp_path_factory))
    home.take_wheels()
    return home


def packages(folder: Path) -> Path:
    """Return the `site-packages` of an environment."""
    (found,) = folder.glob("lib/python3.*/site-packages")
    return found


async def test_what_a_package_puts_beside_cookiecutter_runs_in_no_worker(home: Home) -> None:
    index = publish(home.root / "index", "evilpackage", {"evilpackage.py": "", "evil.pth": OUTSIDE})
    async with home.open({"UV_INDEX": index}) as dynamo:
        await home.add(dynamo, "one", post_gen_project="import evilpackage\nprint('here')")
        for environment in (*(home.path / "bases").iterdir(), *(home.path / "venvs").iterdir()):
            if (packages(environment) / "evilpackage.py").exists():
                for name in ("cookiecutter/exceptions/__init__.py", "sitecustomize.py", "family.py"):
                    (packages(environment) / name).parent.mkdir(exist_ok=True)
                    (packages(environment) / name).write_text(OUTSIDE)
        project = await dynamo.create_project("one", str(home.outputs))
        await home.add(dynamo, "two")
        await dynamo.create_project("two", str(home.outputs), {"slug": "other"})
        # One worker serves both, as it holds nothing of either.
        assert len(set(workers()) & set(processes_of(home.path / "bases"))) == 1
    assert [run.output for run in project.hooks] == ["here\n"]
    assert project.tier == "strong"


async def test_a_template_renders_with_the_versions_that_it_requires(home: Home) -> None:
    saying = (
        "import jinja2, jinja2.ext\nclass Saying(jinja2.ext.Extension):\n    def __init__(self, environment):\n"
        "        super().__init__(environment)\n        environment.globals['said'] = jinja2.__version__\n"
    )
    folder = write_template(
        home.templates / "one",
        {"saying.py": saying, f"{SLUG}/said": "{{ said }}"},
        configuration={"slug": "made", "_extensions": ["saying.Saying"]},
        pre_gen_project="import jinja2\nprint(jinja2.__version__)",
    )
    async with home.open() as dynamo:
        await dynamo.add_template(str(folder), name="one", requirements=("jinja2==3.1.4",))
        project = await dynamo.create_project("one", str(home.outputs))
    assert (home.outputs / "made" / "said").read_text() == "3.1.4"
    assert [run.output for run in project.hooks] == ["3.1.4\n"]
    assert project.tier == "strong"
    assert {"bubblewrap", "seccomp"} <= set(project.mechanisms)


async def test_at_inert_nothing_is_installed_for_hooks_until_trust_is_raised(home: Home) -> None:
    index = publish(home.root / "index", "hookpackage", {"hookpackage.py": ""})

    def installed() -> list[Path]:
        return sorted(home.path.rglob("hookpackage.py"))

    async with home.open({"UV_INDEX": index}, person=True) as dynamo:
        folder = write_template(home.templates / "one", post_gen_project="import hookpackage\nprint('here')")
        added = await dynamo.add_template(str(folder), name="one", requirements=["hookpackage"], trust="inert")
        assert added.is_active
        assert Path(str(added.venv_path)).is_dir()
        await dynamo.create_project("one", str(home.outputs), {"slug": "first"})
        older = set((home.path / "venvs").iterdir())  # jobs may run there, so that it goes later
        await dynamo.update_template("one", force=True)
        assert installed() == []
        project = await dynamo.create_project("one", str(home.outputs), {"slug": "second"}, trust="contained")
        assert [run.output for run in project.hooks] == ["here\n"]
        assert installed() != []
        await dynamo.remove_template("one")
        assert set((home.path / "venvs").iterdir()) <= older
    assert home.made == ["first", "second"]


async def test_an_extension_that_may_run_at_inert_is_installed(home: Home) -> None:
    async with home.open(person=True) as dynamo:
        folder = write_template(
            home.templates / "one",
            {f"{SLUG}/year": "{% now 'utc', '%Y' %}"},
            configuration={"slug": "made", "_extensions": ["jinja2_time.TimeExtension"]},
        )
        await dynamo.add_template(str(folder), name="one", trust="inert")
        await dynamo.create_project("one", str(home.outputs))
    assert int((home.outputs / "made" / "year").read_text()) >= 2024


@pytest.mark.parametrize("name", ["cookiecutter/exceptions/__init__.py", "jinja2/own.py", "yaml.py"])
async def test_a_package_that_puts_files_among_those_of_cookiecutter_is_refused(home: Home, name: str) -> None:
    index = publish(home.root / "index", "evilpackage", {"evilpackage.py": "", name: "x = 1\n"})
    async with home.open({"UV_INDEX": index}) as dynamo:
        with pytest.raises(EnvironmentFailed) as raised:
            await home.add(dynamo, "one", post_gen_project="import evilpackage")
        assert f"for `evilpackage` puts `{name}` among the files of cookiecutter" in raised.value.message
        assert home.scratch == []
    assert list((home.path / "venvs").iterdir()) == []
    assert len(list((home.path / "bases").iterdir())) == 1


async def test_what_packages_need_and_do_not_say_is_installed_and_only_the_last_environment_is_left(home: Home) -> None:
    index = publish(home.root / "index", "hookpackage", {"hookpackage.py": "import attr\n"})
    publish(home.root / "index", "attrs", {"attr.py": "import requests_futures\n"})
    publish(home.root / "index", "requests_futures", {"requests_futures.py": "print('here')\n"})
    async with home.open({"UV_INDEX": index}) as dynamo:
        await home.add(dynamo, "one", post_gen_project="import hookpackage")
        assert len(list((home.path / "venvs").iterdir())) == 1
        project = await dynamo.create_project("one", str(home.outputs))
    assert [run.output for run in project.hooks] == ["here\n"]


async def test_where_what_they_need_can_not_be_installed_no_environment_is_left(home: Home) -> None:
    index = publish(home.root / "index", "hookpackage", {"hookpackage.py": "import attr\n"})
    publish(home.root / "index", "attrs", {"attr.py": "import requests_futures\n"})
    intruder = {"requests_futures.py": "", "cookiecutter/exceptions/__init__.py": ""}
    publish(home.root / "index", "requests_futures", intruder)
    async with home.open({"UV_INDEX": index}) as dynamo:
        with pytest.raises(EnvironmentFailed, match="among the files of cookiecutter"):
            await home.add(dynamo, "one", post_gen_project="import hookpackage")
        assert list((home.path / "venvs").iterdir()) == []
