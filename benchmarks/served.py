"""What is asked for projects? A Dynamo with two templates, checked to make what the `cookiecutter` command makes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import peers, templates
from benchmarks.templates import ANSWERS
from dynamo_mcp import settings
from dynamo_mcp.dynamo import Dynamo, open_dynamo
from dynamo_mcp.views import Project

COMMAND = "cookiecutter command"
KINDS = {"without a hook": False, "with a Python hook": True}


class Served:
    """A Dynamo and the command beside it, which make projects from the same templates; `serve` makes it."""

    def __init__(self, dynamo: Dynamo, folder: Path, plain: Path) -> None:
        """Use `serve` instead."""
        self.dynamo = dynamo
        self._folder = folder
        self._plain = plain

    async def ours(self, kind: str, path: Path) -> Project:
        """Make a project with Dynamo."""
        return await self.dynamo.create_project(_name(kind), str(path), dict(ANSWERS))

    async def command(self, kind: str, path: Path) -> None:
        """Make the same project with the command."""
        await peers.cookiecutter(self._plain, self._folder / _name(kind), path, home=self._folder / "command-home")

    async def confinement(self) -> str:
        """Say how Dynamo confines a template."""
        found = await self.dynamo.confinement()
        return f"{found.tier} ({', '.join(found.mechanisms)})"


@asynccontextmanager
async def serve(folder: Path) -> AsyncIterator[Served]:
    """Add the templates, warm both sides up, and check that they make the same files.

    Args:
        folder: An empty folder.

    Raises:
        RuntimeError: They don't.
    """
    (folder / "command-home").mkdir()
    # Benchmarks of one run share it.
    plain = folder.parent / "plain"
    if not plain.exists():
        await peers.venv_and_pip(plain, cache=folder.parent / "plain-cache")
    for kind, hook in KINDS.items():
        templates.write(folder / _name(kind), hook=hook)
    chosen = settings.load({**os.environ, "DYNAMO_MCP_HOME": str(folder / "home")}, person=True, python=peers.PYTHON)
    async with open_dynamo(chosen) as dynamo:
        served = Served(dynamo, folder, plain)
        for kind in KINDS:
            await dynamo.add_template(str(folder / _name(kind)))
            ours, theirs = folder / f"first-{_name(kind)}", folder / f"first-command-{_name(kind)}"
            await served.ours(kind, ours)
            await served.command(kind, theirs)
            if templates.contents(ours) != templates.contents(theirs):
                raise RuntimeError(f"Dynamo and cookiecutter make different projects {kind}: {ours}, {theirs}")
        yield served


def _name(kind: str) -> str:
    return kind.lower().replace(" ", "-")
