"""What lies in the home, how much is it, and when was it used last? Links lead nowhere, and hard links count once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dynamo_mcp.inventory import BASE, COMPILED, ENVIRONMENT, archives, held, listed, measure

KEY = "0123456789abcdef"


def test_only_folders_of_a_name_of_ours_are_listed_oldest_first(tmp_path: Path) -> None:
    parent = tmp_path / "venvs"
    for number, name in enumerate([f"web-{KEY}", f"a.b-c-{KEY}", "mine", f"Web-{KEY}", f"web-{KEY}x", KEY]):
        (parent / name).mkdir(parents=True)
        os.utime(parent / name, (100 - number, 100 - number))
    (parent / f"file-{KEY}").touch()
    (parent / f"link-{KEY}").symlink_to(parent / "mine")
    assert [(entry.path.name, entry.used) for entry in listed(parent, ENVIRONMENT)] == [
        (f"a.b-c-{KEY}", 99.0),
        (f"web-{KEY}", 100.0),
    ]


def test_what_a_link_leads_to_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / KEY).mkdir(parents=True)
    (tmp_path / "bases").symlink_to(tmp_path / "elsewhere")
    assert listed(tmp_path / "bases", BASE) == []
    assert listed(tmp_path / "missing", BASE) == []


def test_files_are_listed_where_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / ("a" * 64)).touch()
    (tmp_path / ("b" * 64)).mkdir()
    assert [entry.path.name for entry in listed(tmp_path, COMPILED, folders=False)] == ["a" * 64]


def test_hard_links_are_counted_once_as_du_does(shared_home: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-al", shared_home / "bases", tmp_path / "clone"], check=True)
    counted: set[tuple[int, int]] = set()
    folders = [shared_home / "wheels", shared_home / "bases", tmp_path / "clone"]
    measured = sum(measure(folder, counted).new for folder in folders)
    said = subprocess.run(["du", "-scB1", *folders], check=True, capture_output=True, text=True).stdout
    assert measured == int(said.splitlines()[-1].split()[0])


def test_what_goes_with_a_folder_is_what_nothing_else_shares(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own").write_bytes(b"x" * 100_000)
    (folder / "shared").write_bytes(b"x" * 900_000)
    os.link(folder / "shared", tmp_path / "elsewhere")
    size = measure(folder, set())
    assert 100_000 <= size.own < 200_000
    assert size.new >= 1_000_000


def test_links_are_measured_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * 1_000_000)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    assert measure(folder, set()).new < 100_000
    assert measure(folder / "link", set()).new < 100_000
    assert measure(folder / "missing", set()).new == 0


def test_distributions_are_known_by_the_name_that_an_index_has(tmp_path: Path) -> None:
    for name in ("Some_Thing-1.0.dist-info", "zope.interface-7.0.dist-info", "some_thing"):
        (tmp_path / "archive-v0" / "x" / name).mkdir(parents=True)
    assert held(tmp_path / "archive-v0" / "x") == {"some-thing", "zope-interface"}
    assert {name for name, _ in archives(tmp_path)} == {"some-thing", "zope-interface"}


def test_uv_keeps_what_it_unpacks_where_it_is_looked_for(shared_home: Path) -> None:
    assert {"cookiecutter", "jinja2", "pyyaml", "markupsafe"} <= {name for name, _ in archives(shared_home / "wheels")}
