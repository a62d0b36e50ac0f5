"""What do the packages that a template imports need without saying so?

Those that name no requirement at all are read, and those that need what was in every environment when they were made.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import msgspec

from dynamo_mcp import distributions
from dynamo_mcp.effort import Effort
from dynamo_mcp.scripts import MOST_FILES, content_of, follow, survey
from dynamo_mcp.types import MissingModule, Need, Needs

ONCE_EVERYWHERE = frozenset({"pkg_resources"})
"""What nobody had to name while `venv` and `virtualenv` put `setuptools` into each environment (until Python 3.12)."""


def with_undeclared(
    needs: Needs,
    template: Path,
    checkout: Path,
    packages: Path,
    present: frozenset[str],
    *,
    install: bool,
    piece: int = sys.maxsize,
) -> Needs:
    """Return the needs with each module that an installed package can't do without, and nobody holds.

    What the table knows becomes a requirement; what it does not is told when the template is added, not when its hook
    fails. A package that names any requirement is believed, except of what was once everywhere.

    Args:
        needs: Of a template whose environment was made.
        template: The template's folder.
        checkout: The tree that it is in.
        packages: The `site-packages` of its environment.
        present: What can be imported from there.
        install: Otherwise what the table knows is told as missing too.
        piece: Bytes of one file that may be parsed.

    Raises:
        TooLarge: One has more.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415 - see `requirements._name`
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - see `requirements._name`

    silent = _silent(packages)
    by_top: dict[str, Need] = {}
    unbelieved: set[str] = set()
    for need in needs.requirements:
        top = (need.module or "").partition(".")[0]
        says_nothing = canonicalize_name(Requirement(need.requirement).name) in silent
        if top and (says_nothing or (not present >= ONCE_EVERYWHERE and _imports_old(packages / top))):
            by_top.setdefault(top, need)
            if says_nothing:
                unbelieved.add(top)
    if not by_top:
        return needs
    entries = [need.module for need in by_top.values() if need.module and need.always]
    entries += [
        use.module for use in survey(template, checkout, {}, Effort(piece=piece)).uses if use.demand == "always"
    ]
    known = {missing.module for missing in needs.missing}
    missing: dict[str, MissingModule] = {}
    more: dict[str, Need] = {}
    entries = [entry for entry in entries if entry.partition(".")[0] in by_top]
    for use in follow(packages, entries, Effort(piece=piece), inside=[*by_top]):
        top = use.module.partition(".")[0]
        importing = use.found.partition("/")[0].partition(".py")[0]
        told = importing in unbelieved or top in ONCE_EVERYWHERE
        if told and use.demand != "optional" and top not in known and not _held(top, present):
            holder = distributions.known(top)
            if install and holder and holder.requirement:
                more.setdefault(top, Need(holder.requirement, top, use.found, "table", use.demand == "always"))
                continue
            if use.demand != "always":
                continue
            named = f"`{holder.requirement}`" if holder and holder.requirement else "one"
            by = by_top[importing].requirement
            why = f"`{by}` imports it and names no package that holds it; name {named} in `requirements`"
            missing.setdefault(top, MissingModule(top, use.found, why, always=True))
    requirements = tuple(sorted((*needs.requirements, *more.values()), key=lambda need: need.requirement))
    return msgspec.structs.replace(needs, requirements=requirements, missing=(*needs.missing, *missing.values()))


def _held(top: str, present: frozenset[str]) -> bool:
    if top in present or distributions.comes_with_python(top):
        return True
    from packaging.requirements import Requirement  # noqa: PLC0415 - see `requirements._name`

    known = distributions.known(top) if top not in ONCE_EVERYWHERE else None
    # What holds it may bring it in another way than as a folder, as setuptools does `distutils`.
    return bool(known and known.requirement and Requirement(known.requirement).name.replace("-", "_") in present)


def _imports_old(module: Path) -> bool:
    """Tell whether the code right in a package, or in a module, speaks of what was once everywhere."""
    files = [module.with_suffix(".py"), *islice(module.glob("*.py"), MOST_FILES)]
    words = [name.encode() for name in ONCE_EVERYWHERE]
    return any(word in content for file in files if (content := content_of(file)) for word in words)


def _silent(packages: Path) -> set[str]:
    """Return the canonical names of the installed packages that name no requirement."""
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - see `requirements._name`

    found: set[str] = set()
    for metadata in packages.glob("*.dist-info/METADATA"):
        head = metadata.read_text("utf-8", "replace").partition("\n\n")[0]
        if "\nRequires-Dist:" not in head:
            found.add(canonicalize_name(metadata.parent.name.partition("-")[0]))
    return found
