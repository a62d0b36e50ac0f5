"""Which executables that a template calls are here, where a job looks for them?"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynamo_mcp.executables import look
from dynamo_mcp.settings import Settings, load
from dynamo_mcp.types import Executable, Location, Needs, Template, Trust


def _look(
    tmp_path: Path,
    name: str,
    trust: Trust = "contained",
    settings: Settings | None = None,
    grants: tuple[str, ...] = (),
) -> Executable:
    needs = Needs(executables=(Executable(name, "hooks/x"),))
    template = Template(
        "t", "", Location("local", "/x"), path=tmp_path, checkout=tmp_path, digest="", last_updated="", needs=needs,
        trust=trust, grants=grants,
    )  # fmt: skip
    (told,) = look(template, tmp_path / "environment", settings or load({}, home=tmp_path / "home"))
    return told


def _put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_what_the_machine_has_is_present_and_needs_no_hint(tmp_path: Path) -> None:
    assert _look(tmp_path, "sh") == Executable("sh", "hooks/x", present=True)


def test_what_is_nowhere_is_absent_with_a_hint(tmp_path: Path) -> None:
    told = _look(tmp_path, "no-such-executable")
    assert told.present is False
    assert told.hint == "install it where jobs look: /usr/local/bin, /usr/bin, /bin"


def test_what_comes_as_a_package_is_named_as_the_requirement_that_brings_it(tmp_path: Path) -> None:
    told = _look(tmp_path, "pip-compile")
    assert told.present is False
    assert (told.hint or "").startswith("add the template with the requirement `pip-tools`")


def test_what_the_environment_has_is_present_as_soon_as_it_is_there(tmp_path: Path) -> None:
    assert not _look(tmp_path, "pip-compile").present
    _put(tmp_path / "environment" / "bin" / "pip-compile")
    assert _look(tmp_path, "pip-compile").present


@pytest.mark.parametrize("trust", ["contained", "full"])
def test_an_executable_of_the_operators_own_is_there_for_full_trust_alone(trust: Trust, tmp_path: Path) -> None:
    mine = _put(tmp_path / "mine" / "my-tool")
    settings = msgspec.structs.replace(load({}, home=tmp_path / "home"), search_path=str(mine.parent))
    assert _look(tmp_path, "my-tool", trust, settings).present is (trust == "full")
    if trust == "full":
        assert _look(tmp_path, "other-tool", trust, settings).hint == "install it on this machine"


def test_a_link_that_leads_out_of_what_a_job_sees_is_absent(tmp_path: Path) -> None:
    mine = _put(tmp_path / "mine" / "linked")
    link = tmp_path / "environment" / "bin" / "linked"
    link.parent.mkdir(parents=True)
    link.symlink_to(mine)
    assert not _look(tmp_path, "linked").present


def test_what_a_person_has_elsewhere_is_absent_with_the_grant_that_gives_it_and_present_with_that(
    tmp_path: Path,
) -> None:
    tool = _put(tmp_path / "mine" / "my-tool-1")
    link = tmp_path / "mine" / "my-tool"
    link.symlink_to(tool)
    settings = msgspec.structs.replace(load({}, home=tmp_path / "home"), search_path=str(link.parent))
    told = _look(tmp_path, "my-tool", "contained", settings, grants=("network",))
    assert told.present is False
    command = "dynamo-mcp trust t contained --grant network --grant executable:my-tool"
    assert (told.hint or "").startswith(f"grant the one on your `PATH`: `{command}`, or install it")
    assert _look(tmp_path, "my-tool", "contained", settings, grants=(f"executable:{link}",)).present
    _put(tmp_path / "mine" / "beside")
    assert not _look(tmp_path, "beside", "contained", settings, grants=(f"executable:{link}",)).present
