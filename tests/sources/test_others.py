"""Sources that installed packages bring: fetched by them, looked over by us, and in nobody's way when they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp import plugins
from dynamo_mcp.errors import FetchFailed, InvalidLocation, InvalidTemplate
from dynamo_mcp.settings import Settings
from dynamo_mcp.sources import default_name, parse, source
from dynamo_mcp.sources.newer import revision_there
from dynamo_mcp.store import Store
from dynamo_mcp.types import Location
from sources.repositories import Fetch

pytestmark = pytest.mark.anyio

MODULE = """
import os
from dynamo_mcp.errors import InvalidLocation
from dynamo_mcp.sources.source import Brought

async def fetch(location, tree, *, store, settings, progress):
    what = location.address.partition(":")[2]
    await progress.detail(f"bringing {what}")
    if what == "missing":
        raise InvalidLocation("There is no `missing`", hint="name another")
    if what == "broken":
        raise KeyError("nothing of\\x1b[31m that name")
    if what == "link":
        os.symlink("/etc", tree)
        return Brought("7")
    (tree / "{{cookiecutter.slug}}").mkdir(parents=True)
    (tree / "cookiecutter.json").write_text('{"slug": "x"}')
    (tree / "{{cookiecutter.slug}}" / "who").write_text(f"{what} {location.revision} {settings.person}")
    if what == "hostile":
        os.symlink("/etc/passwd", tree / "{{cookiecutter.slug}}" / "leads-out")
    return {"nothing": None, "number": Brought(7), "loud": Brought("7\\x1b[2J"), "long": Brought("7" * 1000)}.get(
        what, Brought("7")
    )

async def revision_there(location, *, store, settings):
    return {"nothing": None, "number": 8, "loud": "8\\x1b[2J"}.get(location.address.partition(":")[2], "8")
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that brings the source `shelf`, one that can't be imported, and one that would be ours."""
    packages = tmp_path / "packages"
    about = packages / "shelf-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[dynamo_mcp.sources]\nshelf = shelf_of_a_test\nfaulty = no_such_module\ngit = shelf_of_a_test\ngh = x\n"
    )
    (packages / "shelf_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(packages)
    plugins.found.cache_clear()  # as for a program that starts now
    yield
    plugins.found.cache_clear()
    sys.modules.pop("shelf_of_a_test", None)


def found(settings: Settings, address: str, revision: str | None = None) -> Location:
    return parse(address, settings=settings, revision=revision)


async def test_what_it_brings_is_a_template_like_any_other(fetch: Fetch, settings: Settings) -> None:
    location = found(settings, "shelf:top/Web_App", "3")
    assert location == Location("shelf", "shelf:top/Web_App", "3")
    assert default_name(location) == "web_app"
    checkout = await fetch(location)
    assert checkout.revision == "7"
    assert (checkout.path / "{{cookiecutter.slug}}" / "who").read_text() == "top/Web_App 3 True"


async def test_what_it_brings_is_looked_over(fetch: Fetch, settings: Settings, store: Store) -> None:
    with pytest.raises(InvalidTemplate, match=r"leads-out.*") as refused:
        await fetch(found(settings, "shelf:hostile"))
    assert "shelf:hostile" in refused.value.message
    with pytest.raises(InvalidTemplate, match="bytes"):
        await fetch(found(settings, "shelf:large"), template_bytes=4)
    assert list((store.home / "checkouts").iterdir()) == []


async def test_what_it_says_is_told_and_what_it_may_not_raise_is_told_as_its_fault(
    fetch: Fetch, settings: Settings
) -> None:
    with pytest.raises(InvalidLocation, match="There is no `missing`"):
        await fetch(found(settings, "shelf:missing"))
    with pytest.raises(FetchFailed, match="The source `shelf` failed: KeyError") as failed:
        await fetch(found(settings, "shelf:broken"))
    assert "\x1b" not in failed.value.message
    with pytest.raises(FetchFailed, match="`faulty` of `no_such_module` can't be imported: ModuleNotFoundError"):
        await fetch(found(settings, "faulty:x"))


async def test_it_may_tell_what_is_newer(store: Store, settings: Settings) -> None:
    assert await revision_there(found(settings, "shelf:x"), store=store, settings=settings) == "8"
    assert await revision_there(found(settings, "shelf:nothing"), store=store, settings=settings) is None


@pytest.mark.parametrize("what", ["nothing", "number", "loud", "long"])
async def test_what_is_no_revision_is_its_fault_and_in_no_record(
    fetch: Fetch, settings: Settings, store: Store, what: str
) -> None:
    with pytest.raises(FetchFailed, match="The source `shelf` failed") as failed:
        await fetch(found(settings, f"shelf:{what}"))
    assert failed.value.message.isprintable()
    assert list((store.home / "checkouts").iterdir()) == []


@pytest.mark.parametrize("what", ["number", "loud"])
async def test_what_is_no_newer_revision_is_its_fault(store: Store, settings: Settings, what: str) -> None:
    with pytest.raises(FetchFailed, match="The source `shelf` failed"):
        await revision_there(found(settings, f"shelf:{what}"), store=store, settings=settings)


async def test_a_link_in_place_of_what_it_brings_is_not_followed(fetch: Fetch, settings: Settings) -> None:
    with pytest.raises(InvalidLocation, match="leads through a link"):
        await fetch(found(settings, "shelf:link"))


async def test_ours_and_abbreviations_stay_ours(settings: Settings) -> None:
    assert found(settings, "gh:owner/name").kind == "git"
    assert found(settings, "git@host.example:owner/name").kind == "git"
    assert source.source_of("git").fetch.__module__ == "dynamo_mcp.sources.git"


@pytest.mark.parametrize("rest", ["me:secret@host.example/x", "secret@host.example/x", "me:p@ss@host.example/x"])
async def test_a_secret_in_an_address_would_be_recorded_and_shared(settings: Settings, rest: str) -> None:
    with pytest.raises(InvalidLocation, match="holds a user name or a secret") as refused:
        found(settings, f"shelf:{rest}")
    assert "secret@" not in refused.value.message
    assert found(settings, "shelf:git@host.example/x").kind == "shelf"


async def test_a_record_of_one_that_is_gone_says_so(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.endswith("/packages")])
    plugins.found.cache_clear()
    with pytest.raises(FetchFailed, match="There is no source `shelf` here by now"):
        await fetch(Location("shelf", "shelf:x"))


async def test_one_with_the_name_of_an_abbreviation_of_the_operator_s_own_is_the_operator_s(
    settings: Settings,
) -> None:
    own = msgspec.structs.replace(settings, abbreviations={"shelf": "https://git.example/{}.git"})
    assert found(own, "shelf:team/x").kind == "git"
