"""What does a command, given as words or as a piece of shell, call? Roughly: the first words, and what those run."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

import msgspec

from dynamo_mcp.effort import Effort
from dynamo_mcp.template_code import STAND_IN

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_PYTHONS = re.compile(r"python[0-9.]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_SEPARATORS = re.compile(r"\|\||&&|[;|&\n]|\$\(|`|\(|\)")
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
# A stranger's text may be all blanks: no blank is looked at twice.
_OWN = re.compile(r"^[ \t]*+(?:function[ \t]++)?([\w-]++)[ \t]*+\(\)", re.MULTILINE)
_PREFIXES = frozenset(
    {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "sudo", "exec", "command", "nohup"}
    | {"builtin", "eval", "xargs", "env", "nice"}
)
_BUILTINS = frozenset(
    {"fi", "done", "esac", "}", "[", "[[", "test", "cd", "echo", "printf", "export", "set", "unset", "exit", "return"}
    | {"read", "source", ".", ":", "true", "false", "local", "declare", "readonly", "shift", "trap", "wait", "pwd"}
    | {"alias", "type", "umask", "ulimit", "break", "continue", "for", "case", "select", "function", "in", "let"}
    | {"hash", "pushd", "popd", "shopt"}
)
_DEPTH = 8
_LONG_ROW = 1 << 14
"""Characters; `shlex` copies a word for each character of it."""
_ROW_STEPS = 10
"""What a row costs however short it is."""


class Call(msgspec.Struct, frozen=True):
    """One executable that is called: its name, the words after it, and the line, from 1."""

    name: str
    words: tuple[str, ...]
    line: int


def of_words(words: list[str], line: int, effort: Effort, depth: int = _DEPTH) -> Iterator[Call]:
    """Yield what a command calls: itself, and what it runs for its part.

    Args:
        words: Its words, of which the first names it.
        line: Where it stands.
        effort: What may be spent.
        depth: How often it may run another for its part.

    Raises:
        Exhausted: It was spent.
    """
    effort.spend(1 + len(words))
    first = 0
    while first < len(words) and _precedes(words[first]):
        if words[first : first + 2] == ["command", "-v"]:
            return  # a question, not a call
        first += 1
        while first < len(words) and words[first].startswith("-"):
            first += 1
    words = words[first:]
    if not words or depth == 0:
        return
    # A path that is not absolute is a file of the project.
    name = words[0].rpartition("/")[2] if words[0].startswith("/") else words[0]
    rest = tuple(words[1:])
    if not _NAME.fullmatch(name) or STAND_IN in name or name in _BUILTINS:
        return
    if _PYTHONS.fullmatch(name) and rest[:1] == ("-m",):
        # A module that is run is what its package's executable runs.
        if len(rest) > 1 and rest[1] not in sys.stdlib_module_names:
            yield from of_words([rest[1].replace("_", "-"), *rest[2:]], line, effort, depth - 1)
        return
    yield Call(name, rest, line)
    if name in SHELLS and "-c" in rest[:-1]:
        yield from of_shell(rest[rest.index("-c") + 1], line, effort, each_line=False, depth=depth - 1)


def _precedes(word: str) -> bool:
    """Tell whether a word stands before the name of a command."""
    return word in _PREFIXES or bool(_ASSIGNMENT.match(word)) or word.rpartition("/")[2] == "env"


def of_shell(text: str, line: int, effort: Effort, *, each_line: bool = True, depth: int = _DEPTH) -> Iterator[Call]:
    """Yield what a piece of shell calls, roughly: the first words of its commands.

    Args:
        text: The code.
        line: The number of its first line.
        effort: What may be spent.
        each_line: It is a file; otherwise all of it stands at `line`.
        depth: How often a shell may be called by a shell.

    Raises:
        Exhausted: It was spent.
    """
    until = before = ""
    begun = 0
    own = set(_OWN.findall(text))
    for offset, end in enumerate(text.split("\n")):
        if until:
            until = "" if end.strip() == until else until
            continue
        begun = begun if before else offset
        row = before + end
        if end.endswith("\\"):
            before = row[:-1] + " "
            continue
        before = ""
        if not row or row.isspace():
            continue
        effort.spend(_ROW_STEPS + len(row) * (1 + len(row) // _LONG_ROW))
        here = _HERE.search(row)
        until = here[2] if here else ""
        for words in _commands(row):
            for call in of_words(words, line + (begun if each_line else 0), effort, depth):
                if call.name not in own:
                    yield call


def _commands(row: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(row, posix=True, punctuation_chars=";|&()`\n")
    lexer.whitespace_split = True
    words: list[str] = []
    open_ = 0
    try:
        for word in lexer:
            if _SEPARATORS.match(word):
                open_ += word.count("(") - word.count(")")
                # `name)` begins a branch of a `case`.
                yield [] if open_ < 0 else words
                open_ = max(0, open_)
                words = []
            else:
                words.append(word)
    except ValueError:  # a quotation that ends on another line
        pass
    yield words
