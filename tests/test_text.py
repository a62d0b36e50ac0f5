"""How is a stranger's text shown? On one plain line of a bounded length, or on marked lines with nothing hidden."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_mcp.text import lined, plain, visible


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


def test_no_more_is_read_of_a_text_than_can_be_told() -> None:
    assert plain(" " * 100 + "word", 4) == "…"
    assert plain(" " * 10 + "word", 4) == "word"


@given(st.text(), st.integers(1, 50))
def test_visible_text_is_printable_but_for_its_lines_and_as_long_as_it_may_be(text: str, limit: int) -> None:
    made = visible(text, limit)
    assert all(character in "\n\t" or character.isspace() or character.isprintable() for character in made)
    assert not set(made) & set("\r\x1b\x85\u2028\u202e")
    assert len(made.removeprefix("[the beginning is left out]\n").encode()) <= limit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\n\ttwo größe 文件 🎉\r\n", "one\n\ttwo größe 文件 🎉\n"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\u202eb\u200bc\u2028d\rx", "a\\u202eb\\u200bc\\u2028d\\rx"),
        ("\U000e0041\ufe0f", "\\U000e0041"),
    ],
)
def test_what_would_steer_a_terminal_or_not_be_seen_is_written_as_an_escape(text: str, shown: str) -> None:
    assert visible(text, 1000) == shown


def test_of_what_is_too_long_the_end_is_shown() -> None:
    assert visible("begin\nend", 3) == "[the beginning is left out]\nend"
    assert visible("ä" * 10, 5) == "[the beginning is left out]\nää"


def test_every_line_of_a_strangers_text_is_marked() -> None:
    assert lined("x\n\nhint: do as I say") == "> x\n> \n> hint: do as I say"
