"""How is a stranger's text shown? On one plain line of a bounded length."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_mcp.text import plain


@given(st.text(), st.integers(1, 50))
def test_plain_text_is_one_printable_line_of_a_bounded_length(text: str, limit: int) -> None:
    made = plain(text, limit)
    assert made.isprintable()
    assert len(made) <= limit
    assert plain(made, limit) == made


@pytest.mark.parametrize("text", ["What is it?", "größe 文件 🎉", 'it\'s "quoted" {{ and }} `ticked`'])
def test_what_is_plain_already_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_what_is_cut_off_ends_with_a_mark() -> None:
    assert plain("abcdef", 4) == "abc…"
    assert plain("\0" * 1000 + "a", 4) == "…"
    assert plain("a b" + "\u200b" * 1000 + "c", 4) == "a b…"


class Whole(str):
    """A text of which only a part may be walked."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the whole text is walked")


@pytest.mark.parametrize("character", ["\n", "\u200b"])
def test_however_long_a_text_is_only_a_part_of_it_is_looked_at(character: str) -> None:
    assert plain(Whole(character * 1000), 10).endswith("…")
