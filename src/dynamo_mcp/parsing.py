"""What does the text of a `cookiecutter.json` hold, and on which line? It is parsed as plain JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from dynamo_mcp.errors import InvalidTemplate
from dynamo_mcp.problems import kind_of, shown

CONFIGURATION = "cookiecutter.json"
DEPTH = 64
MEND = "mend the template, or, where it is in a repository, add an older revision of it with `checkout`"

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+')
_OPENING = re.compile(r"[\s{]*")
_TO_VALUE = re.compile(r"[\s:]*")
_TO_NAME = re.compile(r"[\s,]*")


def parse(content: bytes) -> dict[str, Any]:
    """Parse a `cookiecutter.json`, as cookiecutter does.

    Raises:
        InvalidTemplate: It is no JSON object; the message says where.
    """
    text = ""
    try:
        text = content.decode("utf-8")
        configuration = json.loads(text, parse_constant=_refuse, parse_float=_number, parse_int=_whole)
        _measure(configuration)
    except _NoNumber as error:
        told = f"`{shown(error.word)}` is no number that can be used"
        raise invalid(f"`{CONFIGURATION}`, {_place(text, error.word)}: {told}") from error
    except UnicodeDecodeError as error:
        raise invalid(f"`{CONFIGURATION}` is not UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        said = "it begins with a byte order mark, save it without" if text.startswith("\ufeff") else error.msg
        raise invalid(f"`{CONFIGURATION}`, line {error.lineno}, column {error.colno}: {said}") from error
    except RecursionError as error:
        raise invalid(f"`{CONFIGURATION}` is nested too deeply") from error
    if not isinstance(configuration, dict):
        raise invalid(f"`{CONFIGURATION}` holds {kind_of(configuration)}, not an object")
    for name, value in configuration.items():
        try:
            json.dumps({name: value}, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            told = f"`{shown(name)}` holds half of a surrogate pair, which no file can hold"
            raise invalid(told, lines_of(text).get(name)) from error
    return configuration


def lines_of(text: str) -> dict[str, int]:
    """Return the line, from 1, of each name in the text of an object.

    Of a name that is there twice it is the one that counts.

    Args:
        text: Of valid JSON.
    """
    decoder = json.JSONDecoder()
    lines: dict[str, int] = {}
    line = 1
    counted = 0
    position = _after(_OPENING, text, 0)
    while text[position] == '"':
        line += text.count("\n", counted, position)
        counted = position
        name, end = decoder.raw_decode(text, position)
        lines[name] = line
        _, end = decoder.raw_decode(text, _after(_TO_VALUE, text, end))
        position = _after(_TO_NAME, text, end)
    return lines


def invalid(message: str, line: int | None = None) -> InvalidTemplate:
    """Return the error for a `cookiecutter.json` that must be mended, at a line where one is known."""
    told = message if line is None else f"`{CONFIGURATION}`, line {line}: {message}"
    return InvalidTemplate(told, hint=MEND)


class _NoNumber(Exception):
    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word


def _refuse(word: str) -> None:
    raise _NoNumber(word)


def _number(word: str) -> float:
    number = float(word)
    if math.isinf(number):
        raise _NoNumber(word)
    return number


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError as error:  # Python reads none of thousands of digits
        raise _NoNumber(word) from error


def _measure(value: Any) -> None:
    """Refuse what is nested so deeply that nothing could be done with it."""
    level = [value]
    for _ in range(DEPTH):
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise RecursionError


def _place(text: str, word: str) -> str:
    """Return where a token that begins with a word stands first; there is one."""
    start = next(token.start() for token in _TOKEN.finditer(text) if token[0].startswith(word))
    return f"line {text.count(chr(10), 0, start) + 1}, column {start - text.rfind(chr(10), 0, start)}"


def _after(between: re.Pattern[str], text: str, position: int) -> int:
    found = between.match(text, position)
    return found.end() if found else position
