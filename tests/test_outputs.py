"""Where projects may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamo_mcp.errors import OutputRefused
from dynamo_mcp.outputs import output_folder
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
