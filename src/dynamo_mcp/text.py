"""What of a stranger's text may be shown? Visible characters, on one line, and so many."""

from __future__ import annotations

import unicodedata

DESCRIPTION_LENGTH = 500
"""Characters of a description that are kept."""

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
        for character in text
        if character.isspace()
        or (
            unicodedata.category(character) not in _REMOVED
            and not any(ord(character) in selectors for selectors in _SELECTORS)
        )
    )
    folded = " ".join(visible.split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 file` or `2 files`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
