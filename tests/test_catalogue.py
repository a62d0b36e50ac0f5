"""Which could we add? Every entry is whole, and each can be handed on as it is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp import catalogue
from dynamo_mcp.catalogue_views import CatalogueEntry, CategoryInfo
from dynamo_mcp.errors import NotFound
from dynamo_mcp.registry import check_name
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Location, Template

ENTRIES = catalogue.entries()
BUNDLED = [entry for entry in ENTRIES if entry.location.startswith(catalogue.BUNDLED)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def _registered(entry: CatalogueEntry, address: str | None = None) -> Template:
    location = Location("git", address or catalogue.address_of(entry), directory=entry.directory)
    path = Path("/nowhere")
    return Template(entry.name, "", location, path, path, "0" * 64, "2026-01-01T00:00:00Z")


def test_there_are_many_public_templates_of_many_fields_and_languages_to_add() -> None:
    assert len(ENTRIES) - len(BUNDLED) >= 60
    assert BUNDLED
    assert len({entry.category for entry in ENTRIES}) >= 10
    assert len({entry.language for entry in ENTRIES}) >= 12
    assert all(entry.language and entry.tags for entry in ENTRIES)


def test_entries_are_sorted_by_name_and_each_name_is_there_once() -> None:
    names = [entry.name for entry in ENTRIES]
    assert names == sorted(set(names))


def test_each_place_is_there_once() -> None:
    places = [(entry.location.lower().removesuffix(".git"), entry.directory) for entry in ENTRIES]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_an_entry_is_well_formed(entry: CatalogueEntry) -> None:
    assert check_name(entry.name) == entry.name
    assert re.fullmatch(r"bundled:[a-z0-9-]+|https://[a-zA-Z0-9./_-]+[a-zA-Z0-9_-]", entry.location)
    assert entry.description == entry.description.strip() != ""
    assert entry.description.isprintable()
    assert len(entry.description) <= 200
    assert re.fullmatch(r"[a-z][a-z0-9-]*", entry.category)
    assert list(entry.tags) == list(dict.fromkeys(entry.tags))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+#-]*", tag) for tag in entry.tags)
    assert entry.directory is None or not entry.directory.startswith(("/", "."))
    assert entry.category not in {"info", "variables"}  # `templates://category/info` is of a template `category`
    assert not entry.registered


@pytest.mark.parametrize("entry", BUNDLED, ids=[entry.name for entry in BUNDLED])
def test_a_bundled_template_is_there(entry: CatalogueEntry) -> None:
    assert (Path(catalogue.address_of(entry)) / "cookiecutter.json").is_file()


def test_every_template_that_is_bundled_has_an_entry() -> None:
    folders = sorted(path.name for path in catalogue.BUNDLED_FOLDER.iterdir() if (path / "cookiecutter.json").is_file())
    assert folders == sorted(entry.location.removeprefix(catalogue.BUNDLED) for entry in BUNDLED)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_an_entry_is_found_by_its_name_and_can_be_added_from_there(entry: CatalogueEntry, settings: Settings) -> None:
    found, location = catalogue.locate(entry.name, settings=settings, revision=None, directory=None, live=False)
    assert found == entry
    assert location.address.removesuffix(".git") == catalogue.address_of(entry).removesuffix(".git")
    assert location.directory == entry.directory
    assert location.revision == entry.revision
    assert location.bundled == (entry in BUNDLED)


def test_what_the_caller_names_counts_instead_of_the_entrys_own(settings: Settings) -> None:
    _, location = catalogue.locate("data-science", settings=settings, revision="v2.3.0", directory="x", live=False)
    assert (location.revision, location.directory) == ("v2.3.0", "x")


def test_an_address_that_is_no_entry_is_taken_as_an_address(settings: Settings) -> None:
    found, location = catalogue.locate(
        "https://example.org/x", settings=settings, revision="v1", directory="a", live=False
    )
    assert found is None
    assert (location.address, location.revision, location.directory) == ("https://example.org/x", "v1", "a")


def test_without_templates_every_entry_may_be_added() -> None:
    assert catalogue.unregistered([]) == ENTRIES


@pytest.mark.parametrize("change", ["{}", "{}.git", "{}/"])
def test_what_is_registered_is_not_offered_however_its_address_is_written(change: str) -> None:
    for entry in ENTRIES:
        template = _registered(entry, change.format(catalogue.address_of(entry)))
        assert catalogue.unregistered([template]) == tuple(other for other in ENTRIES if other != entry)


def test_a_category_counts_what_is_registered_and_what_is_still_available() -> None:
    web = [entry for entry in ENTRIES if entry.category == "web"]
    by_address = _registered(web[0])
    elsewhere = msgspec.structs.replace(_registered(web[0], "https://example.org/mine"), category="own")
    before, after = (catalogue.categories(templates) for templates in ([], [by_address, elsewhere]))
    assert [category.name for category in before] == sorted({entry.category for entry in ENTRIES})
    assert CategoryInfo("web", 0, len(web)) in before
    assert [category.name for category in after] == sorted({"own", *(category.name for category in before)})
    assert {CategoryInfo("web", 1, len(web) - 1), CategoryInfo("own", 1, 0)} <= set(after)


def test_an_entry_says_whether_a_template_from_there_is_registered() -> None:
    marked = catalogue.marked([_registered(ENTRIES[0])])
    assert [entry.name for entry in marked] == [entry.name for entry in ENTRIES]
    assert [entry.name for entry in marked if entry.registered] == [ENTRIES[0].name]


def test_a_category_that_is_not_there_is_told_with_the_nearest_or_all() -> None:
    assert catalogue.category("web", [], []).templates == ()
    with pytest.raises(NotFound) as near:
        catalogue.category("wbe", [], [])
    assert str(near.value) == "There is no category `wbe`\n\nhint: did you mean `web`?"
    with pytest.raises(NotFound) as far:
        catalogue.category("x" * 1000, [], [])
    assert all(f"`{entry.category}`" in far.value.hint for entry in ENTRIES)
    assert len(far.value.message) < 200


def test_a_bundled_template_moves_with_the_program() -> None:
    moved = Location("local", f"/elsewhere/templates/{BUNDLED[0].name}", bundled=True)
    assert catalogue.relocate(moved).address == str(catalogue.BUNDLED_FOLDER / BUNDLED[0].name)
    other = Location("local", "/elsewhere")
    assert catalogue.relocate(other) is other
