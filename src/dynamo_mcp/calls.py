"""Which executables does a script call, and does it reach for the network? As far as its text says so."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator

import msgspec

from dynamo_mcp.effort import Effort, Exhausted
from dynamo_mcp.scripts import Script
from dynamo_mcp.shell_code import SHELLS, Call, of_shell, of_words
from dynamo_mcp.template_code import STAND_IN, parse

RUNNERS = {"run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"}
"""Of `subprocess`."""
SYSTEM = {"system", "popen", "execvp", "execlp", "spawnvp", "spawnlp"}
"""Of `os`."""
AS_FUNCTIONS = {"sh", "plumbum.cmd"}
"""Modules whose functions are executables."""

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

_DEPTH = 8
_STEPS = 2
"""What a variable's value is made of is followed this far: each step may lead to many."""
_OF_THE_MODULE = {"bake", "contrib", "cwd", "env", "glob", "path", "pushd", "tempdir", "which"}
"""What a module of executables holds besides."""
_MOST_VALUES = 64
"""Values that loops give a variable: loops over each other's would double them."""


def calls(script: Script, effort: Effort) -> tuple[Call, ...]:
    """Return the executables that a script calls, in the order of its lines.

    Raises:
        Exhausted: More would have to be spent.
    """
    text = script.code.text
    effort.spend(len(text))
    if script.python:
        tree = parse(text)
        try:
            return () if tree is None else tuple(sorted(_Python(tree, effort).calls(), key=lambda call: call.line))
        except RecursionError as error:  # expressions in each other, by the hundred
            raise Exhausted from error
    first, _, rest = text.partition("\n")
    if not first.startswith("#!"):
        return ()
    try:
        words = shlex.split(first[2:])
    except ValueError:
        words = first[2:].split()
    runner = list(of_words(words, 1, effort))
    shell = any(call.name in SHELLS for call in runner)
    return (*runner, *(of_shell(rest, 2, effort) if shell else ()))


def reaches(call: Call) -> bool:
    """Tell whether a call is known to reach for the network."""
    if call.name not in NETWORK:
        return False
    words = NETWORK[call.name]
    return words is None or any(word in words for word in call.words)


