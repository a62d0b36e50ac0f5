"""Where projects may be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamo_mcp.callers import Caller, current
from dynamo_mcp.errors import OutputRefused
from dynamo_mcp.outputs import folder_of, output_folder, refuse_moved
from homes import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, None)


def test_projects_go_to_the_homes_outputs_unless_told_otherwise(home: Home) -> None:
    assert output_folder(home.settings(), None) == home.path / "outputs"
    assert output_folder(home.settings(), "sub/deep") == home.path / "outputs" / "sub" / "deep"
    assert output_folder(home.settings(), str(home.outputs / "new")) == home.outputs / "new"


@pytest.mark.parametrize(
    "wanted", ["/etc", "/", "..", "../..", "../templates", "sub/../../bases", "~", "~/x", "/proc/self/cwd"]
)
def test_an_agent_may_not_write_outside_the_roots(home: Home, wanted: str) -> None:
    with pytest.raises(OutputRefused) as raised:
        output_folder(home.settings(), wanted)
    assert str(home.outputs) in raised.value.hint
    assert "--output-root" in raised.value.hint


def test_a_link_that_leads_outside_is_refused_and_one_that_stays_inside_is_followed(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (home.outputs / "inside").mkdir()
    (home.outputs / "out").symlink_to(tmp_path / "outside")
    (home.outputs / "in").symlink_to("inside")
    with pytest.raises(OutputRefused):
        output_folder(home.settings(), str(home.outputs / "out"))
    with pytest.raises(OutputRefused):
        output_folder(home.settings(), str(home.outputs / "out" / "deeper"))
    assert output_folder(home.settings(), str(home.outputs / "in")) == home.outputs / "inside"


def test_a_file_is_no_output_folder(home: Home) -> None:
    (home.outputs / "file").write_text("x")
    with pytest.raises(OutputRefused, match="not a folder"):
        output_folder(home.settings(), str(home.outputs / "file"))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("a\0b", "is not a folder"),
        ("a\nb", "is not a folder"),
        ("a\x1b[31mb", "is not a folder"),
        (" ", "is not a folder"),
        ("x" * 5000, "longer than a path may be"),
        ("x/" * 2500, "longer than a path may be"),
        ("x" * 256, "longer than a path may be"),
        ("\udcff", "can't be a folder"),
    ],
)
@pytest.mark.parametrize("person", [True, False])
def test_what_can_be_no_folder_is_told_so_on_one_line(home: Home, *, wanted: str, said: str, person: bool) -> None:
    with pytest.raises(OutputRefused, match=said) as caught:
        output_folder(home.settings(person=person), wanted)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


def test_braces_and_dots_are_a_name_like_any_other(home: Home) -> None:
    for name in ("{{ 7*7 }}", "{% raw %}", "dots...", "..a", "-rf", "$HOME", "`x`"):
        assert output_folder(home.settings(), str(home.outputs / name)) == home.outputs / name


def test_a_root_that_is_a_link_stands_for_what_it_leads_to(home: Home, tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(home.outputs)
    settings = home.settings(output_roots=(tmp_path / "root",))
    assert output_folder(settings, str(tmp_path / "root" / "x")) == home.outputs / "x"
    with pytest.raises(OutputRefused):
        output_folder(settings, str(tmp_path))


@pytest.mark.parametrize("person", [True, False])
@pytest.mark.parametrize("inside", [".", "templates", "checkouts/x", "venvs", "scratch/new", "outputs/.."])
def test_nobody_writes_where_the_home_keeps_its_own(home: Home, *, inside: str, person: bool) -> None:
    settings = home.settings(output_roots=(home.root,), person=person)
    with pytest.raises(OutputRefused, match="keeps its own"):
        output_folder(settings, str(home.path / inside))
    assert output_folder(settings, str(home.path / "outputs" / "x")) == home.path / "outputs" / "x"


def test_a_folder_that_leads_elsewhere_by_now_is_refused(home: Home, tmp_path: Path) -> None:
    (home.outputs / "deep").mkdir()
    folder = output_folder(home.settings(), str(home.outputs / "deep" / "x"))
    refuse_moved(folder)
    (home.outputs / "deep").rename(tmp_path / "away")
    (home.outputs / "deep").symlink_to(tmp_path / "away")
    with pytest.raises(OutputRefused, match="leads elsewhere"):
        refuse_moved(folder)


@pytest.fixture
def caller() -> Iterator[Caller]:
    """Somebody who had to say who they are."""
    known = Caller("key:../ci", frozenset({"projects:create"}))
    token = current.set(known)
    yield known
    current.reset(token)


def test_a_caller_who_is_known_has_a_folder_of_their_own_in_each_root(
    home: Home, tmp_path: Path, caller: Caller
) -> None:
    settings = home.settings(output_roots=(tmp_path / "shared",))
    own = folder_of(caller)
    assert output_folder(settings, None) == home.path / "outputs" / own
    assert output_folder(settings, "sub") == home.path / "outputs" / own / "sub"
    assert output_folder(settings, str(tmp_path / "shared" / own)) == tmp_path / "shared" / own
    for others in ("..", str(home.path / "outputs"), str(tmp_path / "shared"), f"../{own}x"):
        with pytest.raises(OutputRefused):
            output_folder(settings, others)


@pytest.mark.parametrize("leads", ["{other}", "{other}/project", "../../{name}", "../..", "/", "{keys}"])
def test_no_link_in_ones_own_folder_leads_into_another_caller_s(home: Home, caller: Caller, leads: str) -> None:
    """A hook of trust `full` leaves what it likes in a project; at the other trusts no link leaves it."""
    outputs = home.path / "outputs"
    own, other = outputs / folder_of(caller), outputs / folder_of(Caller("key:other", frozenset()))
    (own / "project").mkdir(parents=True)
    (other / "project").mkdir(parents=True)
    link = own / "project" / "loop"
    link.symlink_to(leads.format(other=other, name=other.name, keys=home.path / "keys"))
    for wanted in ("project/loop", "project/loop/new", str(link), "project/../project/loop/project"):
        with pytest.raises(OutputRefused):
            output_folder(home.settings(), wanted)
    for others in (str(other), str(other / "project"), f"../{other.name}", f"x/../../{other.name}/project"):
        with pytest.raises(OutputRefused):
            output_folder(home.settings(), others)


@pytest.mark.parametrize(
    "name",
    [
        "key:" + "a" * 100_000,
        "oauth:x:\u202e\u0007",
        "key:a/../../b",
        "user:\U0001f600",
        "...",
        "-rf",
        "oauth:x:anna\u0301",
    ],
)
def test_whatever_a_caller_is_called_their_folder_is_one_short_plain_name(name: str) -> None:
    folder = folder_of(Caller(name, frozenset()))
    assert re.fullmatch(r"[A-Za-z0-9-]{13,60}", folder)


def test_two_callers_never_share_a_folder(caller: Caller) -> None:
    like = [Caller(name, frozenset()) for name in ("key:ci", "key:.ci", "key ci", "KEY:../ci", "", "/")]
    folders = [folder_of(each) for each in (caller, *like)]
    assert len({folder.casefold() for folder in folders}) == len(folders)
    assert all("/" not in folder and not folder.startswith(".") for folder in folders)


def test_an_administrator_may_write_where_others_do(home: Home) -> None:
    token = current.set(Caller("user:anna", frozenset({"admin"})))
    try:
        assert output_folder(home.settings(), "../x") == home.path / "outputs" / "x"
    finally:
        current.reset(token)
