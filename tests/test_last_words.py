"""What had a hook printed that was ended? Its end, whatever the hook has made of the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynamo_mcp.last_words import MORE, PRINTED, printed

KEPT_BYTES = 1000


def test_what_was_printed_is_told_as_well_as_it_can_be(tmp_path: Path) -> None:
    (tmp_path / PRINTED).write_bytes(b"caf\xe9\n")
    assert printed(tmp_path, KEPT_BYTES) == "caf\ufffd\n"


def test_of_much_the_end_is_told_and_how_much_is_left_out(tmp_path: Path) -> None:
    (tmp_path / PRINTED).write_bytes(b"x" * KEPT_BYTES + b"the end")
    first, _, rest = (printed(tmp_path, KEPT_BYTES) or "").partition("\n")
    assert first == f"[7 bytes left out: {MORE}]"
    assert len(rest) == KEPT_BYTES
    assert rest.endswith("xthe end")


def test_a_file_that_only_looks_large_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / PRINTED).open("wb") as file:
        file.truncate(1 << 40)
    assert printed(tmp_path, KEPT_BYTES) == f"[{(1 << 40) - KEPT_BYTES} bytes left out: {MORE}]\n" + "\0" * KEPT_BYTES


@pytest.mark.parametrize("kind", ["nothing", "a link", "a folder", "a pipe", "a linked folder", "no folder"])
def test_where_there_is_no_such_file_nothing_is_told(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text("a secret")
    temporary = tmp_path / "temporary"
    if kind == "a linked folder":
        (tmp_path / PRINTED).write_text("a secret")
        temporary.symlink_to(tmp_path)
    elif kind != "no folder":
        temporary.mkdir()
    match kind:
        case "a link":
            (temporary / PRINTED).symlink_to(tmp_path / "secret")
        case "a folder":
            (temporary / PRINTED).mkdir()
        case "a pipe":
            os.mkfifo(temporary / PRINTED)
    assert printed(temporary, KEPT_BYTES) is None
