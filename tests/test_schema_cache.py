"""Is this schema still true? It is kept as long as its file is the same, and not a call longer."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conftest import Listener
from dynamo_mcp.configuration import fingerprint
from dynamo_mcp.errors import InvalidTemplate, NotATemplate
from dynamo_mcp.schema_cache import LARGE_BYTES, SchemaCache
from dynamo_mcp.types import Location, Template
from dynamo_mcp.variables import Schema


@pytest.fixture
def template(tmp_path: Path) -> Template:
    (tmp_path / "cookiecutter.json").write_text('{"first": "x"}')
    return Template("web", "", Location("local", str(tmp_path)), tmp_path, tmp_path, "0" * 64, "2026-01-01T00:00:00Z")


def _asked(cache: SchemaCache, template: Template) -> list[str]:
    return [variable.name for variable in cache.get(template).variables]


def _shown(cache: SchemaCache, template: Template) -> dict[str, Any]:
    return cache.json_schema(template, cache.get(template))


def test_a_schema_is_compiled_once_while_its_file_stays_the_same(template: Template) -> None:
    cache = SchemaCache()
    assert cache.get(template) is cache.get(template)


def test_an_edit_counts_from_the_next_call_on(template: Template) -> None:
    cache = SchemaCache()
    assert _asked(cache, template) == ["first"]
    (template.path / "cookiecutter.json").write_text('{"second": "x"}')
    assert _asked(cache, template) == ["second"]


def test_an_edit_of_the_same_length_counts_too(template: Template) -> None:
    cache = SchemaCache()
    assert _asked(cache, template) == ["first"]
    (template.path / "cookiecutter.json").write_text('{"third": "x"}')
    assert _asked(cache, template) == ["third"]


def test_a_file_put_in_its_place_with_the_same_time_and_length_counts_too(template: Template) -> None:
    cache = SchemaCache()
    path = template.path / "cookiecutter.json"
    assert _asked(cache, template) == ["first"]
    status = path.stat()
    other = path.with_name("other")
    other.write_text('{"third": "x"}')
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert _asked(cache, template) == ["third"]


def test_a_file_that_is_gone_is_told_and_counts_again_when_it_is_back(template: Template) -> None:
    cache = SchemaCache()
    path = template.path / "cookiecutter.json"
    cache.get(template)
    path.rename(path.with_name("aside"))
    with pytest.raises(NotATemplate):
        cache.get(template)
    path.with_name("aside").rename(path)
    assert _asked(cache, template) == ["first"]


def test_a_file_that_became_nonsense_is_told_each_time_and_counts_again_when_mended(template: Template) -> None:
    cache = SchemaCache()
    path = template.path / "cookiecutter.json"
    cache.get(template)
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(InvalidTemplate, match="line 1"):
            cache.get(template)
    path.write_text('{"mended": "x"}')
    assert _asked(cache, template) == ["mended"]


def test_a_json_schema_is_made_once_while_its_file_and_its_examples_stay_the_same(template: Template) -> None:
    path = template.path / "cookiecutter.json"
    path.write_text('{"first": "x", "second": "{{ cookiecutter.first }}"}')
    cache = SchemaCache()
    made = _shown(cache, template)
    assert made == cache.get(template).json_schema()
    assert _shown(cache, msgspec.structs.replace(template, examples={})) is made
    asked = cache.get(template).fingerprints()
    shown = msgspec.structs.replace(template, examples={"second": "x"}, asked=asked)
    assert _shown(cache, shown)["properties"]["second"]["examples"] == ["x"]
    assert "examples" not in _shown(cache, template)["properties"]["second"]
    edited = msgspec.structs.replace(shown, asked={**asked, "second": "another"})
    assert "examples" not in _shown(cache, edited)["properties"]["second"]
    path.write_text('{"third": "x"}')
    assert list(_shown(cache, template)["properties"]) == ["third"]


def _readers(audited: list[Listener]) -> list[int]:
    """Return a list that gets the thread of each that opens a `cookiecutter.json`."""
    threads: list[int] = []

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith("cookiecutter.json"):
            threads.append(threading.get_ident())

    audited.append(listen)
    return threads


@pytest.mark.anyio
async def test_what_is_large_can_be_compiled_aside(template: Template, audited: list[Listener]) -> None:
    cache = SchemaCache()
    (template.path / "cookiecutter.json").write_text(json.dumps({"first": "x" * LARGE_BYTES}))
    readers = _readers(audited)
    compiled = await cache.ready(template)
    assert len(readers) == 1
    assert readers != [threading.get_ident()]
    assert cache.get(template) is compiled
    assert await cache.ready(template) is compiled
    assert len(readers) == 1


@pytest.mark.anyio
async def test_the_first_answers_to_what_is_large_are_checked_as_fast_as_the_next(template: Template) -> None:
    (template.path / "cookiecutter.json").write_text(json.dumps({"first": ["x" * LARGE_BYTES, "y"]}))
    cache = SchemaCache()

    def called(schema: Schema) -> set[str]:
        """Return the functions that a check calls: msgspec makes of a struct what it needs when it is first used."""
        names: set[str] = set()
        sys.setprofile(lambda frame, _event, _given: names.add(frame.f_code.co_name))
        try:
            schema.check("web", {"first": "y"})
        finally:
            sys.setprofile(None)
        return names

    assert "get_class_annotations" in called(cache.get(template))
    cache.forget(template)
    assert "get_class_annotations" not in called(await cache.ready(template))


@pytest.mark.anyio
async def test_what_is_small_is_compiled_at_once(template: Template, audited: list[Listener]) -> None:
    cache = SchemaCache()
    readers = _readers(audited)
    assert await cache.ready(template) is cache.get(template)
    assert readers == [threading.get_ident()]


@pytest.mark.anyio
async def test_what_is_large_and_broken_or_gone_is_told_too(template: Template) -> None:
    cache = SchemaCache()
    (template.path / "cookiecutter.json").write_text("x" * (LARGE_BYTES + 1))
    with pytest.raises(InvalidTemplate):
        await cache.ready(template)
    (template.path / "cookiecutter.json").unlink()
    with pytest.raises(NotATemplate):
        await cache.ready(template)


def test_what_is_kept_of_a_template_can_be_dropped(template: Template) -> None:
    cache = SchemaCache()
    kept, shown = cache.get(template), _shown(cache, template)
    cache.forget(template)
    assert cache.get(template) is not kept
    assert _shown(cache, template) is not shown
    cache.forget(template)
    cache.forget(template)


def test_what_nobody_asks_for_any_more_makes_room(template: Template, tmp_path: Path) -> None:
    cache = SchemaCache(most=2)
    others = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cookiecutter.json").write_text('{"first": "x"}')
        others.append(msgspec.structs.replace(template, path=tmp_path / name))
    first, one = cache.get(template), cache.get(others[0])
    assert cache.get(template) is first
    cache.get(others[1])
    assert cache.get(template) is first
    assert cache.get(others[0]) is not one


def test_what_a_hook_has_made_of_it_is_kept_once_and_beside_the_file_as_it_is(template: Template) -> None:
    cache = SchemaCache(most=2)
    before = fingerprint(template.path)
    hooked = [
        msgspec.structs.replace(template, configuration=f'{{"{name}": "x"}}', configured_from=before)
        for name in ("second", "third")
    ]
    kept = cache.get(template, hooks=False)
    assert [_asked(cache, each) for each in (*hooked, hooked[0])] == [["second"], ["third"], ["second"]]
    assert cache.get(hooked[0]) is cache.get(hooked[0])
    assert cache.get(template, hooks=False) is kept
