"""Which executables does a script call, and does it reach for the network? As far as its text says so."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator

import msgspec

from dynamo_mcp.scripts import Script
from dynamo_mcp.template_code import STAND_IN, parse

RUNNERS = {"run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"}
"""Of `subprocess`."""
SYSTEM = {"system", "popen", "execvp", "execlp", "spawnvp", "spawnlp"}
"""Of `os`."""

NETWORK: dict[str, frozenset[str] | None] = {
    "curl": None,
    "wget": None,
    "ssh": None,
    "scp": None,
    "rsync": None,
    "gh": None,
    "npx": None,
    "uvx": None,
    "pipx": None,
    "git": frozenset({"clone", "push", "pull", "fetch", "submodule", "ls-remote"}),
    "pip": frozenset({"install", "download", "wheel"}),
    "pip3": frozenset({"install", "download", "wheel"}),
    "uv": frozenset({"sync", "add", "lock", "pip", "tool", "run"}),
    "poetry": frozenset({"install", "add", "lock", "update"}),
    "pdm": frozenset({"install", "add", "lock", "update", "sync"}),
    "pipenv": frozenset({"install", "lock", "update", "sync"}),
    "hatch": frozenset({"env", "run"}),
    "npm": frozenset({"install", "i", "ci", "update", "create", "init"}),
    "yarn": frozenset({"install", "add", "create"}),
    "pnpm": frozenset({"install", "i", "add", "create"}),
    "bun": frozenset({"install", "add", "create"}),
    "conda": frozenset({"create", "install", "env", "update"}),
    "mamba": frozenset({"create", "install", "env", "update"}),
    "cargo": frozenset({"install", "add", "fetch", "build", "update"}),
    "go": frozenset({"get", "mod", "install"}),
    "bundle": frozenset({"install", "update"}),
    "gem": frozenset({"install"}),
    "composer": frozenset({"install", "require", "update", "create-project"}),
    "apt": frozenset({"update", "install", "upgrade"}),
    "apt-get": frozenset({"update", "install", "upgrade"}),
    "brew": frozenset({"update", "install", "upgrade"}),
    "docker": frozenset({"pull", "push", "build", "run", "compose"}),
    "pre-commit": frozenset({"run", "autoupdate", "install-hooks", "--install-hooks"}),
    "prek": frozenset({"run", "auto-update", "install-hooks", "--install-hooks"}),
}
"""What reaches for the network: always, or with one of these words."""

NETWORK_MODULES = frozenset(
    {"requests", "httpx", "aiohttp", "urllib3", "socket", "ftplib", "smtplib", "paramiko", "github", "gitlab", "boto3"}
    | {"urllib.request", "http.client", "pygithub", "ghapi"}
)

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_PYTHONS = re.compile(r"python[0-9.]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_SEPARATORS = re.compile(r"\|\||&&|[;|&\n]|\$\(|`|\(|\)")
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
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
_STEPS = 2
"""What a variable's value is made of is followed this far: each step may lead to many."""


_MOST_VALUES = 64
"""Values that loops give a variable: loops over each other's would double them."""


class Call(msgspec.Struct, frozen=True):
    """One executable that is called: its name, the words after it, and the line, from 1."""

    name: str
    words: tuple[str, ...]
    line: int


def calls(script: Script) -> tuple[Call, ...]:
    """Return the executables that a script calls, in the order of its lines."""
    text = script.code.text
    if script.python:
        tree = parse(text)
        return () if tree is None else tuple(sorted(_Python(tree).calls(), key=lambda call: call.line))
    first, _, rest = text.partition("\n")
    if not first.startswith("#!"):
        return ()
    try:
        words = shlex.split(first[2:])
    except ValueError:
        words = first[2:].split()
    runner = list(_of_words(words, 1))
    shell = any(call.name in _SHELLS for call in runner)
    return (*runner, *(_of_shell(rest, 2) if shell else ()))


def reaches(call: Call) -> bool:
    """Tell whether a call is known to reach for the network."""
    if call.name not in NETWORK:
        return False
    words = NETWORK[call.name]
    return words is None or any(word in words for word in call.words)


