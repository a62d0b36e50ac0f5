"""What of a stranger's text may be shown? Visible characters and so many, on one line or on lines that are marked."""

from __future__ import annotations

import json
import unicodedata

DESCRIPTION_LENGTH = 500
"""Characters of a description that are kept."""

_READ = 16
"""How many times the limit is read of a text: of megabytes, every character would be looked at."""
_REMOVED = {"Cc", "Cf", "Cn", "Co", "Cs"}
# Variation selectors are marks, not format characters, but as invisible, and can carry hidden text.
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def plain(text: str, limit: int = DESCRIPTION_LENGTH) -> str:
    """Make text of a template's author safe for one line of a description.

    Control, bidirectional, zero-width and other invisible characters are removed and white space is folded.

    Args:
        text: What the author wrote.
        limit: Characters that are left at most; what is cut off is marked by an ellipsis.
    """
    visible = "".join(
        " " if character.isspace() else character
        for character in text[: _READ * limit]
        if character.isspace()
        or (
            unicodedata.category(character) not in _REMOVED
            and not any(ord(character) in selectors for selectors in _SELECTORS)
        )
    )
    folded = " ".join(visible.split())
    whole = len(folded) <= limit and len(text) <= _READ * limit
    return folded if whole else folded[: limit - 1] + "…"


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
    if any(ord(character) in selectors for selectors in _SELECTORS):
        return ""
    return character if character.isprintable() else character.encode("unicode_escape").decode()
