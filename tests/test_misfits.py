"""How is it told what of a file does not have its form?"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from dynamo_mcp.misfits import misfit


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]
    tags: tuple[Annotated[str, msgspec.Meta(max_length=3)], ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    items: tuple[_Item, ...] = ()


ALLOWED = {"version": "1", "items": "a list", "name": "small letters", "tags": "short words"}


def _told(content: Any) -> str:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(content, _File)
    return misfit(error.value, content, ALLOWED)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "`version` is missing; it is 1"),
        ({"version": "x"}, "`version` is `x`; it is 1"),
        ({"version": 1, "itmes": []}, "`itmes` is not known; did you mean `items`?"),
        ({"version": 1, "zzz": []}, "`zzz` is not known; known are `version`, `items`, `name`, `tags`"),
        ({"version": 1, "items": 3}, "`items` is `3`; it is a list"),
        ({"version": 1, "items": [{}]}, "`name` of `items[0]` is missing; it is small letters"),
        ({"version": 1, "items": [{"name": "a"}, {"name": "A\x1bB"}]}, "`items[1].name` is `AB`; it is small letters"),
        ({"version": 1, "items": [{"name": "a", "nam": 1}]}, "`nam` of `items[0]` is not known; did you mean `name`?"),
        ({"version": 1, "items": [{"name": "a", "tags": ["long"]}]}, "`items[0].tags[0]` is `long`; it is short words"),
        ({"version": 1, "items": [{"name": None}]}, "`items[0].name` is `null`; it is small letters"),
        ({"version": 1, "items": [[]]}, "Expected `object`, got `array`, at `items[0]`"),
        ([], "Expected `object`, got `array`"),
    ],
    ids=range(12),
)  # fmt: skip
def test_it_is_told_with_the_place_what_is_there_and_what_may_be(content: Any, said: str) -> None:
    assert _told(content) == said


def test_a_long_value_is_cut_off() -> None:
    assert len(_told({"version": 1, "items": [{"name": "X" * 10_000}]})) < 200