class _Python:
    """The calls of one syntax tree; variables and functions that only pass a command on are followed once."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._values: dict[str, list[ast.expr]] = {}
        self._aliases: set[str] = set()
        self._wrappers: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._values.setdefault(name, []).append(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self._values.setdefault(name, []).append(value)
                case ast.ImportFrom(module="subprocess" | "os", names=names):
                    self._aliases |= {each.asname or each.name for each in names if each.name in RUNNERS | SYSTEM}
        for node in ast.walk(tree):
            if isinstance(node, ast.For):
                self._loop(node)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and self._passes_on(node):
                self._wrappers.add(node.name)

    def calls(self) -> Iterator[Call]:
        for node in ast.walk(self._tree):
            if not isinstance(node, ast.Call):
                continue
            given = _first(node)
            wraps = isinstance(node.func, ast.Name) and node.func.id in self._wrappers
            if given is None or not (self._runs(node) or wraps):
                continue
            for words in self._words(given, _DEPTH):
                if isinstance(words, str):
                    texts = [words, *(_text(each) for each in node.args[1:] if _is_text(each))] if wraps else [words]
                    yield from _of_shell(shlex.join(texts) if len(texts) > 1 else words, node.lineno, each_line=False)
                else:
                    yield from _of_words(words, node.lineno)

    def _loop(self, node: ast.For) -> None:
        """Take what a loop's variables are in turn for their values."""
        series = [node.iter] if not isinstance(node.iter, ast.Name) else self._values.get(node.iter.id, [])
        for each in series[:_DEPTH]:
            for element in each.elts if isinstance(each, (ast.List, ast.Tuple)) else ():
                pairs = [(node.target, element)]
                if isinstance(node.target, ast.Tuple) and isinstance(element, (ast.List, ast.Tuple)):
                    pairs = list(zip(node.target.elts, element.elts, strict=False))
                for target, value in pairs:
                    if isinstance(target, ast.Name) and len(self._values.get(target.id, [])) < _MOST_VALUES:
                        self._values.setdefault(target.id, []).append(value)

    def _runs(self, node: ast.Call) -> bool:
        match node.func:
            case ast.Attribute(value=ast.Name(id="os"), attr=name):
                return name in SYSTEM
            case ast.Attribute(value=ast.Name(), attr=name):
                # `import subprocess as sp`, `asyncio.create_subprocess_exec`, `sh.run` all read alike.
                return name in RUNNERS or name.startswith("create_subprocess_")
            case ast.Name(id=name):
                return name in self._aliases
        return False

    def _passes_on(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        given = function.args
        own = {each.arg for each in [*given.posonlyargs, *given.args, *([given.vararg] if given.vararg else [])]}
        return any(
            isinstance(node, ast.Call)
            and self._runs(node)
            and any(isinstance(each, ast.Name) and each.id in own for part in node.args[:1] for each in ast.walk(part))
            for node in ast.walk(function)
        )

    def _words(self, node: ast.expr, depth: int) -> Iterator[str | list[str]]:
        """Yield each command that an expression may be: a text, or a list of words."""
        if depth == 0:
            return
        match node:
            case ast.Constant(value=str()) | ast.JoinedStr():
                yield _text(node)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                yield [_text(element) for element in elements]
            case ast.Call(func=ast.Attribute(value=inner, attr="split" | "format")) if not _is_name(inner, "shlex"):
                yield from self._words(inner, depth - 1)
            case ast.Call(args=[inner, *_]):  # `shlex.split(…)`, `list(…)`, `str(…)`
                yield from self._words(inner, depth - 1)
            case ast.BinOp(left=left):
                yield from self._words(left, depth - 1)
            case ast.IfExp(body=one, orelse=other):
                yield from self._words(one, depth - 1)
                yield from self._words(other, depth - 1)
            case ast.Name(id=name):
                for value in self._values.get(name, [])[:_DEPTH]:
                    yield from self._words(value, min(depth - 1, _STEPS))


def _first(node: ast.Call) -> ast.expr | None:
    if node.args:
        return node.args[0].value if isinstance(node.args[0], ast.Starred) else node.args[0]
    return next((each.value for each in node.keywords if each.arg == "args"), None)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _text(node: ast.expr) -> str:
    """Return the text of one word; what is computed is the stand-in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
        case ast.Attribute(value=ast.Name(id="sys"), attr="executable"):
            return "python"
    return STAND_IN


def _of_words(words: list[str], line: int, depth: int = _DEPTH) -> Iterator[Call]:
    """Yield what a command calls: itself, and what it runs for its part."""
    while words and (words[0] in _PREFIXES or _ASSIGNMENT.match(words[0]) or words[0].rpartition("/")[2] == "env"):
        if words[:2] == ["command", "-v"]:
            return  # a question, not a call
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
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
            yield from _of_words([rest[1].replace("_", "-"), *rest[2:]], line, depth - 1)
        return
    yield Call(name, rest, line)
    if name in _SHELLS and "-c" in rest[:-1]:
        yield from _of_shell(rest[rest.index("-c") + 1], line, each_line=False, depth=depth - 1)


def _of_shell(text: str, line: int, *, each_line: bool = True, depth: int = _DEPTH) -> Iterator[Call]:
    """Yield what a piece of shell calls, roughly: the first words of its commands.

    Args:
        text: The code.
        line: The number of its first line.
        each_line: It is a file; otherwise all of it stands at `line`.
        depth: How often a shell may be called by a shell.
    """
    until = before = ""
    begun = 0
    own = set(re.findall(r"^\s*(?:function\s+)?([\w-]+)\s*\(\)", text, re.MULTILINE))
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
        here = _HERE.search(row)
        until = here[2] if here else ""
        for words in _commands(row):
            for call in _of_words(words, line + (begun if each_line else 0), depth):
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
