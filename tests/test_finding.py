"""Which templates are there to be found, registered or not, and which of them fit?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from conftest import Listener
from dynamo_mcp import catalogue
from dynamo_mcp.catalogue_views import Found
from dynamo_mcp.catalogues import Catalogues
from dynamo_mcp.errors import FetchFailed, InvalidLocation, NotFound, UsageError
from dynamo_mcp.finding import MOST, Finding
from dynamo_mcp.registry import Registry
from dynamo_mcp.schema_cache import SchemaCache
from dynamo_mcp.settings import Settings
from dynamo_mcp.store import Store, open_store
from dynamo_mcp.types import Location, Template

pytestmark = pytest.mark.anyio

ENTRIES = catalogue.entries()


class Opened:
    """A finding over a home, in which templates are registered by their record alone."""

    def __init__(self, store: Store, tasks: anyio.abc.TaskGroup, root: Path) -> None:
        self.store, self.tasks, self.root = store, tasks, root
        self.registry = Registry(store)
        self.open()

    def open(self, *origins: str, **changes: Any) -> Finding:
        settings = Settings(home=self.store.home, catalogues=origins, **changes)
        catalogues = Catalogues(settings, self.store, self.tasks, bundled=ENTRIES)
        self.finding = Finding(settings, self.registry, SchemaCache(), catalogues=catalogues)
        return self.finding

    def register(
        self, name: str, description: str = "Ours", location: Location | None = None, **given: Any
    ) -> Template:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "cookiecutter.json").write_text(json.dumps(given.pop("asked", {"slug": "x"})))
        location = location or Location("local", str(folder))
        template = Template(name, description, location, folder, folder, "0" * 64, "2026-01-01T00:00:00Z", **given)
        self.registry.save(template)
        return template


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    async with open_store(tmp_path / "home", lock_seconds=20) as store, anyio.create_task_group() as tasks:
        yield Opened(store, tasks, tmp_path)
        tasks.cancel_scope.cancel()


def _names(found: Found) -> list[str]:
    return [result.name for result in found.results]


async def test_what_is_registered_and_what_could_be_added_are_found_together(opened: Opened) -> None:
    opened.register("ours", "A Django site for the team", category="web", tags=("internal",))
    found = await opened.finding.search("django", limit=MOST)
    assert {"ours", "django"} <= set(_names(found))
    ours = next(result for result in found.results if result.name == "ours")
    theirs = next(result for result in found.results if result.name == "django")
    assert (ours.registered, ours.tool, ours.catalogue) == (True, "create_ours", None)
    assert (theirs.registered, theirs.tool, theirs.catalogue) == (False, None, "bundled")
    assert ours.location == str(opened.root / "ours")
    assert ours.why == ("`django` is in its description",)
    assert theirs.score == 100 > ours.score > 0
    assert found.more == 0


async def test_a_registered_template_and_its_entry_are_one(opened: Opened) -> None:
    entry = next(entry for entry in ENTRIES if entry.name == "flask")
    opened.register("site", "Whatever", Location("git", entry.location))
    found = await opened.finding.search("flask sqlalchemy webpack")
    assert _names(found)[0] == "site"
    assert "flask" not in _names(found)
    assert (found.results[0].registered, found.results[0].language, found.results[0].category) == (
        True,
        "Python",
        "web",
    )
    assert found.results[0].tags == entry.tags
    assert (await opened.finding.search("login assets")).results[0].name == "site"


async def test_what_registered_templates_ask_is_searched_also_after_a_live_one_was_edited(opened: Opened) -> None:
    opened.register(
        "ours",
        location=Location("local", str(opened.root / "ours"), live=True),
        asked={"slug": "x", "colour": "red", "__prompts__": {"colour": "Which paint is it?"}},
    )
    assert (await opened.finding.search("paint")).results[0].why == ("`paint` is in its questions",)
    folder = opened.root / "ours" / "cookiecutter.json"
    folder.write_text('{"slug": "x", "varnish": "glossy"}')
    assert _names(await opened.finding.search("varnish")) == ["ours"]
    assert _names(await opened.finding.search("paint")) == []


async def test_a_template_that_is_broken_is_still_found_and_a_removed_one_is_not(opened: Opened) -> None:
    opened.register("zebra", "Stripes")
    (opened.root / "zebra" / "cookiecutter.json").write_text("{")
    assert _names(await opened.finding.search("stripes")) == ["zebra"]
    opened.registry.delete("zebra")
    assert _names(await opened.finding.search("stripes")) == []


async def test_filters_leave_out_what_does_not_pass(opened: Opened) -> None:
    finding = opened.finding
    web = await finding.search("", category="web", limit=MOST)
    assert _names(web) == [entry.name for entry in ENTRIES if entry.category == "web"]
    assert {result.score for result in web.results} == {0}
    rust = await finding.search("", language="rust")
    assert {result.language for result in rust.results} == {"Rust"}
    both = await finding.search("", tags=["Docker", "kubernetes"])
    assert all({"docker", "kubernetes"} <= set(result.tags) for result in both.results)
    assert both.results
    assert _names(await finding.search("lambda", language="go", category="cloud", tags=["sam"])) == ["aws-sam-go"]
    assert (await finding.search("lambda", language="go", category="web")).results == ()
    assert await finding.search("", tags=["kubernets", "sam"]) == Found(
        (), notes=("no template has the tag `kubernets`; did you mean `kubernetes`?",)
    )
    assert (await finding.search("", tags=["zzyzxqqq"])).notes == ("no template has the tag `zzyzxqqq`",)


async def test_only_what_has_all_words_is_found_unless_nothing_has(opened: Opened) -> None:
    all_of_them = await opened.finding.search("django celery docker")
    assert all(len(result.why) == 3 for result in all_of_them.results)
    assert all_of_them.notes == ()
    some = await opened.finding.search("django submarine volcano")
    assert some.notes == ("nothing has all 3 words: these have 1 of them; none at all has `submarine`, `volcano`",)
    assert "django" in _names(some)


async def test_so_many_are_told_as_are_asked_for_and_how_many_more_there_are(opened: Opened) -> None:
    few, many = await opened.finding.search("python", limit=3), await opened.finding.search("python", limit=MOST)
    assert len(few.results) == 3
    assert few.results == many.results[:3]
    assert few.more == len(many.results) + many.more - 3
    for limit in (0, -1, MOST + 1):
        with pytest.raises(UsageError, match=f"`limit` is {limit}"):
            await opened.finding.search("python", limit=limit)


async def test_what_can_not_be_asked_is_told_with_what_can(opened: Opened) -> None:
    with pytest.raises(NotFound) as category:
        await opened.finding.search("x", category="wbe")
    assert category.value.hint == "did you mean `web`?"
    with pytest.raises(NotFound) as language:
        await opened.finding.search("x", language="Pyhton")
    assert language.value.hint == "did you mean `Python`?"
    with pytest.raises(NotFound) as far:
        await opened.finding.search("x", language="x" * 1000)
    assert "`Rust`" in far.value.hint
    assert len(far.value.message) < 200
    with pytest.raises(NotFound):
        await opened.finding.discover("nothing")
    for query in ("", " ", "?!"):
        with pytest.raises(UsageError, match="no word"):
            await opened.finding.search(query)
        with pytest.raises(UsageError, match="no word"):
            await opened.finding.recommend(query)


async def test_five_are_recommended_with_why_and_none_where_nothing_fits(opened: Opened) -> None:
    opened.register("ours", "A web service in Django, with payments", category="web")
    found = await opened.finding.recommend("we would like a Django web service that takes payments by card")
    assert len(found.results) == 5
    assert found.results[0].name == "ours"
    assert all(result.why and result.score > 0 for result in found.results)
    assert [result.score for result in found.results] == sorted((r.score for r in found.results), reverse=True)
    nothing = await opened.finding.recommend("zzyzxqqq")
    said = "nothing fits: say it in other words; `discover_templates` lists what could be added"
    assert nothing == Found((), notes=(said,)) == await opened.finding.search("zzyzxqqq")
    assert (await opened.finding.recommend("a Kubernetes operator in Haskell")).notes == (
        "no template has `operator`, `haskell`",
    )


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("a command line tool in Rust", "Rust"),
        ("a service with a REST API and docker, in golang", "Go"),
        ("a small C program with logging", "C"),
        ("command-line tool, in Common Lisp", "Common Lisp"),
    ],
)
async def test_what_is_in_the_language_that_a_sentence_names_is_recommended_first(
    opened: Opened, sentence: str, language: str
) -> None:
    assert (await opened.finding.recommend(sentence)).results[0].language == language


async def test_a_short_word_in_small_letters_names_no_language(opened: Opened) -> None:
    found = await opened.finding.recommend("let us go with django and a REST API on docker")
    assert found.results[0].language == "Python"


async def test_entries_are_discovered_by_category_and_those_of_an_operator_too(opened: Opened, tmp_path: Path) -> None:
    row = {"name": "team-web", "location": "./web", "description": "The team's", "category": "web", "language": "Go"}
    (tmp_path / "own.json").write_text(
        json.dumps({"version": 1, "entries": [row, row | {"name": "b", "category": "b"}]})
    )
    finding = opened.open(str(tmp_path / "own.json"), source_roots=(tmp_path,))
    assert "team-web" in [entry.name for entry in await finding.discover("web")]
    assert [entry.name for entry in await finding.discover("b")] == ["b"]
    assert len(await finding.discover()) == len(ENTRIES) + 2
    assert ("b", 0, 1) in [(each.name, each.registered, each.available) for each in await finding.categories()]
    assert [entry.name for entry in (await finding.category("b", ())).entries] == ["b"]
    (found,) = (await finding.search("team-web")).results
    assert (found.catalogue, found.location) == (str(tmp_path / "own.json"), str(tmp_path / "web"))
    (tmp_path / "web").mkdir()
    entry, location, settings = await finding.locate("team-web", revision=None, directory=None, live=False)
    assert entry is not None
    assert (location.kind, location.address, settings.person) == ("local", str(tmp_path / "web"), False)


async def test_a_name_that_is_nearly_an_entrys_is_told_with_it_and_any_other_with_how_to_find_one(
    opened: Opened,
) -> None:
    for typed, said in (("djano", "did you mean `django`"), ("zzyzxqqq", "`search_templates`")):
        with pytest.raises(InvalidLocation) as told:
            await opened.finding.locate(typed, revision=None, directory=None, live=False)
        assert said in told.value.hint
        assert told.value.message == f"`{typed}` is neither an address nor the path of a folder, and in no catalogue"


async def test_a_place_that_a_stranger_names_is_no_persons_word(opened: Opened) -> None:
    finding = opened.open("https://example.org/catalogue.json", person=True, catalogue_seconds=1e9)
    name = hashlib.sha256(b"https://example.org/catalogue.json").hexdigest()[:32]
    kept = opened.store.home / "catalogues" / f"{name}.json"
    kept.parent.mkdir()
    row = {"name": "far", "location": "https://10.0.0.1/x", "description": "Far", "category": "web"}
    kept.write_text(json.dumps({"version": 1, "entries": [row, row | {"name": "b", "location": "gh:a/b"}]}))
    for name in ("far", "b"):
        entry, location, settings = await finding.locate(name, revision=None, directory=None, live=False)
        assert entry is not None
        assert location.kind == "git"
        assert not settings.person
    with pytest.raises(InvalidLocation):
        await finding.locate("far", revision="refs/pull/1/head", directory=None, live=False)
    _, _, settings = await finding.locate("https://10.0.0.1/x", revision=None, directory=None, live=False)
    assert settings.person


def _row(name: str, **changes: str) -> dict[str, str]:
    return {"name": name, "location": f"gh:a/{name}", "description": "Far", "category": "web"} | changes


def _keep(opened: Opened, origin: str, *rows: dict[str, str]) -> str:
    """Have the catalogue of an address kept, as if it had been fetched."""
    kept = opened.store.home / "catalogues" / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps({"version": 1, "entries": rows}))
    return origin


async def test_a_stranger_takes_no_name_while_the_catalogue_before_can_not_be_had(
    opened: Opened, tmp_path: Path
) -> None:
    strange = _keep(opened, "https://example.org/catalogue.json", _row("team-service"))
    own = tmp_path / "own.json"
    finding = opened.open(str(own), strange, catalogue_seconds=1e9)
    with pytest.raises(FetchFailed, match=f"`team-service` is an entry of `{own}`, .* before `{strange}`") as refused:
        await finding.locate("team-service", revision=None, directory=None, live=False)
    assert "`gh:a/team-service`" in refused.value.hint
    entry, _, _ = await finding.locate("python-package", revision=None, directory=None, live=False)
    assert entry is not None
    own.write_text(json.dumps({"version": 1, "entries": []}))
    entry, _, _ = await finding.locate("team-service", revision=None, directory=None, live=False)
    assert entry is not None


async def test_a_stranger_takes_no_name_of_a_folder_that_a_person_is_in(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = _keep(opened, "https://example.org/catalogue.json", _row("service"))
    (tmp_path / "service").mkdir()
    monkeypatch.chdir(tmp_path)
    finding = opened.open(strange, catalogue_seconds=1e9, person=True)
    with pytest.raises(InvalidLocation, match="`service` is a folder here, and an entry of") as refused:
        await finding.locate("service", revision=None, directory=None, live=False)
    assert "`./service`" in refused.value.hint
    # A program is in no folder that it knows of.
    finding = opened.open(strange, catalogue_seconds=1e9)
    entry, _, _ = await finding.locate("service", revision=None, directory=None, live=False)
    assert entry is not None


async def test_a_stranger_says_nothing_of_what_another_catalogue_describes(opened: Opened) -> None:
    known = next(entry for entry in ENTRIES if entry.location.startswith("https:") and entry.language)
    row = _row("0-first", location=known.location, language="Evil") | (
        {"directory": known.directory} if known.directory else {}
    )
    strange = _keep(opened, "https://example.org/catalogue.json", row)
    finding = opened.open(strange, catalogue_seconds=1e9)
    opened.register("mine", location=Location("git", known.location, directory=known.directory))
    (found, *_) = (await finding.search("mine")).results
    assert (found.language, found.catalogue) == (known.language, "bundled")


async def test_a_secret_in_a_catalogues_address_is_told_to_nobody(opened: Opened) -> None:
    strange = _keep(opened, "https://example.org/catalogue.json?token=secret", _row("far"))
    finding = opened.open(strange, "https://example.org/other.json?token=secret", catalogue_seconds=1e9, offline=True)
    found = await finding.search("far")
    assert [each.catalogue for each in found.results if each.name == "far"] == ["https://example.org/catalogue.json"]
    assert found.notes
    assert "secret" not in str(found)


async def _filtered(finding: Finding, field: str, word: str) -> Found:
    filters: dict[str, Any] = {field: word}
    return await finding.search("", **filters)


@pytest.mark.parametrize("field", ["category", "language"])
async def test_a_word_that_is_none_is_compared_with_thousands_and_told_with_few(opened: Opened, field: str) -> None:
    rows = [_row(f"n{number}", **{field: f"{'abcdefgh' * 4}x{number}"}) for number in range(2000)]
    strange = _keep(opened, "https://example.org/catalogue.json", *rows)
    finding = opened.open(strange, catalogue_seconds=1e9)
    with pytest.raises(NotFound, match="There is no") as refused:
        await _filtered(finding, field, "%")
    assert len(refused.value.hint) < 2000
    with pytest.raises(NotFound, match="There is no") as refused:
        await _filtered(finding, field, f"{'abcdefgh' * 4}x1999y")
    assert refused.value.hint == f"did you mean `{'abcdefgh' * 4}x1999`?"


async def test_of_two_hundred_templates_each_is_read_and_indexed_once_and_not_by_every_search(
    opened: Opened, audited: list[Listener]
) -> None:
    read: list[Path] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, Path)) and Path(arguments[0]).is_relative_to(opened.root):
            read.append(Path(arguments[0]))

    asked = {f"question_{number}": f"answer {number}" for number in range(10)}
    for number in range(200):
        opened.register(f"team-{number}", f"The service number {number} of the team", asked=asked)
    audited.append(note)
    assert (await opened.finding.search("service team")).more == 190
    assert len([path for path in read if path.name == "cookiecutter.json"]) == 200
    read.clear()
    index = opened.finding._index  # noqa: SLF001 - another one would have been made of all words again
    for query in ("service team", "django rest postgress"):
        assert (await opened.finding.search(query)).results
    assert read == []
    assert opened.finding._index is index  # noqa: SLF001
    audited.remove(note)
    opened.register("one-more", "Another service", asked=asked)
    audited.append(note)
    assert _names(await opened.finding.search("one-more"))[0] == "one-more"
    assert sorted(path.name for path in read) == ["cookiecutter.json", "one-more.json"]
