"""The registry becomes what a file says, and the file lets nothing more run than the person at the shell."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.errors import DynamoError, FetchFailed, InvalidLocation, Refused
from dynamo_mcp.manifest import Entry, Manifest
from dynamo_mcp.syncing import Synced, act, plan
from homes import SLUG, Home, base_environments, commit, write_template

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path, base_environments(tmp_path_factory))


async def sync(
    dynamo: Dynamo, *entries: Entry, prune: bool = False, vouched: bool = False
) -> dict[str, Synced | DynamoError]:
    done: dict[str, Synced | DynamoError] = {}
    for action in plan(Manifest(1, entries), dynamo.export(), prune=prune, settings=dynamo.settings):
        try:
            done[action.name] = await act(dynamo, action, vouched=vouched)
        except DynamoError as error:
            done[action.name] = error
    return done


def did(done: dict[str, Synced | DynamoError]) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {name: (each.did, each.why) for name, each in done.items() if isinstance(each, Synced)}


async def test_a_registry_becomes_what_a_file_says_at_the_pinned_commit_and_follows_its_branch(home: Home) -> None:
    folder = write_template(home.templates / "one", {f"{SLUG}/version": "1"})
    first = commit(folder)
    write_template(folder, {f"{SLUG}/version": "2"})
    second = commit(folder)
    entry = Entry("one", folder.as_uri(), "main", revision=first, description="Ours")
    async with home.open(person=True) as dynamo:
        assert did(await sync(dynamo, entry)) == {"one": ("add", ())}
        assert did(await sync(dynamo, entry)) == {"one": ("keep", ())}
        (now,) = dynamo.export().template
        assert (now.checkout, now.revision, now.description) == ("main", first, "Ours")
        await dynamo.create_project("one", str(home.outputs), {"slug": "first"})
        newer = msgspec.structs.replace(entry, revision=second, description="Theirs")
        assert did(await sync(dynamo, newer)) == {"one": ("update", ("revision", "description"))}
        (now,) = dynamo.export().template
        assert (now.checkout, now.revision, now.description) == ("main", second, "Theirs")
        assert did(await sync(dynamo, entry)) == {"one": ("update", ("revision", "description"))}
        assert (await dynamo.update_template("one")).to_revision == second
        await home.add(dynamo, "other")
        newer = msgspec.structs.replace(newer, description=None)
        assert did(await sync(dynamo, newer)) == {"one": ("keep", ())}
        assert did(await sync(dynamo, newer, prune=True)) == {"one": ("keep", ()), "other": ("remove", ())}
        assert [entry.name for entry in dynamo.export().template] == ["one"]
    assert (home.outputs / "first" / "version").read_text() == "1"


async def test_one_that_comes_from_elsewhere_is_replaced_and_stays_where_that_fails(home: Home) -> None:
    folders = [write_template(home.templates / name, {f"{SLUG}/of": name}) for name in ("one", "two")]
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folders[0]), name="mine", trust="full")
        gone = await sync(dynamo, Entry("mine", str(home.templates / "gone")))
        assert isinstance(gone["mine"], DynamoError)
        (now,) = dynamo.export().template
        assert (now.location, now.trust) == (str(folders[0]), "full")
        await dynamo.create_project("mine", str(home.outputs), {"slug": "before"})
        done = await sync(dynamo, Entry("mine", str(folders[1])))
        assert did(done) == {"mine": ("update", ("location",))}
        assert isinstance(done["mine"], Synced)
        assert "dynamo-mcp trust mine full" in done["mine"].notes[0]
        (now,) = dynamo.export().template
        assert (now.location, now.trust) == (str(folders[1]), "contained")
        await dynamo.create_project("mine", str(home.outputs), {"slug": "after"})
    assert [(home.outputs / name / "of").read_text() for name in ("before", "after")] == ["one", "two"]


async def test_a_repository_is_pinned_to_a_whole_commit(home: Home) -> None:
    folder = write_template(home.templates / "one")
    commit(folder)
    async with home.open(person=True) as dynamo:
        done = await sync(dynamo, Entry("one", folder.as_uri(), revision="main"))
        assert isinstance(done["one"], InvalidLocation)
        assert dynamo.export().template == ()


async def test_the_same_content_elsewhere_has_no_word_of_a_person(home: Home) -> None:
    folders = [write_template(home.templates / name) for name in ("one", "two")]
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folders[0]), name="mine", trust="full")
        await sync(dynamo, Entry("mine", str(folders[1])))
        assert [entry.trust for entry in dynamo.export().template] == ["contained"]


async def test_a_folder_that_is_not_what_was_pinned_is_refused_and_nothing_is_left(home: Home) -> None:
    folder = write_template(home.templates / "one")
    async with home.open(person=True) as dynamo:
        done = await sync(dynamo, Entry("one", str(folder), digest="0" * 64))
        assert isinstance(done["one"], FetchFailed)
        assert "is not what `one` is pinned to" in done["one"].message
        assert dynamo.export().template == ()
        assert list((home.path / "checkouts").iterdir()) == []
        await dynamo.add_template(str(folder), name="one")
        (now,) = dynamo.export().template
        write_template(folder, {"new.txt": ""})
        done = await sync(dynamo, msgspec.structs.replace(now, digest="0" * 64))
        assert isinstance(done["one"], FetchFailed)
        assert dynamo.export().template == (now,)
        assert len(list((home.path / "checkouts").iterdir())) == 1
        await dynamo.create_project("one", str(home.outputs))


async def test_a_file_lets_nothing_more_run_without_the_word_of_a_person(home: Home) -> None:
    folder = str(write_template(home.templates / "one"))
    full = Entry("one", folder, trust="full")
    granted = Entry("two", folder, trust="contained", grants=("network",))
    inert = Entry("three", folder, trust="inert")
    async with home.open(person=True) as dynamo:

        def trusts() -> list[tuple[str | None, tuple[str, ...]]]:
            return [(entry.trust, entry.grants) for entry in sorted(dynamo.export().template, key=lambda e: e.name)]

        done = await sync(dynamo, full, granted, inert)
        assert trusts() == [("contained", ()), ("inert", ()), ("contained", ())]
        for name, hint in (("one", "trust one full"), ("two", "trust two contained --grant network")):
            synced = done[name]
            assert isinstance(synced, Synced)
            assert hint in synced.notes[0]
        # Also later, and from what a person has set to `inert`.
        done = await sync(dynamo, full, granted, msgspec.structs.replace(inert, trust="contained"))
        assert did(done) == dict.fromkeys(("one", "two", "three"), ("update", ("trust",)))
        assert trusts() == [("contained", ()), ("inert", ()), ("contained", ())]
        await sync(dynamo, full, granted, inert, vouched=True)
        assert trusts() == [("full", ()), ("inert", ()), ("contained", ("network",))]
        # Less is let run without more ado.
        await sync(dynamo, msgspec.structs.replace(full, trust="inert"))
        assert trusts()[0] == ("inert", ())


async def test_a_repository_of_several_is_brought_to_what_is_pinned(home: Home) -> None:
    folder = home.templates / "all"
    for name in ("one", "two"):
        write_template(folder / name, {f"{SLUG}/version": "1"})
    (folder / "cookiecutter.json").write_text(
        '{"templates": {"one": {"path": "./one", "title": "One"}, "two": {"path": "./two", "title": "Two"}}}'
    )
    first = commit(folder)
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(folder.as_uri(), name="all")
        exported = dynamo.export()
        (entry,) = exported.template
        assert (entry.name, entry.revision) == ("all", first)
        write_template(folder / "one", {f"{SLUG}/version": "2"})
        second = commit(folder)
        await dynamo.update_template("all")
        assert did(await sync(dynamo, entry)) == {"all": ("update", ("revision",))}
        assert dynamo.export() == exported
        await dynamo.create_project("all.one", str(home.outputs))
        await sync(dynamo, msgspec.structs.replace(entry, revision=second))
        assert dynamo.export().template[0].revision == second
        fewer = msgspec.structs.replace(entry, without=("two",))
        assert did(await sync(dynamo, fewer)) == {"all": ("update", ("revision", "templates"))}
        assert [info.name for info in await dynamo.list_templates()] == ["all.one"]
        assert dynamo.export().template == (fewer,)
        assert did(await sync(dynamo, fewer)) == {"all": ("keep", ())}
        assert did(await sync(dynamo, prune=True)) == {"all": ("remove", ())}
        assert did(await sync(dynamo, fewer)) == {"all": ("add", ())}
        assert [info.name for info in await dynamo.list_templates()] == ["all.one"]
        assert did(await sync(dynamo, prune=True)) == {"all": ("remove", ())}
        assert await dynamo.list_templates() == ()
        assert did(await sync(dynamo, entry)) == {"all": ("add", ())}
        assert dynamo.export() == exported
    assert (home.outputs / "made" / "version").read_text() == "1"


async def test_a_word_on_one_folder_of_a_repository_is_none_on_another(home: Home) -> None:
    folder = home.templates / "all"
    write_template(folder / "good")
    write_template(folder / "evil", post_gen_project="print(1)\n")
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(str(folder), name="mine", directory="good", trust="full")
        done = await sync(dynamo, Entry("mine", str(folder), directory="evil"))
        (now,) = dynamo.export().template
        assert (now.directory, now.trust) == ("evil", "contained")
        assert isinstance(done["mine"], Synced)
        assert "dynamo-mcp trust mine full" in done["mine"].notes[0]


@pytest.mark.parametrize("given", ["full", "network"])
async def test_packages_that_a_file_names_get_nothing_of_what_a_person_gave(home: Home, given: str) -> None:
    home.take_wheels()
    folder = str(write_template(home.templates / "one"))
    entry = Entry("mine", folder, requirements=("text-unidecode",))
    async with home.open({"UV_OFFLINE": "1"}, person=True) as dynamo:
        if given == "full":
            await dynamo.add_template(folder, name="mine", trust="full")
        else:
            await dynamo.add_template(folder, name="mine", grants=(given,))
        done = await sync(dynamo, entry)
        assert isinstance(done["mine"], Synced)
        assert "dynamo-mcp trust mine" in done["mine"].notes[0]
        (told,) = await dynamo.trust("mine")
        assert (told.trust, told.grants, told.unvouched) == ("contained", (), ("text-unidecode",))
        # They get it once a person says so of both.
        (told,) = await dynamo.trust_template("mine", "full")
        assert told.unvouched == ("text-unidecode",)
        await sync(dynamo, entry, msgspec.structs.replace(entry, name="new"))
        for name in ("mine", "new"):
            assert [each.unvouched for each in await dynamo.trust(name)] == [("text-unidecode",)]
        contained = msgspec.structs.replace(entry, trust="contained")
        await sync(dynamo, contained, vouched=True)
        await sync(dynamo, msgspec.structs.replace(entry, trust="full"), vouched=True)
        (told,) = await dynamo.trust("mine")
        assert (told.trust, told.unvouched) == ("full", ())


async def test_a_file_gives_no_other_name_to_what_a_person_lets_run_nothing(home: Home) -> None:
    folder = str(write_template(home.templates / "one"))
    elsewhere = str(write_template(home.templates / "two", {"new.txt": ""}))
    async with home.open(person=True) as dynamo:
        await dynamo.add_template(folder, name="mine", trust="inert")
        other = Entry("other", folder)
        for entry in (other, Entry("mine", elsewhere)):
            done = await sync(dynamo, entry, other, prune=True)
            assert isinstance(done["mine"], Refused)
            assert [(each.name, each.trust) for each in dynamo.export().template] == [
                ("mine", "inert"),
                ("other", "inert"),
            ]
        done = await sync(dynamo, other, prune=True, vouched=True)
        assert did(done) == {"other": ("keep", ()), "mine": ("remove", ())}
