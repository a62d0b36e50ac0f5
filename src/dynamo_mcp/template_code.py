"""What Python is in a template's file? Its Jinja is set aside, then it is parsed; nothing is evaluated."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from typing import Any

import msgspec

STAND_IN = "jinja_value"
"""The name that stands where Jinja prints something."""

_KEYS = ("comment_start_string", "block_start_string", "variable_start_string")
_LONGEST_MARK = 100
_WORD = re.compile(r"[-+]?\s*(\w+)")
_CONDITIONS = {"if": 1, "for": 1, "endif": -1, "endfor": -1}
# `ast.parse` warns of a stranger's strings; filters of warnings belong to the whole process.
_quiet = threading.Lock()


class Marks(msgspec.Struct, frozen=True):
    """What begins and ends Jinja, each a pair: comments, blocks, variables."""

    comment: tuple[str, str] = ("{#", "#}")
    block: tuple[str, str] = ("{%", "%}")
    variable: tuple[str, str] = ("{{", "}}")


class Code(msgspec.Struct, frozen=True):
    """A file's text without its Jinja.

    Attributes:
        text: As many lines as the file has.
        conditional: The lines, from 1, that Jinja may leave out.
    """

    text: str
    conditional: frozenset[int]


def marks_of(configuration: dict[str, Any]) -> Marks:
    """Return the marks that a parsed `cookiecutter.json` chooses (`_jinja2_env_vars`)."""
    chosen = configuration.get("_jinja2_env_vars")
    chosen = chosen if isinstance(chosen, dict) else {}
    pairs = []
    for key, usual in zip(_KEYS, (Marks().comment, Marks().block, Marks().variable), strict=True):
        pair = (chosen.get(key, usual[0]), chosen.get(key.replace("_start_", "_end_"), usual[1]))
        pairs.append(pair if all(isinstance(mark, str) and _marks(mark) for mark in pair) else usual)
    return Marks(*pairs)


def _marks(mark: str) -> bool:
    """Tell whether a mark is one that a person would choose; to look for any other could take minutes."""
    return 0 < len(mark) <= _LONGEST_MARK and not mark.isspace()


def python_of(text: str, marks: Marks) -> Code:
    """Set Jinja aside as `set_aside` does; of branches on one line only the first stays where all are no Python."""
    code = set_aside(text, marks)
    if parse(code.text) is not None:
        return code
    first = set_aside(text, marks, first=True)
    return first if parse(first.text) is not None else code


def set_aside(text: str, marks: Marks, *, first: bool = False) -> Code:
    """Replace what Jinja prints by a name, and take its blocks and comments away; lines keep their numbers.

    What is begun and never ended is left as it stands: whoever parses the text will see.

    Args:
        text: A file's.
        marks: What begins and ends Jinja.
        first: Of an `if` whose other branches end on the line that they begin on, keep the first branch only.
    """
    ends = dict((marks.comment, marks.block, marks.variable))
    # A longer mark may begin like a shorter one.
    begins = re.compile("|".join(re.escape(mark) for mark in sorted(ends, key=len, reverse=True)))
    raw_end = re.compile(re.escape(marks.block[0]) + r"[-+]?\s*endraw\b")
    if_end = re.compile(re.escape(marks.block[0]) + r"[-+]?\s*endif\b")
    # What was looked for once and is not there is not looked for again.
    raw_ends = True
    without_end = 0
    pieces: list[str] = []
    conditional: set[int] = set()
    position = depth = 0
    line = 1

    def keep(piece: str) -> None:
        nonlocal line
        last = line + piece.count("\n")
        if depth > 0:
            conditional.update(range(line, last + 1))
        line = last
        pieces.append(piece)

    while found := begins.search(text, position):
        mark = found.group()
        end = text.find(ends[mark], found.end())
        keep(text[position : found.start()])
        if end < 0:
            position = found.start()
            break
        inside = text[found.end() : end]
        position = end + len(ends[mark])
        keep(STAND_IN if mark == marks.variable[0] else "\n" * inside.count("\n"))
        if mark != marks.block[0]:
            continue
        word = _WORD.match(inside.strip())
        name = word[1] if word else ""
        depth = max(0, depth + _CONDITIONS.get(name, 0))
        if name == "raw" and raw_ends:
            raw = raw_end.search(text, position)
            raw_ends = raw is not None
            if raw is not None:
                keep(text[position : raw.start()])
                position = raw.start()
        if first and name in {"else", "elif"} and position >= without_end:
            row_end = text.find("\n", position)
            row_end = len(text) if row_end < 0 else row_end
            rest = if_end.search(text, position, row_end)
            if rest is not None:
                position = rest.start()
            else:
                without_end = row_end
    keep(text[position:])
    return Code("".join(pieces), frozenset(conditional))


def parse(text: str) -> ast.Module | None:
    """Return the syntax tree of Python code, or None where there is none."""
    try:
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
