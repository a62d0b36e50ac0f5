"""How is a stranger's text shown? On one plain line of a bounded length."""

from __future__ import annotations

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
