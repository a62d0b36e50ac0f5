"""What is kept of a template's compiled code: per template, trust and environment, by jobs and for jobs alone."""

from __future__ import annotations

import json
import marshal
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp import compiled
from dynamo_mcp.errors import DynamoError
from dynamo_mcp.renderers import Renderers
from dynamo_mcp.spares import MARKER
from homes import SLUG, Home, base_environments

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
