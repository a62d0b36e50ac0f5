"""What does this template need? The packages of its extensions and hooks, what the caller names, and executables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from dynamo_mcp import distributions
from dynamo_mcp.errors import DynamoError, EnvironmentFailed, InvalidRequirement, InvalidTemplate, MissingRequirement
from dynamo_mcp.findings import Findings, findings
from dynamo_mcp.reading import read
from dynamo_mcp.scripts import EXTENSIONS, hooks
from dynamo_mcp.text import plain
from dynamo_mcp.types import MissingModule, Need, Needs, Template, Trust

COOKIECUTTER = "cookiecutter==2.7.1"
"""The version whose behaviour `_in_environment/render.py` relies on."""

INERT_MODULES = frozenset({"jinja2_time"})
"""What extensions of trust `inert` are in, besides cookiecutter and Jinja (`_in_environment/questions.py`)."""

MOST_ASKED = 16
"""Modules that the package index is asked about for one template."""
MOST_MODULES = 500
"""That are looked for in the table and in what the caller named; those that are always needed come first."""
MOST_TOLD = 100
NAME_LENGTH = 100
NOT_GUESSED = (
    "it is not in the table, and a package of its name may be anybody's: one that is only guessed runs in the sandbox, "
    "with trust `contained`, or not at all"
)

Lacks: TypeAlias = Callable[[tuple[str, ...]], Awaitable[str | None]]
"""Says why these requirements can't be installed beside cookiecutter, or None."""


def normalise(requirements: Iterable[str]) -> tuple[str, ...]:
    """Parse requirements and write each one way, sorted and once.

    Args:
        requirements: Names with version specifiers, such as `jinja2-time>=0.2`.

    Raises:
        InvalidRequirement: One is a URL, a path, an option, or no requirement at all.
    """
    from packaging.requirements import InvalidRequirement as Unparsable  # noqa: PLC0415 - see `_name`
    from packaging.requirements import Requirement  # noqa: PLC0415 - likewise
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - likewise

    normalised: dict[str, None] = {}
    for text in requirements:
        try:
            requirement = Requirement(text)
        except Unparsable as error:
            raise _invalid(text) from error
        if requirement.url is not None:
            raise _invalid(text)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        name = canonicalize_name(requirement.name)
        normalised[f"{name}{extras}{requirement.specifier}{marker}"] = None
    return tuple(sorted(normalised))


async def derive(
    configuration: dict[str, Any], *, template: Path, checkout: Path, given: Iterable[str], lacks: Lacks, guess: bool
) -> Needs:
    """Return all that a template needs, cookiecutter left out.

    A module is held by what the caller named for it, by its name or the table's word; else by what the table knows;
    else by what the caller named for nothing else; else, where that may be guessed, by the package of its own name, if
    the index has it.

    Args:
        configuration: The template's `cookiecutter.json`.
        template: Its folder: modules in it need no package.
        checkout: The tree that the folder is in.
        given: What the caller named.
        lacks: Asks the index, about what nobody knows.
        guess: Whatever is installed runs in the sandbox only.

    Raises:
        MissingRequirement: An extension's package is not known and none was named.
        InvalidTemplate: An extension is no dotted name.
        InvalidRequirement: As `normalise`.
    """
    named = normalise(given)
    unread = Findings({}, {}, (), (), tuple(f"hooks/{name}" for name in hooks(template)))
    found = await read(findings, template, checkout, configuration, kind=Findings, otherwise=unread)
    uses = dict(islice(found.uses.items(), MOST_MODULES))
    by_name: dict[str, list[str]] = {}
    for each in named:
        by_name.setdefault(_name(each), []).append(each)
    requirements: list[Need] = []
    missing: list[MissingModule] = []
    optional: list[str] = []
    holders = {module: [each for name in sorted(_names(module)) for each in by_name.get(name, ())] for module in uses}
    holding = {each for holds in holders.values() for each in holds}
    spare = [each for each in named if each not in holding and not distributions.brings_executable(_name(each))]
    asked = 0
    for module, use in uses.items():
        always = use.demand == "always"
        known = distributions.known(module)
        if not holders[module] and use.demand == "optional":
            optional.append(f"`{plain(module, NAME_LENGTH)}`: {use.found}")
            continue
        by_caller = holders[module] or ([] if known and known.requirement else spare)
        if by_caller:
            requirements += [Need(each, module, use.found, "named", always) for each in by_caller]
        elif known and known.requirement:
            requirements.append(Need(known.requirement, module, use.found, "table", always))
        else:
            own = _own_package(module) if known is None else None
            # A stranger could publish a package under the name of a module that the template holds itself.
            beside = found.beside.get(module) if own and not use.extension else None
            asked += own is not None and beside is None
            why = await _why_not(own, beside, asked, lacks if guess else None)
            if own is not None and why is None:
                requirements.append(Need(own, module, use.found, "index", always))
            elif use.extension is not None:
                raise _unknown(use.extension, own if guess else None, str(why))
            else:
                missing.append(MissingModule(plain(module, NAME_LENGTH), use.found, str(why), always))
    told = {need.requirement for need in requirements}
    requirements += [Need(each, None, "named by whoever added it", "named") for each in named if each not in told]
    lists: dict[str, Sequence[object]] = {
        "missing": missing,
        "optional": optional,
        "executables": found.executables,
        "network": found.network,
        "unread": found.unread,
    }
    more = {field: len(each) - MOST_TOLD for field, each in lists.items() if len(each) > MOST_TOLD}
    if len(found.uses) > len(uses):
        more["requirements"] = len(found.uses) - len(uses)
    return Needs(
        tuple(sorted(requirements, key=lambda need: need.requirement)),
        tuple(missing[:MOST_TOLD]),
        tuple(optional[:MOST_TOLD]),
        found.executables[:MOST_TOLD],
        found.network[:MOST_TOLD],
        found.unread[:MOST_TOLD],
        more,
    )


