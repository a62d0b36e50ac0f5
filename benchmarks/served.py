"""What is asked for projects? A Dynamo with a few templates, checked to make what the `cookiecutter` command makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import msgspec

from benchmarks import peers, templates
from benchmarks.templates import ANSWERS
from dynamo_mcp import settings
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.parts import Parts, open_parts
from dynamo_mcp.project_views import Project

COMMAND = "cookiecutter command"


class Kind(msgspec.Struct, frozen=True):
    """What a template is like."""

    hook: bool = False
    files: int = 8


KINDS = {"without a hook": Kind(), "with a Python hook": Kind(hook=True)}


class Served:
    """A Dynamo and the command beside it, which make projects from the same templates; `serve` makes it."""

    def __init__(self, parts: Parts, folder: Path, plain: Path) -> None:
        """Use `serve` instead."""
        self.dynamo = Dynamo(parts)
        self.parts = parts
        self._folder = folder
        self._plain = plain

    async def ours(self, kind: str, path: Path) -> Project:
        """Make a project with Dynamo."""
        return await self.dynamo.create_project(name(kind), str(path), dict(ANSWERS))

    async def command(self, kind: str, path: Path) -> None:
        """Make the same project with the command."""
        await peers.cookiecutter(self._plain, self._folder / name(kind), path, home=self._folder / "command-home")

    async def confinement(self) -> str:
        """Say how Dynamo confines a template."""
        found = await self.dynamo.confinement()
        return f"{found.tier} ({', '.join(found.mechanisms)})"


@asynccontextmanager
async def serve(folder: Path, kinds: Mapping[str, Kind] = MappingProxyType(KINDS)) -> AsyncIterator[Served]:
    """Add the templates, warm both sides up, and check that they make the same files.

    Args:
        folder: An empty folder.
        kinds: What each template is like, by what the tables call it.

    Raises:
        RuntimeError: They don't.
    """
    (folder / "command-home").mkdir()
    # Benchmarks of one run share it.
    plain = folder.parent / "plain"
    if not plain.exists():
        await peers.venv_and_pip(plain, cache=folder.parent / "plain-cache")
    for kind, like in kinds.items():
        templates.write(folder / name(kind), hook=like.hook, files=like.files)
    environment = peers.environment(DYNAMO_MCP_HOME=str(folder / "home"))
    async with open_parts(settings.load(environment, person=True, python=peers.PYTHON)) as parts:
        served = Served(parts, folder, plain)
        for kind in kinds:
            await served.dynamo.add_template(str(folder / name(kind)))
            ours, theirs = folder / f"first-{name(kind)}", folder / f"first-command-{name(kind)}"
            await served.ours(kind, ours)
            await served.command(kind, theirs)
            if templates.contents(ours) != templates.contents(theirs):
                raise RuntimeError(f"Dynamo and cookiecutter make different projects {kind}: {ours}, {theirs}")
        yield served


def name(kind: str) -> str:
    """Return the name of the template of a kind."""
    return kind.lower().replace(" ", "-")
