"""What of a stranger's text may be shown? Visible characters and so many, on one line or on lines that are marked."""

from __future__ import annotations

import json
import re
import unicodedata

DESCRIPTION_LENGTH = 500
"""Characters of a description that are kept."""

_LOOKED_AT = 4
"""Characters that are looked at for each that may be shown: a stranger's text may be of any length."""
_REMOVED = {"Cc", "Cf", "Cn", "Co", "Cs"}
# Variation selectors are marks, not format characters, but as invisible, and can carry hidden text.
_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def plain(text: str, limit: int = DESCRIPTION_LENGTH) -> str:
    """Make text of a template's author safe for one line of a description.

    Control, bidirectional, zero-width and other invisible characters are removed and white space is folded.

    Args:
        text: What the author wrote.
        limit: Characters that are left at most; what is cut off is marked by an ellipsis.
    """
    beginning = text[: _LOOKED_AT * limit]
    visible = _SELECTORS.sub("", beginning)
    if not visible.isprintable():
        visible = "".join(
            " " if character.isspace() else character
            for character in visible
            if character.isspace() or unicodedata.category(character) not in _REMOVED
        )
    folded = " ".join(visible.split())
    whole = len(folded) <= limit and len(text) <= len(beginning)
    return folded if whole else folded[: limit - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 file` or `2 files`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def quoted(text: str, limit: int) -> str:
    """Return `plain` text in double quotes that it can't close: as a JSON string."""
    return json.dumps(plain(text, limit), ensure_ascii=False)


def visible(text: str, limit: int) -> str:
    """Return a text of several lines with what would not be seen of it, or would steer a terminal, written as escapes.

    Args:
        text: What a program printed.
        limit: Bytes that are left at most, its last ones; that it was cut is said in a line before them.
    """
    lines = text[-limit:].replace("\r\n", "\n")
    shown = "".join(map(_visible, lines)).encode()
    if len(text) <= limit and len(shown) <= limit:
        return shown.decode()
    return "[the beginning is left out]\n" + shown[-limit:].decode("utf-8", "ignore")


def lined(text: str) -> str:
    """Mark each line of a text, so that none can be mistaken for one of ours."""
    return "\n".join(f"> {line}" for line in text.split("\n"))


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    if _SELECTORS.match(character):
        return ""
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def folded(name: str) -> str:
    """Return what names have in common that a disk may take for one: case, and how letters are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