class _Python:
    """The calls of one syntax tree; variables and functions that only pass a command on are followed once."""

    def __init__(self, tree: ast.Module, effort: Effort) -> None:
        self._effort = effort
        self._tree = tree
        self._read: dict[str, tuple[Call, ...]] = {}
        self._values: dict[str, list[ast.expr]] = {}
        self._aliases: set[str] = set()
        self._wrappers: set[str] = set()
        self._modules: set[str] = set()
        self._functions: dict[str, str] = {}
        for node in ast.walk(tree):
            self._assigned(node)
            self._imported(node)
        for node in ast.walk(tree):
            if isinstance(node, ast.For):
                self._loop(node)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and self._passes_on(node):
                self._wrappers.add(node.name)

    def _assigned(self, node: ast.AST) -> None:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ):
                self._values.setdefault(name, []).append(value)

    def _imported(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=names):
                self._modules |= {each.asname or each.name for each in names if each.name in AS_FUNCTIONS}
            case ast.ImportFrom(module="subprocess" | "os", names=names):
                self._aliases |= {each.asname or each.name for each in names if each.name in RUNNERS | SYSTEM}
            case ast.ImportFrom(module="plumbum", names=names):
                self._modules |= {each.asname or each.name for each in names if each.name in {"cmd", "local"}}
            case ast.ImportFrom(module=str(module), names=names) if module in AS_FUNCTIONS:
                self._functions |= {each.asname or each.name: each.name for each in names}

    def calls(self) -> Iterator[Call]:
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.Call, ast.Subscript)):
                yield from self._as_function(node)
            if not isinstance(node, ast.Call):
                continue
            given = _command_of(node)
            wraps = isinstance(node.func, ast.Name) and node.func.id in self._wrappers
            if given is None or not (self._runs(node) or wraps):
                continue
            for words in self._words(given, _DEPTH):
                if isinstance(words, str):
                    texts = [words, *(self._texts(each)[0] for each in node.args[1:])] if wraps else [words]
                    self._effort.spend(sum(map(len, texts[1:])))
                    yield from self._of_text(shlex.join(texts) if len(texts) > 1 else words, node.lineno)
                else:
                    yield from of_words(words, node.lineno, self._effort)

    def _of_text(self, text: str, line: int) -> Iterator[Call]:
        """Yield what a piece of shell calls; one that is called at many lines is read once."""
        if text not in self._read:
            self._read[text] = tuple(of_shell(text, line, self._effort, each_line=False))
        for call in self._read[text]:
            self._effort.spend()
            yield msgspec.structs.replace(call, line=line)

    def _as_function(self, node: ast.expr) -> Iterator[Call]:
        """Yield what is called as a function is: `sh.git.clone(x)`, `local["git"]("clone", x)`, `git["clone", x]()`."""
        backwards: list[str] = []
        line = node.lineno
        while not isinstance(node, ast.Name):
            self._effort.spend()
            match node:
                case ast.Call(func=inner, args=given):
                    backwards += [self._texts(each)[0] for each in reversed(given)]
                case ast.Subscript(value=inner, slice=ast.Tuple(elts=given)):
                    backwards += [self._texts(each)[0] for each in reversed(given)]
                case ast.Subscript(value=inner, slice=given):
                    backwards.append(self._texts(given)[0])
                case ast.Attribute(value=inner, attr=name):
                    backwards.append(name.replace("_", "-"))
                case _:
                    return
            node = inner
        words = backwards[::-1]
        if node.id in self._functions:
            words = [self._functions[node.id].replace("_", "-"), *words]
        elif node.id not in self._modules:
            return
        # `sh.Command("git")`, `local.get("git")` name what they find.
        words = words[1:] if words[:1] in (["Command"], ["get"]) else words
        if words and words[0] not in _OF_THE_MODULE:
            yield from of_words(words, line, self._effort)

    def _loop(self, node: ast.For) -> None:
        """Take what a loop's variables are in turn for their values."""
        series = [node.iter] if not isinstance(node.iter, ast.Name) else self._values.get(node.iter.id, [])
        for each in series[:_DEPTH]:
            for element in each.elts[:_MOST_VALUES] if isinstance(each, (ast.List, ast.Tuple)) else ():
                pairs = [(node.target, element)]
                if isinstance(node.target, ast.Tuple) and isinstance(element, (ast.List, ast.Tuple)):
                    pairs = list(zip(node.target.elts, element.elts, strict=False))
                for target, value in pairs:
                    self._effort.spend()
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
            and any(
                isinstance(each, ast.Name) and each.id in own for part in node.args[:1] for each in self._walk(part)
            )
            for node in self._walk(function)
        )

    def _walk(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield all that is in a node; in functions within each other, what is innermost is walked for each."""
        for each in ast.walk(node):
            self._effort.spend()
            yield each

    def _words(self, node: ast.expr, depth: int) -> Iterator[str | list[str]]:
        """Yield each command that an expression may be: a text, or a list of words."""
        self._effort.spend()
        if depth == 0:
            return
        match node:
            case ast.Constant(value=str()) | ast.JoinedStr():
                yield from self._texts(node)
            case ast.List(elts=[first, *rest]) | ast.Tuple(elts=[first, *rest]):
                for begin in self._beginnings(first, depth - 1):
                    yield [*begin, *(self._texts(each)[0] for each in rest)]
            case ast.Call(func=ast.Attribute(value=inner, attr="split" | "format")) if not _is_name(inner, "shlex"):
                yield from self._words(inner, depth - 1)
            case ast.BinOp(left=inner) | ast.Call(args=[inner, *_]):  # `shlex.split(…)`, `list(…)`, `str(…)`
                yield from self._words(inner, depth - 1)
            case ast.IfExp(body=one, orelse=other):
                yield from self._words(one, depth - 1)
                yield from self._words(other, depth - 1)
            case ast.Name(id=name):
                for value in self._values.get(name, [])[:_DEPTH]:
                    yield from self._words(value, min(depth - 1, _STEPS))

    def _beginnings(self, first: ast.expr, depth: int) -> Iterator[list[str]]:
        """Yield the words that the first element of a list may stand for: `[*begin, "x"]`, `["git", "x"]`."""
        if isinstance(first, ast.Starred):
            for words in self._words(first.value, depth):
                yield [words] if isinstance(words, str) else words
        else:
            yield from ([text] for text in self._texts(first))

    def _texts(self, node: ast.expr, depth: int = _STEPS) -> list[str]:
        """Return what one word may be, at least one; what is computed is the stand-in."""
        self._effort.spend()
        found: list[str] = []
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=values):
                return ["".join(self._pieces(values, depth))]
            case ast.FormattedValue(value=value):
                return self._texts(value, depth)
            case ast.Attribute(value=ast.Name(id="sys"), attr="executable"):
                return ["python"]
            case ast.Call(func=ast.Name(id="which") | ast.Attribute(attr="which"), args=[asked, *_]):
                return self._texts(asked, depth)
            case ast.BoolOp(values=values):
                found = [text for value in values for text in self._texts(value, depth)]
            case ast.IfExp(body=one, orelse=other):
                found = [*self._texts(one, depth), *self._texts(other, depth)]
            case ast.Name(id=name) if depth > 0:
                values = self._values.get(name, [])[:_DEPTH]
                found = [text for value in values for text in self._texts(value, depth - 1)]
        return list(dict.fromkeys(found))[:_DEPTH] or [STAND_IN]

    def _pieces(self, values: list[ast.expr], depth: int) -> Iterator[str]:
        for value in values:
            text = self._texts(value, depth)[0]
            self._effort.spend(len(text))  # pieces that are made of each other would fill the memory
            yield text


def _command_of(node: ast.Call) -> ast.expr | None:
    if isinstance(node.func, ast.Attribute) and node.func.attr.startswith("spawn"):
        return node.args[1] if len(node.args) > 1 else None  # behind the mode
    if node.args:
        return node.args[0].value if isinstance(node.args[0], ast.Starred) else node.args[0]
    return next((each.value for each in node.keywords if each.arg == "args"), None)


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
