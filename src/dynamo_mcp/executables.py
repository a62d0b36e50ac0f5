"""Which executables that a template calls are here, where a job looks for them, and what would bring the others?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from dynamo_mcp.distributions import executable
from dynamo_mcp.sandbox.grants import EXECUTABLE, command
from dynamo_mcp.sandbox.installation import parts
from dynamo_mcp.sandbox.launch import SEARCH_PATH
from dynamo_mcp.sandbox.policy import SYSTEM
from dynamo_mcp.settings import Settings
from dynamo_mcp.types import Executable, Template


def look(template: Template, environment: Path, settings: Settings) -> tuple[Executable, ...]:
    """Say of each executable whether a job of a template would find it now."""
    return tuple(_told(each, template, environment, settings) for each in template.needs.executables)


def _told(each: Executable, template: Template, environment: Path, settings: Settings) -> Executable:
    full = template.trust == "full"
    granted = [word.removeprefix(EXECUTABLE) for word in template.grants if word.startswith(EXECUTABLE)]
    folders = [SEARCH_PATH, *(str(Path(path).parent) for path in granted)]
    path = os.pathsep.join([str(environment / "bin"), *([settings.search_path] if full else folders)])
    found = shutil.which(each.name, path=path)
    within: list[str | Path] = [
        *SYSTEM,
        *map(os.path.realpath, granted),
        environment,
        settings.home,
        *parts(settings.python),
    ]
    if found is not None and (full or _below(Path(found), within)):
        return msgspec.structs.replace(each, present=True, hint=None)
    brings = executable(each.name)
    hint = f"install it where jobs look: {SEARCH_PATH.replace(os.pathsep, ', ')}"
    if full:
        hint = "install it on this machine"
    elsewhere = shutil.which(each.name, path=settings.search_path)
    if not full and elsewhere is not None:
        given = command(template.name, "contained", [*template.grants, f"{EXECUTABLE}{each.name}"])
        hint = f"grant the one on your `PATH`: `{given}`, or {hint}"
    if brings is not None:
        hint = f"add the template with the requirement `{brings}`, which brings it, or {hint}"
    return msgspec.structs.replace(each, present=False, hint=hint)


def _below(path: Path, folders: Iterable[str | Path]) -> bool:
    """Tell whether a file is, links followed, in what a job sees."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in folders)
