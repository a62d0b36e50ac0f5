"""Which modules does this code import, and must they be there?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

from dynamo_mcp.effort import Effort
from dynamo_mcp.template_code import Code, parse

Demand: TypeAlias = Literal["always", "sometimes", "optional"]
"""`always`: the code can't run without it; `sometimes`: a part can't; `optional`: it is tried, and done without."""

_ABSENT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_ENDINGS = {"exit", "_exit", "quit", "abort", "fail"}
# A stranger's line may be of any length: what one part has taken is not given back to be tried as the next.
_FROM = re.compile(r"([ \t]*+)from[ \t]++(\.*+)([\w.]*+)[ \t]++import[ \t]++(?:\(|\*|\w++[ \t]*+(?:,|#|as\b|$))")
_IMPORT = re.compile(r"([ \t]*+)import[ \t]+([\w.]+(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,[ \t]*[\w.]+)*)[ \t]*(?:#.*)?$")


class Import(msgspec.Struct, frozen=True):
    """One import.

    Attributes:
        module: Dotted; empty in `from . import name`.
        names: What is taken from it, each of which may be a module.
        level: How many dots it begins with.
        line: Where, from 1.
        demand: Whether it must be there.
    """

    module: str
    names: tuple[str, ...]
    level: int
    line: int
    demand: Demand


def imports(code: Code, effort: Effort) -> tuple[Import, ...]:
    """Return what a piece of Python imports; where it can't be parsed, what its lines say that import.

    Raises:
        Exhausted: More would have to be spent.
    """
    tree = parse(code.text)
    found = _of_lines(code.text) if tree is None else _of_tree(tree, effort)
    return tuple(
        msgspec.structs.replace(each, demand="sometimes")
        if each.demand == "always" and each.line in code.conditional
        else each
        for each in found
    )


def _of_tree(tree: ast.Module, effort: Effort) -> Iterator[Import]:
    waiting: list[tuple[ast.AST, Demand]] = [(tree, "always")]
    while waiting:
        node, demand = waiting.pop()
        effort.spend()
        match node:
            case ast.Import(names=names):
                yield from (Import(name.name, (), 0, node.lineno, demand) for name in names)
            case ast.ImportFrom(names=names):
                yield Import(node.module or "", tuple(name.name for name in names), node.level, node.lineno, demand)
            case ast.Call(args=[ast.Constant(value=str(module)), *_]) if _name(node.func) in {
                "import_module",
                "__import__",
            }:
                yield Import(module.lstrip("."), (), len(module) - len(module.lstrip(".")), node.lineno, demand)
        waiting += _inside(node, demand, effort)


def _inside(node: ast.AST, demand: Demand, effort: Effort) -> list[tuple[ast.AST, Demand]]:
    """Return what is in a node, each with whether its imports must succeed; last first."""
    less: Demand = "sometimes" if demand == "always" else demand
    parts: list[tuple[Iterable[ast.AST], Demand]]
    match node:
        case ast.Try():
            catching = [handler for handler in node.handlers if _catches(handler.type)]
            tolerated = bool(catching) and not any(_ends(handler, effort) for handler in catching)
            parts = [(node.body, "optional" if tolerated else demand), (node.orelse, demand), (node.finalbody, demand)]
            parts.append((node.handlers, "optional" if tolerated else less))
        case ast.With(items=[ast.withitem(context_expr=ast.Call(args=arguments) as call), *_]) if _name(
            call.func
        ) == "suppress" and any(_catches(argument) for argument in arguments):
            parts = [(node.body, "optional")]
        case ast.If(test=test) if _name(test) == "TYPE_CHECKING":
            parts = [(node.orelse, demand)]
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            parts = [(node.body, demand), (node.orelse, less)]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.If() | ast.For() | ast.While() | ast.Match():
            parts = [(ast.iter_child_nodes(node), less)]
        case _:
            parts = [(ast.iter_child_nodes(node), demand)]
    return [(child, its) for children, its in parts for child in children][::-1]


def _catches(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_catches(element) for element in kind.elts)
    return kind is None or _name(kind) in _ABSENT


def _ends(handler: ast.ExceptHandler, effort: Effort) -> bool:
    """Tell whether a handler gives up, so that the import is no attempt but a demand."""
    for statement in handler.body:
        for node in ast.walk(statement):
            effort.spend()
            if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _name(node.func) in _ENDINGS):
                return True
    return False


def _name(node: ast.AST) -> str:
    """Return the last word of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _of_lines(text: str) -> Iterator[Import]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")  # noqa: PLW2901 - the same line
        if found := _FROM.match(line):
            yield Import(found[3], (), len(found[2]), number, "sometimes" if found[1] else "always")
        elif found := _IMPORT.fullmatch(line):
            for part in found[2].split(","):
                yield Import(part.split()[0], (), 0, number, "sometimes" if found[1] else "always")
