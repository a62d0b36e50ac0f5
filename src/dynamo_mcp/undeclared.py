"""What do the packages that a template imports need without saying so? Of those that name no requirement at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dynamo_mcp import distributions
from dynamo_mcp.effort import Effort
from dynamo_mcp.scripts import follow, survey
from dynamo_mcp.types import MissingModule, Need, Needs


def with_undeclared(needs: Needs, template: Path, checkout: Path, packages: Path, present: frozenset[str]) -> Needs:
    """Return the needs with each module that an installed package can't do without, and nobody holds, added as missing.

    It is told when the template is added, not when its hook fails. A package that names any requirement is believed.

    Args:
        needs: Of a template whose environment was made.
        template: The template's folder.
        checkout: The tree that it is in.
        packages: The `site-packages` of its environment.
        present: What can be imported from there.
    """
    silent = _silent(packages)
    by_top: dict[str, Need] = {}
    for need in needs.requirements:
        if need.module is not None and canonicalize_name(Requirement(need.requirement).name) in silent:
            by_top.setdefault(need.module.partition(".")[0], need)
    if not by_top:
        return needs
    entries = [need.module for need in by_top.values() if need.module and need.always]
    entries += [use.module for use in survey(template, checkout, {}, Effort()).uses if use.demand == "always"]
    known = {missing.module for missing in needs.missing}
    missing: dict[str, MissingModule] = {}
    entries = [entry for entry in entries if entry.partition(".")[0] in by_top]
    for use in follow(packages, entries, Effort(), inside=[*by_top]):
        top = use.module.partition(".")[0]
        if use.demand == "always" and top not in known and not _held(top, present):
            by = by_top[use.found.partition("/")[0].partition(".py")[0]].requirement
            why = f"`{by}` imports it and names no package that holds it; name one in `requirements`"
            missing.setdefault(top, MissingModule(top, use.found, why, always=True))
    return msgspec.structs.replace(needs, missing=(*needs.missing, *missing.values()))


def _held(top: str, present: frozenset[str]) -> bool:
    if top in present or distributions.comes_with_python(top):
        return True
    known = distributions.known(top)
    # What holds it may bring it in another way than as a folder, as setuptools does `distutils`.
    return bool(known and known.requirement and Requirement(known.requirement).name.replace("-", "_") in present)


def _silent(packages: Path) -> set[str]:
    """Return the canonical names of the installed packages that name no requirement."""
    found: set[str] = set()
    for metadata in packages.glob("*.dist-info/METADATA"):
        head = metadata.read_text("utf-8", "replace").partition("\n\n")[0]
        if "\nRequires-Dist:" not in head:
            found.add(canonicalize_name(metadata.parent.name.partition("-")[0]))
    return found
