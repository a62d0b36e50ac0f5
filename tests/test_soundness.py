"""Is an environment whole, also when it changes between two looks?"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from dynamo_mcp import soundness
from dynamo_mcp.soundness import SETTLED_NANOSECONDS, Marker, Soundness
from dynamo_mcp.spares import MARKER

LONG_AGO = 1_000_000_000 * 10**9


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment that was made long ago."""
    made = tmp_path / "environment"
    packages = made / "lib" / "python3.13" / "site-packages"
    for folder in (packages / "jinja2", packages / "jinja2-3.1.6.dist-info", made / "bin"):
        folder.mkdir(parents=True)
    (tmp_path / "python").write_text("")
    (made / "bin" / "python").symlink_to(tmp_path / "python")
    (made / MARKER).write_bytes(msgspec.json.encode(soundness.survey(made, "key")))
    for path in (packages, made / MARKER):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return made


def packages(environment: Path) -> Path:
    return environment / "lib" / "python3.13" / "site-packages"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was looked at, one by one."""
    found: list[Path] = []
    really = soundness.health

    def health(environment: Path) -> str | None:
        found.append(environment)
        return really(environment)

    monkeypatch.setattr(soundness, "health", health)
    return found


def test_a_whole_environment_says_what_it_holds_and_is_looked_at_once(environment: Path, looked: list[Path]) -> None:
    sound = Soundness()
    expected = Marker("key", ("jinja2==3.1.6",), ("jinja2", "jinja2-3.1.6.dist-info"))
    assert [sound.whole(environment) for _ in range(3)] == [expected] * 3
    assert looked == [environment]


def test_what_vanishes_from_it_is_seen_and_so_is_what_comes_back(environment: Path) -> None:
    sound = Soundness()
    assert sound.whole(environment)
    (packages(environment) / "jinja2").rmdir()
    assert sound.whole(environment) is None
    (packages(environment) / "jinja2").mkdir()
    assert sound.whole(environment)


def test_an_environment_that_is_gone_or_has_no_python_or_no_marker_is_not_whole(environment: Path) -> None:
    sound = Soundness()
    assert sound.whole(environment)
    (environment / "bin" / "python").resolve().unlink()
    assert sound.whole(environment) is None
    (environment / "bin" / "python").readlink().write_text("")
    assert sound.whole(environment)
    (environment / MARKER).unlink()
    assert sound.whole(environment) is None
    shutil.rmtree(environment)
    assert sound.whole(environment) is None


def test_another_environment_in_its_place_is_looked_at(environment: Path, looked: list[Path]) -> None:
    sound = Soundness()
    assert sound.whole(environment)
    other = environment.with_name("other")
    shutil.copytree(environment, other, symlinks=True)
    (packages(other) / "jinja2").rmdir()
    for path in (packages(other), other / MARKER):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    environment.rename(environment.with_name("old"))
    other.rename(environment)
    assert sound.whole(environment) is None
    assert looked == [environment] * 2


def test_what_has_changed_a_moment_ago_is_looked_at_again(environment: Path, looked: list[Path]) -> None:
    now = time.time_ns()
    os.utime(packages(environment), ns=(now, now))
    sound = Soundness(lambda: now + SETTLED_NANOSECONDS)
    assert sound.whole(environment)
    assert sound.whole(environment)
    assert looked == [environment] * 2


def test_of_more_environments_than_are_kept_those_that_were_seen_first_are_looked_at_again(
    environment: Path, looked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness, "MOST", 2)
    others = [environment.with_name(f"other-{number}") for number in range(2)]
    for other in others:
        shutil.copytree(environment, other, symlinks=True)
        for path in (packages(other), other / MARKER):
            os.utime(path, ns=(LONG_AGO, LONG_AGO))
    sound = Soundness()
    for each in (environment, *others):
        assert sound.whole(each)
    looked.clear()
    assert sound.whole(others[0])
    assert looked == []
    assert sound.whole(environment)
    assert looked == [environment]
