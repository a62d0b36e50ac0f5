"""The probe tries what this machine can do; what it can't is said in words that lead on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dynamo_mcp.confining import Confining
from dynamo_mcp.errors import Refused
from dynamo_mcp.sandbox.tier import probe
from dynamo_mcp.sandbox.trust import Permission
from dynamo_mcp.settings import Settings, load
from dynamo_mcp.types import Confinement

pytestmark = pytest.mark.anyio

PYTHON = Path(sys.executable)


def settings(home: Path, path: str) -> Settings:
    return load({"PATH": path}, home=home)


def fake(folder: Path, script: str) -> Path:
    folder.mkdir()
    (folder / "bwrap").write_text(script)
    (folder / "bwrap").chmod(0o755)
    return folder


async def test_this_machine_confines_strongly(tmp_path: Path, kernel: dict[str, Any]) -> None:
    found = await probe(settings(tmp_path, "/usr/bin:/bin"), python=PYTHON)
    assert found.tier == "strong"
    assert found.mechanisms == ("bubblewrap", f"landlock-{kernel['landlock_abi']}", "seccomp")
    assert found.advice is None
    assert found.command is None
    assert "cgroup" in {part.name for part in found.primitives}
    there = [part.name for part in found.primitives if part.present and part.why and part.command is None]
    # Whether others may look into the folders of the tests, and who may make control groups, depends on who runs them.
    assert [name for name in there if name not in {"own user", "cgroup"}] == [
        "bubblewrap",
        "user namespaces",
        "landlock",
        "seccomp",
        "no_new_privs",
    ]


async def test_without_bubblewrap_the_tier_is_lower_and_it_is_said_how_to_get_it(
    tmp_path: Path, kernel: dict[str, Any]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("ID=debian\n")
    found = await probe(settings(tmp_path, str(tmp_path)), python=PYTHON, files=tmp_path)
    landlock = kernel["landlock_abi"] >= 3
    assert found.tier == ("reduced" if landlock else "none")
    assert found.mechanisms == ((f"landlock-{kernel['landlock_abi']}", "seccomp") if landlock else ())
    assert found.advice == "bubblewrap is not installed"
    assert found.command == "apt-get update && apt-get install -y bubblewrap"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n", "setting up uid map"),
        ("#!/bin/sh\nexit 7\n", "exit code 7"),
        ("#!/nowhere/at/all\n", "can't be started"),
        ("", "bwrap"),
    ],
    ids=["message", "silent", "no-interpreter", "empty"],
)
async def test_a_bubblewrap_that_fails_is_not_counted_and_its_words_are_kept(
    tmp_path: Path, script: str, said: str
) -> None:
    folder = fake(tmp_path / "bin", script)
    found = await probe(settings(tmp_path, str(folder)), python=PYTHON)
    assert found.tier in {"reduced", "none"}
    assert "bubblewrap" not in found.mechanisms
    assert found.advice is not None
    assert found.advice.startswith("bubblewrap is there but does not work: ")
    assert said in found.advice


async def test_a_python_that_cannot_answer_means_no_confinement(tmp_path: Path) -> None:
    found = await probe(settings(tmp_path, "/usr/bin:/bin"), python=Path("/bin/true"))
    assert found.tier == "none"
    assert found.mechanisms == ()
    assert found.advice is not None
    assert found.advice.startswith(
        "nothing could be tried, since `/bin/true` is no Python that runs: set `DYNAMO_MCP_PYTHON`"
    )


async def test_a_bubblewrap_that_runs_nothing_is_not_counted(tmp_path: Path) -> None:
    folder = fake(tmp_path / "bin", "#!/bin/sh\nexit 0\n")
    found = await probe(settings(tmp_path, str(folder)), python=PYTHON)
    assert found.tier != "strong"


def only_with_bubblewrap(found: Confinement) -> Permission:
    if found.backend != "bubblewrap":
        raise Refused("there is none", hint="bring it")
    return Permission("contained", confined=True, tier=found.tier)


async def test_what_a_person_has_mended_counts_without_a_new_server(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir(mode=0o700)  # nor can a user of their own run root's jobs
    chosen = settings(tmp_path / "home", str(tmp_path / "bin"))
    at_once, later = Confining(chosen, again_seconds=0), Confining(chosen)
    for each in (at_once, later):
        with pytest.raises(Refused):
            await each.permitted(only_with_bubblewrap)
    (tmp_path / "bin" / "bwrap").symlink_to("/usr/bin/bwrap")
    assert (await at_once.permitted(only_with_bubblewrap)).tier == "strong"
    with pytest.raises(Refused):
        await later.permitted(only_with_bubblewrap)