def packages(needs: Needs) -> tuple[str, ...]:
    """Return the requirements of a template's environment, sorted and once."""
    return tuple(sorted({need.requirement for need in needs.requirements}))


def installed(template: Template, trust: Trust) -> tuple[str, ...]:
    """Return the requirements of the environment that a template has where that much of it may run, sorted and once.

    At `inert` no hook runs, and of extensions only known ones: nothing else is fetched, whatever a hook imports.
    """
    if trust != "inert":
        return template.requirements
    return tuple(sorted({need.requirement for need in template.needs.requirements if need.module in INERT_MODULES}))


async def obtainable(needs: Needs, lacks: Lacks) -> Needs:
    """Return the needs with what hooks import and can't be installed moved to what is missing.

    What an extension or the caller names stays: without it there would be nothing to use.

    Raises:
        EnvironmentFailed: The index could not be asked.
    """
    kept: list[Need] = []
    missing = list(needs.missing)
    for need in needs.requirements:
        tried = need.how != "named" and need.found != EXTENSIONS
        why = await lacks((need.requirement,)) if tried else None
        if why is None:
            kept.append(need)
        else:
            missing.append(MissingModule(need.module or "", need.found, why, need.always))
    return msgspec.structs.replace(needs, requirements=tuple(kept), missing=tuple(missing))


def verified(needs: Needs, present: frozenset[str]) -> Needs:
    """Return the needs with each module that its package turned out not to hold added to what is missing.

    Args:
        needs: Of a template whose environment was made.
        present: What can be imported in it.
    """
    held: dict[str, bool] = {}
    for need in needs.requirements:
        if need.module is not None and need.how != "table":
            held[need.module] = need.module.partition(".")[0] in present
    missing = [
        MissingModule(need.module, need.found, f"`{need.requirement}` does not hold it", need.always)
        for need in needs.requirements
        if need.module is not None and not held.pop(need.module, True)
    ]
    return msgspec.structs.replace(needs, missing=(*needs.missing, *missing))


def _names(module: str) -> set[str]:
    """Return the canonical names of the distributions that would hold a module."""
    known = distributions.known(module)
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - see `_name`

    return {canonicalize_name(module), *([_name(known.requirement)] if known and known.requirement else [])}


def _own_package(module: str) -> str | None:
    """Return the requirement of a module's own name, if a package may have that name."""
    if len(module) > NAME_LENGTH or not module.isidentifier() or not module.isascii():
        return None
    try:
        return normalise([module])[0]
    except InvalidRequirement:
        return None


def _unknown(extension: str, looked_up: str | None, why: str) -> DynamoError:
    """Return the error of an extension that no package is known for.

    Args:
        extension: An item of `_extensions`.
        looked_up: The package of its name, if that was asked for.
        why: Why that does not hold it, in words.
    """
    shown = plain(extension, NAME_LENGTH)
    if not all(part.isidentifier() for part in extension.replace(":", ".", 1).split(".")):
        return InvalidTemplate(
            f"The template's `_extensions` hold {f'`{shown}`' if shown else 'an empty text'}, which names no class",
            hint="mend the template: each item is a class by its dotted name, such as `jinja2_time.TimeExtension`",
        )
    hint = "add the template with the package that holds it in `requirements`"
    if looked_up is not None:
        hint += f"; its name is not `{looked_up}`"
    return MissingRequirement(
        f"The template's `_extensions` name `{shown}`, and which package holds it is not known: {why}", hint=hint
    )


async def _why_not(own: str | None, beside: str | None, asked: int, lacks: Lacks | None) -> str | None:
    """Say why a package of a module's own name does not hold it, or None."""
    if beside is not None:
        return f"it is in the template's own folder `{beside}`, where hooks do not find it"
    if own is None:
        return "no package is known to hold it"
    if lacks is None:
        return NOT_GUESSED
    if asked > MOST_ASKED:
        return f"more than {MOST_ASKED} modules are not known, and no more are looked up"
    try:
        why = await lacks((own,))
    except EnvironmentFailed:
        return "the package index could not be asked for a package of its name; `update --force` tries again"
    return None if why is None else f"it is not in the table, and of a package of its name uv says: {why}"


def _name(requirement: str) -> str:
    # To import it takes a tenth of a command's time, and most read no requirement.
    from packaging.requirements import Requirement  # noqa: PLC0415 - see above
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - likewise

    return canonicalize_name(Requirement(requirement).name)


def _invalid(text: str) -> InvalidRequirement:
    return InvalidRequirement(
        f"`{text}` is not a requirement that may be installed",
        hint="give names with versions, such as `jinja2-time` or `jinja2-time>=0.2`; no URLs, paths or options",
    )
