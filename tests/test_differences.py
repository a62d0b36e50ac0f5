"""A diff that turns one text into the other, and that ends."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some

from dynamo_mcp.differences import SECONDS, Differences, decode

MODES = (0o100644, 0o100644)
texts = some.lists(some.sampled_from(["a\n", "b\n", "c\n", " \n", "\u2028\r\n"]), max_size=30).map("".join)


def diff(before: str, after: str, limit: int = 1 << 20) -> Differences:
    differences = Differences(limit)
    differences.add("f", before, after, MODES)
    return differences


@given(texts, texts, some.sampled_from(["", "end"]), some.sampled_from(["", "end"]))
def test_applying_a_diff_gives_the_other_text(before: str, after: str, old_end: str, new_end: str) -> None:
    old, new = before + old_end, after + new_end
    lines = [line + "\n" for line in diff(old, new).text.split("\n")[:-1]]
    assert _patched(old, lines) == new


def _patched(before: str, lines: list[str]) -> str:
    """Apply a unified diff, checking every line of it against the text."""
    old = before.split("\n")
    old = [line + "\n" for line in old[:-1]] + ([old[-1]] if old[-1] else [])
    made: list[str] = []
    place = 0
    for index, line in enumerate(lines):
        if line.startswith(("diff ", "--- a/", "+++ b/", "\\")):
            continue
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            begin = int(start) - (0 if length == "0" else 1)
            made += old[place:begin]
            place = begin
            continue
        bare = line[1:].removesuffix("\n") if index + 1 < len(lines) and lines[index + 1][0] == "\\" else line[1:]
        if line[0] != "+":
            assert old[place] == bare
            place += 1
        if line[0] != "-":
            made.append(bare)
    return "".join(made + old[place:])


def test_a_diff_is_one_that_git_applies(tmp_path: Path) -> None:
    before = "".join(f"line {number}\n" for number in range(100)) + "end"
    after = before.replace("line 3\n", "").replace("line 50\n", "line 50\nmore\n").replace("end", "End\n")
    (tmp_path / "f").write_text(before)
    patch = diff(before, after).text.replace("diff a/f b/f\n", "diff --git a/f b/f\n")
    subprocess.run(["git", "apply", "-"], input=patch.encode(), cwd=tmp_path, check=True, timeout=20)
    assert (tmp_path / "f").read_text() == after


def test_texts_of_few_different_lines_do_not_take_long() -> None:
    before = "".join("ab"[number % 2] + "\n" for number in range(200_000))
    after = "".join("ba"[number % 3 % 2] + "\n" for number in range(200_000))
    started = time.monotonic()
    assert diff(before, after, 10 << 20).cut is False
    assert time.monotonic() - started < SECONDS * 2


def test_a_long_diff_is_cut_at_the_end_of_a_line_and_nothing_follows() -> None:
    differences = Differences(200)
    differences.add("f", "x\n" * 500, "y\n" * 500, MODES)
    differences.add("g", "a\n", "b\n", MODES)
    assert differences.cut
    assert len(differences.text.encode()) <= 200
    assert differences.text.endswith("-x\n")
    assert "b/g" not in differences.text


def test_bytes_that_are_no_text_are_told_from_a_text_that_was_cut() -> None:
    assert decode(b"a\0b") is None
    assert decode(b"\xe9\n") is None
    assert decode("aé".encode()[:-1]) == "a"
