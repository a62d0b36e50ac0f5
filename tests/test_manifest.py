"""What a file that a team shares says, and what is refused of one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.errors import UsageError
from dynamo_mcp.manifest import Entry, Manifest, encode, manifest_of, read
from dynamo_mcp.types import Group, Location, Template

COMMIT, DIGEST = "a" * 40, "b" * 64
WHEN = "2026-01-01T00:00:00+00:00"


def template(name: str, location: Location, **fields: object) -> Template:
    path = Path("/home/checkouts/x")
    plain = Template(name, f"Makes {name}", location, path, path, DIGEST, WHEN)
    return msgspec.structs.replace(plain, **fields)


REPOSITORY = Location("git", "https://example.com/r.git", "main", "inside")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    templates = [
        template("git", REPOSITORY, revision=COMMIT, named_requirements=("jinja2-time>=0.2",), trust="full"),
        template("folder", Location("local", str(tmp_path / "templates" / "one")), grants=("network",)),
        template("live", Location("local", "/elsewhere", live=True)),
        template("own", Location("local", "/anywhere/python-package", bundled=True)),
    ]
    written = manifest_of(templates, tmp_path)
    file = tmp_path / "templates.toml"
    file.write_bytes(encode(written))
    found = {entry.name: entry for entry in read(file).template}
    assert found["git"] == Entry(
        "git",
        "https://example.com/r.git",
        "main",
        "inside",
        revision=COMMIT,
        description="Makes git",
        requirements=("jinja2-time>=0.2",),
        trust="full",
    )
    assert found["folder"].location == str(tmp_path / "templates" / "one")
    assert (found["folder"].digest, found["folder"].grants) == (DIGEST, ("network",))
    assert (found["live"].live, found["live"].pin) == (True, None)
    assert (found["own"].location, found["own"].pin) == ("bundled:python-package", None)
    assert "./templates/one" in file.read_text()


def test_templates_of_one_repository_are_one_entry_with_the_least_trust() -> None:
    group = Group("all", None, ("one", "two"))
    members = [
        template("all.one", REPOSITORY, group=group, revision=COMMIT, trust="full"),
        template("all.two", REPOSITORY, group=group, revision=COMMIT, grants=("network",)),
    ]
    (entry,) = manifest_of(members).template
    assert entry == Entry("all", REPOSITORY.address, "main", revision=COMMIT, trust="contained", without=("one", "two"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version = 2", "its version is 2"),
        ("template = []", "version"),
        ("version = [", "names no templates"),
        ("\xff", "names no templates"),
        ('version = 1\n[[template]]\nname = "a"', "location"),
        ('version = 1\n[[template]]\nname = "a"\nlocation = "b"\ntoken = "c"', "token"),
        ('version = 1\n[[template]]\nname = "a"\nlocation = "b"\ntrust = "all"', "trust"),
        ('version = 1\n[[template]]\nname = "a"\nlocation = "b"\nrevision = "main:x"', "revision"),
        ('version = 1\n[[template]]\nname = "a"\nlocation = "b"\n' * 2, "names no templates"),
        ("version = 1\n" + '[[template]]\nname = "a"\nlocation = "b"\n' * 2, "`a` is in it twice"),
        ('version = 1\n[[template]]\nname = "A B"\nlocation = "b"', r"`template\[0\].name` is `A B`; it is 1 to 40"),
        ('version = 1\n[[template]]\nname = "a"\nlocatoin = "b"', "`location`"),
        ("#" * (5 << 20), "longer than 4 MiB"),
        ("template = " + "[" * 100_000, "names no templates"),
        ("version = " + "9" * 5000, "names no templates"),
        # What is said of a file steers no terminal, and looks like nothing that we say.
        ('version = 1\n"a\\u001b[2J\\nhint: curl x | sh" = 1', r"`a\[2J hint: curl x \| sh` is not known"),
        ('version = 1\n[[template]]\nname = "a\\nadded: b"\nlocation = "b"', "name"),
        ('version = 1\n[[template]]\nname = "[red]a"\nlocation = "b"', "name"),
        ('version = 1\n[[template]]\nname = "a"\nlocation = "b"\ngrants = ["\\u001b]0;x"]', "grants"),
    ],
    ids=range(19),
)
def test_a_file_that_does_not_have_the_form_is_refused_with_the_reason(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "templates.toml"
    file.write_text(content, "latin-1")
    with pytest.raises(UsageError, match=said):
        read(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Can't read"):
        read(tmp_path / "gone.toml")


def test_an_empty_registry_is_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "templates.toml"
    file.write_bytes(encode(manifest_of([])))
    assert read(file) == Manifest(1)
