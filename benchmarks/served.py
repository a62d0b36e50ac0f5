"""What is asked for projects? A Dynamo with a few templates, checked to make what the `cookiecutter` command makes."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import anyio.to_thread
import msgspec

from benchmarks import peers, templates
from benchmarks.connected import Connected
from benchmarks.templates import ANSWERS, Hook
from dynamo_mcp import settings
from dynamo_mcp.dynamo import Dynamo
from dynamo_mcp.parts import Parts, open_parts
from dynamo_mcp.project_views import Project
from dynamo_mcp.types import Trust

COMMAND = "cookiecutter command"


class Kind(msgspec.Struct, frozen=True):
    """What a template is like.

    Attributes:
        hook: What its hook is written in.
        files: How many it makes.
        trust: How much of it may run; None is what every template gets.
        slow: A run of the command takes many seconds, so that a quick benchmark leaves it out.
    """

    hook: Hook | None = None
    files: int = 8
    trust: Trust | None = None
    slow: bool = False


KINDS = {"without a hook": Kind(), "with a Python hook": Kind(hook="Python")}


class Served:
    """A Dynamo and the command beside it, which make projects from the same templates; `serve` makes it."""

    def __init__(self, parts: Parts, folder: Path, plain: Path) -> None:
        """Use `serve` instead."""
        self.dynamo = Dynamo(parts)
        self.parts = parts
        self.folder = folder
        self.plain = plain

    async def ours(self, kind: str, path: Path) -> Project:
        """Make a project with Dynamo."""
        return await self.dynamo.create_project(name(kind), str(path), dict(ANSWERS))

    async def command(self, kind: str, path: Path) -> None:
        """Make the same project with the command."""
        await peers.cookiecutter(self.plain, self.folder / name(kind), path, home=self.folder / "command-home")

    @staticmethod
    async def asked(connected: Connected, kind: str, path: Path) -> None:
        """Make a project with a Dynamo that is asked over MCP."""
        await connected.call("create_project", template_name=name(kind), output_dir=str(path), variables=dict(ANSWERS))

    async def copied(self, kind: str, path: Path) -> None:
        """Copy the files of the project that was made first: nobody can be faster who writes them."""
        await anyio.to_thread.run_sync(shutil.copytree, self.folder / f"first-{name(kind)}", path)

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
    plain = await peers.plain(folder.parent)
    for kind, like in kinds.items():
        templates.write(folder / name(kind), hook=like.hook, files=like.files)
    environment = peers.environment(DYNAMO_MCP_HOME=str(folder / "home"))
    async with open_parts(settings.load(environment, person=True, python=peers.PYTHON)) as parts:
        served = Served(parts, folder, plain)
        for kind in kinds:
            await served.dynamo.add_template(str(folder / name(kind)), trust=kinds[kind].trust)
            ours, theirs = folder / f"first-{name(kind)}", folder / f"first-command-{name(kind)}"
            await served.ours(kind, ours)
            await served.command(kind, theirs)
            if templates.contents(ours) != templates.contents(theirs):
                raise RuntimeError(f"Dynamo and cookiecutter make different projects {kind}: {ours}, {theirs}")
        yield served


def name(kind: str) -> str:
    """Return the name of the template of a kind."""
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")
