"""What is kept of a template's compiled code: per template, trust and environment, by jobs and for jobs alone."""

from __future__ import annotations

import json
import marshal
from pathlib import Path
from typing import Any

import anyio
import pytest

from dynamo_mcp import compiled, compiling
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.jobs import Job
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.spares import MARKER
from homes import SLUG, Home, base_environments, processes_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


def kept(home: Home) -> list[Path]:
    return sorted((home.path / "compiled").iterdir())


async def test_the_first_create_leaves_it_and_the_next_makes_the_same(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        assert kept(home) == []
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        (file,) = kept(home)
        content, written = file.read_bytes(), file.stat().st_ino
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert kept(home) == [file]
        assert (file.read_bytes(), file.stat().st_ino) == (content, written)
    assert home.made == ["a", "b"]


async def test_one_with_which_a_job_dies_is_forgotten(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        (file,) = kept(home)
        code, binary = marshal.loads(file.read_bytes())  # noqa: S302 - of this test
        deadly = compile("import os\nos._exit(1)", "deadly", "exec")
        file.write_bytes(marshal.dumps((dict.fromkeys(code, deadly), binary)))
        with pytest.raises(DynamoError):
            await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert kept(home) == []
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert len(kept(home)) == 1
    assert home.made == ["a", "b"]


SPY = """
import marshal, os, sys
from jinja2.ext import Extension


def project():
    frame = sys._getframe()
    while frame:
        found = frame.f_locals.get("self")
        if type(found).__name__ == "Project":
            return found
        frame = frame.f_back


def spy(answer):
    made = project()
    if made._known:
        return open(made._known, "rb").read().hex()
    with open(os.path.join(os.environ["TMPDIR"], ".compiled"), "wb") as file:
        marshal.dump(({}, {answer: True}), file)
    made._leave = lambda *_: True
    return "none"


class Spy(Extension):
    def __init__(self, environment):
        super().__init__(environment)
        environment.globals["spy"] = spy
"""


async def test_a_template_can_not_leave_what_one_caller_has_answered_for_the_next(home: Home) -> None:
    asked = {"slug": "made", "answer": "none", "seen": "{{ spy(cookiecutter.answer) }}", "_extensions": ["spy.Spy"]}
    async with home.open() as dynamo:
        files: dict[str, str | bytes] = {"spy.py": SPY, f"{SLUG}/seen": "{{ cookiecutter.seen }}"}
        await home.add(dynamo, "one", files, configuration=asked)
        for slug, answer in (("a", "a secret"), ("b", "none")):
            await dynamo.create_project("one", str(home.outputs), {"slug": slug, "answer": answer})
    assert b"a secret".hex() not in (home.outputs / "b" / "seen").read_text()


EXTRA = """
from jinja2.ext import Extension
class Extra(Extension):
    def __init__(self, environment):
        super().__init__(environment)
        environment.filters["own"] = lambda text: text.upper()
"""


async def test_that_nothing_can_be_kept_is_found_out_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    done = Renderers._done  # noqa: SLF001 - which jobs there are

    def counted(*arguments: Any, action: str = "create") -> Any:
        asked.append(action)
        return done(*arguments, action=action)

    monkeypatch.setattr(Renderers, "_done", counted)
    configuration = {"slug": "made", "_extensions": ["extra.Extra"]}
    async with home.open() as dynamo:
        await home.add(dynamo, "one", {"extra.py": EXTRA}, configuration=configuration)
        asked.clear()
        for slug in ("a", "b"):
            await dynamo.create_project("one", str(home.outputs), {"slug": slug})
    assert asked == ["compile", "create", "create"]
    assert [file.stat().st_size for file in kept(home)] == [0]
    assert home.made == ["a", "b"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Which jobs renderers are asked for, and the answers that each is told."""
    found: list[tuple[str, dict[str, Any]]] = []
    done = Renderers._done  # noqa: SLF001 - which jobs there are

    def noted(renderers: Renderers, job: Job, *arguments: Any, action: str = "create") -> Any:
        found.append((action, job.answers))
        return done(renderers, job, *arguments, action=action)

    monkeypatch.setattr(Renderers, "_done", noted)
    return found


async def test_a_server_compiles_after_the_first_create_and_tells_that_job_nothing(
    home: Home, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    async with home.open(serves=True) as dynamo:
        await home.add(dynamo, "one")
        asked.clear()
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        assert asked == [("create", {"slug": "a"})]
        assert kept(home) == []
        await until(lambda: kept(home))
        (file,) = kept(home)
        assert asked[1:] == [("compile", {})]
        written = file.stat().st_ino
        code, _ = marshal.loads(file.read_bytes())  # noqa: S302 - of this test
        assert any("README.md" in str(name) for name, _, _ in code)
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert file.stat().st_ino == written
        assert [action for action, _ in asked] == ["create", "compile", "create"]
    assert home.made == ["a", "b"]
    assert [(home.outputs / slug / "README.md").read_text() for slug in "ab"] == ["a\n", "b\n"]


async def test_a_create_that_comes_before_is_done_without(home: Home, asked: list[tuple[str, dict[str, Any]]]) -> None:
    async with home.open(serves=True) as dynamo:
        await home.add(dynamo, "one")
        asked.clear()
        for slug in ("a", "b"):
            await dynamo.create_project("one", str(home.outputs), {"slug": slug})
        assert asked[:2] == [("create", {"slug": "a"}), ("create", {"slug": "b"})]
        await until(lambda: kept(home))
        assert [action for action, _ in asked].count("compile") == 1
    assert home.made == ["a", "b"]


@pytest.mark.parametrize("change", ["removed", "trusted with less"])
async def test_nothing_of_a_template_runs_later_that_was_meanwhile(
    change: str, home: Home, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    async with home.open(serves=True) as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        # As another process does, of which nobody tells this one.
        async with home.open(person=True) as other:
            if change == "removed":
                await other.remove_template("one")
            else:
                await other.trust_template("one", "inert")
        await home.add(dynamo, "two")
        await dynamo.create_project("two", str(home.outputs), {"slug": "b"})
        await until(lambda: kept(home))
        await anyio.sleep(2 * compiling.QUIET_SECONDS)
        assert len(kept(home)) == 1
        assert [action for action, _ in asked].count("compile") == 1


async def test_a_server_that_ends_meanwhile_waits_for_nothing(home: Home) -> None:
    with anyio.fail_after(60):
        async with home.open(serves=True) as dynamo:
            await home.add(dynamo, "one")
            await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
    await until(lambda: not processes_of(home.path))
    assert kept(home) == []
    assert home.scratch == []


SLOW = """
import sys, time
from jinja2.ext import Extension
class Slow(Extension):
    def __init__(self, environment):
        super().__init__(environment)
        frame = sys._getframe()
        while frame:
            if frame.f_code.co_name == "compile":  # the job's step
                time.sleep(1000)
            frame = frame.f_back
"""


async def test_compiling_that_never_ends_is_ended_and_not_tried_again(
    home: Home, asked: list[tuple[str, dict[str, Any]]]
) -> None:
    configuration = {"slug": "made", "_extensions": ["slow.Slow"]}
    async with home.open(serves=True, create_seconds=3.0) as dynamo:
        await home.add(dynamo, "one", {"slow.py": SLOW}, configuration=configuration)
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        await until(lambda: kept(home))
        assert [file.stat().st_size for file in kept(home)] == [0]
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert [action for action, _ in asked].count("compile") == 1
    assert home.made == ["a", "b"]


async def test_what_other_versions_have_made_is_not_loaded(home: Home) -> None:
    async with home.open() as dynamo:
        await home.add(dynamo, "one")
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        (marker,) = (home.path / "venvs").glob(f"one-*/{MARKER}")
        before = json.loads(marker.read_text())
        marker.unlink()  # it is the base's, too
        marker.write_text(json.dumps({**before, "packages": ["Jinja2==3.0.0"]}))
        (file,) = kept(home)
        await dynamo.create_project("one", str(home.outputs), {"slug": "b"})
        assert len(kept(home)) == 2
        assert file in kept(home)


async def test_the_least_recently_used_goes_when_there_is_too_much(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async with home.open() as dynamo:
        for name in ("one", "two"):
            await home.add(dynamo, name, {f"{SLUG}/{name}": "{{ cookiecutter.slug }}"})
        await dynamo.create_project("one", str(home.outputs), {"slug": "a"})
        (first,) = kept(home)
        monkeypatch.setattr(compiled, "ALL_BYTES", first.stat().st_size * 3 // 2)
        await dynamo.create_project("two", str(home.outputs), {"slug": "b"})
        (second,) = kept(home)
        assert second != first
