"""What do a template's files say that it imports, calls and reaches for? They are read in one go, within a bound."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dynamo_mcp import calls, distributions
from dynamo_mcp.effort import Effort, Exhausted
from dynamo_mcp.scripts import Survey, Use, places, survey
from dynamo_mcp.template_code import STAND_IN
from dynamo_mcp.types import Executable

_DEEPEST = 2
"""Parts of a name in `calls.NETWORK_MODULES`, at most."""


class Findings(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        uses: What has to be held, by the part of its name that says by what, what is always needed first: its first,
            most demanding use.
        beside: Of these, what the table does not know and the template has somewhere: the folder that it is in.
        executables: What is called, in the order of their names.
        network: Where the network seems to be reached for.
        unread: The files that were not read to their end.
    """

    uses: dict[str, Use]
    beside: dict[str, str]
    executables: tuple[Executable, ...]
    network: tuple[str, ...]
    unread: tuple[str, ...]


def findings(template: Path, checkout: Path, configuration: dict[str, Any], *, piece: int = sys.maxsize) -> Findings:
    """Read a template's files; what would take too long is told instead.

    Args:
        template: As the others of `scripts.survey`.
        checkout: Likewise.
        configuration: Likewise.
        piece: Bytes of one file that may be parsed.

    Raises:
        TooLarge: One has more.
    """
    effort = Effort(piece=piece)
    surveyed = survey(template, checkout, configuration, effort)
    uses = _distinct(surveyed.uses)
    unknown = [module for module in uses if distributions.known(module) is None]
    executables, network, unread = _reach(surveyed, effort)
    return Findings(
        uses,
        places(checkout, unknown) if unknown else {},
        executables,
        network,
        tuple(dict.fromkeys((*surveyed.unread, *unread))),
    )


def _distinct(uses: Iterable[Use]) -> dict[str, Use]:
    found: dict[str, Use] = {}
    order = ("always", "sometimes", "optional")
    for use in uses:
        if distributions.comes_with_python(use.module) or STAND_IN in use.module:
            continue
        known = distributions.known(use.module)
        module = known.module if known else use.module.partition(".")[0]
        if module not in found or order.index(use.demand) < order.index(found[module].demand):
            found[module] = use
    return dict(sorted(found.items(), key=lambda item: order.index(item[1].demand)))


def _reach(surveyed: Survey, effort: Effort) -> tuple[tuple[Executable, ...], tuple[str, ...], list[str]]:
    """Return the executables that are called, where the network seems to be reached for, and what was not read."""
    executables: dict[str, Executable] = {}
    network: dict[str, str] = {}
    unread: list[str] = []
    for use in surveyed.uses:
        parts = use.module.split(".", _DEEPEST)[:_DEEPEST]
        for module in (".".join(parts[: index + 1]) for index in range(len(parts))):
            if module in calls.NETWORK_MODULES:
                network.setdefault(module, f"{use.found}: imports `{module}`")
    for script in surveyed.scripts:
        try:
            found = calls.calls(script, effort)
        except Exhausted:
            unread.append(script.where)
            continue
        for call in found:
            where = f"{script.where}, line {call.line}"
            executables.setdefault(call.name, Executable(call.name, where))
            if calls.reaches(call):
                network.setdefault(f"{call.name} ", f"{where}: calls `{call.name}`")
    return tuple(executables[name] for name in sorted(executables)), tuple(network.values()), unread
